"""Finds the files of hearing and speech models and says what is wrong with them. Loads none of
them."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

from botdaemon.errors import ModelUnusable

#: what faster-whisper reads; of the vocabulary one of two forms
_WHISPER = ("config.json", "model.bin")
_VOCABULARIES = ("vocabulary.json", "vocabulary.txt")


def whisper(directory: Path) -> Path:
    """The directory of a Whisper model in CTranslate2's form. Raises `ModelUnusable`."""
    if not directory.is_dir():
        what = "is a file, not a directory" if directory.exists() else "is not there"
        raise ModelUnusable(f"the hearing model {directory} {what}")
    names = {path.name for path in directory.iterdir()}
    missing = [name for name in _WHISPER if name not in names]
    if not names.intersection(_VOCABULARIES):
        missing.append(_VOCABULARIES[0])
    if missing:
        advice = ""
        if "model.safetensors" in names:
            advice = (
                "; it is in transformers' form, convert it once with: ct2-transformers-converter"
                f" --model {directory} --output_dir {directory}-ct2 --copy_files tokenizer.json"
                " preprocessor_config.json --quantization float16"
            )
        raise ModelUnusable(
            f"{directory} is no Whisper model in CTranslate2's form: it has no"
            f" {' and no '.join(missing)}{advice}"
        )
    if "tokenizer.json" not in names:
        # faster-whisper would fetch one.
        raise ModelUnusable(
            f"{directory} has no tokenizer.json; copy that of the model it was converted from"
        )
    return directory


def speech(path: str, language: str) -> Path:
    """The file of a Piper voice, or for "" the data of espeak-ng, if it speaks the language. Raises
    `ModelUnusable`."""
    if not path:
        return _espeak(language)
    voice = Path(path)
    if importlib.util.find_spec("piper") is None:
        raise ModelUnusable("a Piper voice needs piper-tts; install botdaemon[piper]")
    if not voice.is_file():
        what = "is a directory; name the .onnx file in it" if voice.exists() else "is not there"
        raise ModelUnusable(f"the speech model {voice} {what}")
    beside = voice.with_name(f"{voice.name}.json")
    try:
        about = json.loads(beside.read_bytes())
    except OSError as error:
        raise ModelUnusable(
            f"{beside} cannot be read ({error.strerror}); a Piper voice is two files, NAME.onnx and"
            " NAME.onnx.json"
        ) from error
    except ValueError as error:
        raise ModelUnusable(f"{beside} is not valid JSON: {error}") from error
    if not isinstance(about, dict) or "phoneme_id_map" not in about:
        raise ModelUnusable(f"{beside} does not describe a Piper voice")
    return voice


def _espeak(language: str) -> Path:
    found = importlib.util.find_spec("espeakng_loader")
    if found is None or found.origin is None:
        raise ModelUnusable("it needs espeakng-loader; install botdaemon[speech]")
    data = Path(found.origin).parent / "espeak-ng-data"
    # "en-US+f3" is American English in one of several manners of speaking.
    wanted, plus, manner = language.partition("+")
    languages = {path.name for path in (data / "lang").rglob("*") if path.is_file()}
    manners = {path.name for path in (data / "voices" / "!v").iterdir()}
    if wanted not in languages:
        known = ", ".join(sorted(languages, key=str.casefold))
        raise ModelUnusable(f'espeak-ng does not speak "{wanted}"; it speaks {known}')
    if plus and manner not in manners:
        known = ", ".join(sorted(manners, key=str.casefold))
        raise ModelUnusable(f'espeak-ng knows no "{manner}"; after a + it knows {known}')
    return data


def size_of(path: Path) -> int:
    """Bytes of a model's weights, which lie in memory as they lie on disk."""
    if path.is_file():
        return path.stat().st_size
    weights = path / "model.bin"
    return weights.stat().st_size if weights.exists() else 0
