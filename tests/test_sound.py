"""Models that hear and speak: the real libraries in a real model process, recordings in every form
there is, and servers that speak OpenAI's protocol."""

from __future__ import annotations

import io
import shutil
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st
from model_server import ModelServer, refuses
from sound_engines import voice_note
from tiny_piper import voice
from tiny_whisper import whisper

from botdaemon import render
from botdaemon.config import OpenAIConfig
from botdaemon.errors import EngineFailed, ModelUnusable
from botdaemon.types import HearingRequest, SpeechRequest, Transcript
from models.process import HearingSpec, ModelProcess, SpeechSpec
from models.remote.sound import RemoteHearingEngine, RemoteSpeechEngine
from models.sound import decoding, files
from models.sound.encoding import voice_note as encoded

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

RATE = 16_000


def hearing(sound: bytes, most_seconds: float = 60.0) -> HearingRequest:
    return HearingRequest(model="", sound=sound, name="note.ogg", most_seconds=most_seconds)


def speech(text: str, most_seconds: float = 60.0) -> SpeechRequest:
    return SpeechRequest(model="", text=text, most_seconds=most_seconds)


def hum(seconds: float, rate: int = RATE) -> NDArray[np.float32]:
    times = np.arange(int(seconds * rate), dtype=np.float32) / rate
    return (0.5 * np.sin(2 * np.pi * 220 * times)).astype(np.float32)


def recording(form: str, codec: str, seconds: float = 1.0, *, name: str = "") -> bytes:
    """As phones, browsers and chat platforms record."""
    file = io.BytesIO()
    with av.open(file, "w", format=form) as container:
        stream: Any = container.add_stream(codec, rate=48_000, layout="mono")
        if name:
            container.metadata["title"] = name
        frame = av.AudioFrame.from_ndarray(
            hum(seconds, 48_000).reshape(1, -1), format="flt", layout="mono"
        )
        frame.sample_rate = 48_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


# --- the model process ------------------------------------------------------------------------


async def test_a_model_process_speaks_and_hears_and_costs_only_what_fails(tmp_path: Path) -> None:
    models = {
        "espeak": SpeechSpec(path="", language="en-US", load=False),
        "piper": SpeechSpec(path=str(voice(tmp_path)), load=False),
        "whisper": HearingSpec(path=str(whisper()), load=False),
    }
    async with ModelProcess(name="cpu", models=models) as process:
        said = await process.speech("espeak").speak(speech("Hello there.\nIt is noon."))
        assert said.content.startswith(b"OggS")
        assert said.whole
        assert 1 < said.seconds < 4
        assert len(said.waveform) == int(said.seconds / 0.1)
        assert max(said.waveform) == 255
        # What was spoken can be decoded, and is as long as it says.
        assert len(decoding.samples(said.content, 10)) / RATE == pytest.approx(said.seconds, 0.01)

        short = await process.speech("espeak").speak(speech("Hello there.\nIt is noon.", 1.2))
        assert (short.whole, short.seconds < said.seconds) == (False, True)
        with pytest.raises(EngineFailed, match="nothing in it can be spoken"):
            await process.speech("espeak").speak(speech("... !"))

        hummed = await process.speech("piper").speak(speech("Hello there."))
        assert hummed.whole
        assert hummed.seconds > 0.1

        ears = process.hearing("whisper")
        assert isinstance(await ears.hear(hearing(said.content)), Transcript)
        assert await ears.hear(hearing(encoded(np.zeros(RATE, np.float32), RATE).content)) == (
            Transcript("")
        )
        with pytest.raises(EngineFailed, match="damaged, or nothing that I can listen to"):
            await ears.hear(hearing(b"no sound"))
        with pytest.raises(EngineFailed, match="longer than the 1 second "):
            await ears.hear(hearing(said.content, 1.0))

        now = process.status()
        assert now.models == {"espeak": "loaded", "piper": "loaded", "whisper": "loaded"}
        assert (now.restarts, now.requests) == (0, 0)


# --- recordings -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "codec"),
    [
        ("ogg", "libopus"),
        ("webm", "libopus"),
        ("mp4", "aac"),
        ("mp3", "libmp3lame"),
        ("wav", "pcm_s16le"),
        ("flac", "flac"),
    ],
)
def test_recordings_of_all_platforms_are_understood(form: str, codec: str) -> None:
    samples = decoding.samples(recording(form, codec), 5)
    assert len(samples) / RATE == pytest.approx(1.0, abs=0.1)
    assert 0.3 < float(np.abs(samples).max()) <= 1.0


def test_a_recording_leads_nowhere_else(tmp_path: Path) -> None:
    there = tmp_path / "secret.wav"
    there.write_bytes(recording("wav", "pcm_s16le"))
    playlist = f"#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:1,\nfile://{there}\n#EXT-X-ENDLIST\n"
    concat = f"ffconcat version 1.0\nfile {there}\n"
    for text in (playlist, concat):
        with pytest.raises(EngineFailed):
            decoding.samples(text.encode(), 5)


def test_no_more_of_a_recording_is_decoded_than_is_listened_to() -> None:
    long = recording("flac", "flac", 90.0)
    with pytest.raises(decoding.TooLong, match="longer than the 1 minute that I listen to"):
        decoding.samples(long, 60)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_recording_however_broken_is_more_than_refused(data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(WHOLE)))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))]
    try:
        samples = decoding.samples(bytes(content), 5)
    except EngineFailed:
        return
    assert float(np.abs(samples).max()) <= 1.0


WHOLE = [
    recording(form, codec, 0.2) for form, codec in (("ogg", "libopus"), ("webm", "libopus"),
                                                    ("mp4", "aac"), ("wav", "pcm_s16le"))
]  # fmt: skip


# --- what is read out -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("markdown", "heard"),
    [
        ("It is **noon**, `really`.", "It is noon, really."),
        ("See [it](https://time.is/now) or <https://www.time.is/x?y=1>.", "See it or time.is."),
        ("So:\n\n```python\nprint(1)\n```\n\nThat is all.", "So:\nThat is all."),
        ("- tea\n- coffee", "tea\ncoffee"),
        ("1. tea\n2. coffee", "1. tea\n2. coffee"),
        ("Good \U0001f600 morning", "Good morning"),
        ("# Tea\n> hot", "Tea\nhot"),
        ("```\nonly code\n```", ""),
    ],
)  # fmt: skip
def test_markdown_is_read_out_as_words(markdown: str, heard: str) -> None:
    assert render.aloud(markdown) == heard


# --- what is wrong with a model ---------------------------------------------------------------


def test_what_is_wrong_with_a_model_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match=r"the hearing model .* is not there"):
        files.whisper(tmp_path / "none")
    with pytest.raises(ModelUnusable, match=r"no config\.json and no model\.bin and no vocabulary"):
        files.whisper(tmp_path)
    original = tmp_path / "original"
    original.mkdir()
    (original / "model.safetensors").touch()
    with pytest.raises(ModelUnusable, match="convert it once with: ct2-transformers-converter"):
        files.whisper(original)
    without = tmp_path / "without"
    shutil.copytree(whisper(), without)
    (without / "tokenizer.json").unlink()
    with pytest.raises(ModelUnusable, match=r"has no tokenizer\.json"):
        files.whisper(without)
    with pytest.raises(ModelUnusable, match='espeak-ng does not speak "tlh"; it speaks af, '):
        files.speech("", "tlh")
    with pytest.raises(ModelUnusable, match=r"the speech model .* is a directory"):
        files.speech(str(tmp_path), "en")
    spoken = voice(tmp_path)
    assert files.speech(str(spoken), "en") == spoken
    spoken.with_name("tiny.onnx.json").write_text("{}")
    with pytest.raises(ModelUnusable, match="does not describe a Piper voice"):
        files.speech(str(spoken), "en")


# --- servers ----------------------------------------------------------------------------------


def table(server: ModelServer, api: str) -> OpenAIConfig:
    return OpenAIConfig.model_validate(
        {"kind": "openai", "servers": (server.url,), "model": "m", "api": api, "speaker": "onyx"}
    )


async def test_a_server_hears() -> None:
    async def says(request: web.Request) -> web.StreamResponse:
        return web.json_response({"text": " what time\n is it? "})

    async with ModelServer() as server:
        server.behave = says
        async with RemoteHearingEngine("ears", table(server, "transcriptions"), None) as engine:
            note = voice_note().content
            assert await engine.hear(hearing(note)) == Transcript("what time is it?")
            [body] = server.answers
            assert body["model"] == "m"
            assert body["file"].filename == "note.ogg"
            server.behave = refuses(400, "no audio")
            with pytest.raises(EngineFailed, match="no audio"):
                await engine.hear(hearing(b"x"))


async def test_a_server_speaks_and_a_voice_note_is_made_of_it() -> None:
    async def says(request: web.Request) -> web.StreamResponse:
        return web.Response(body=recording("wav", "pcm_s16le"), content_type="audio/wav")

    async with ModelServer() as server:
        server.behave = says
        async with RemoteSpeechEngine("mouth", table(server, "speech"), None) as engine:
            note = await engine.speak(speech("Hello."))
            assert note.content.startswith(b"OggS")
            assert note.seconds == pytest.approx(1.0, abs=0.05)
            [body] = server.answers
            assert (body["voice"], body["input"]) == ("onyx", "Hello.")
            with pytest.raises(EngineFailed, match=r"longer than 0.5 s"):
                await engine.speak(speech("Hello.", 0.5))
