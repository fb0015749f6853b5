"""A tiny voice of Piper, as two files: it hums a tone for each phoneme. Piper's own code reads the
text, and onnxruntime runs the graph, which is written here by ONNX's schema
(https://github.com/onnx/onnx/blob/main/onnx/onnx.proto): casting, a sine, and repeating."""

from __future__ import annotations

import json
import string
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

FLOAT, INT64 = 1, 7
_CAST_TO, _INT = 20, 2


def voice(directory: Path, *, rate: int = 16_000) -> Path:
    """The .onnx file of it."""
    path = directory / "tiny.onnx"
    path.write_bytes(_model())
    symbols = ["_", "^", "$", *string.printable, *map(chr, range(0x250, 0x2FF))]
    about = {
        "audio": {"sample_rate": rate},
        "espeak": {"voice": "en-us"},
        "phoneme_type": "espeak",
        "num_symbols": len(symbols),
        "num_speakers": 1,
        "phoneme_id_map": {
            symbol: [number] for number, symbol in enumerate(dict.fromkeys(symbols))
        },
        "inference": {"noise_scale": 0.6, "length_scale": 1.0, "noise_w": 0.8},
    }
    path.with_name("tiny.onnx.json").write_text(json.dumps(about))
    return path


def _model() -> bytes:
    graph = b"".join(
        [
            _field(1, _node("Cast", ["input"], "floats", _attribute())),
            _field(1, _node("Sin", ["floats"], "tones")),
            _field(1, _node("Tile", ["tones", "times"], "output")),
            _field(2, b"tiny"),
            # [1, 200]: each round of the phonemes, 200 times
            _field(5, _int(1, 2) + _int(2, INT64) + _field(8, b"times")
                   + _field(9, struct.pack("<2q", 1, 200))),
            _field(11, _value("input", INT64, 2)),
            _field(11, _value("input_lengths", INT64, 1)),
            _field(11, _value("scales", FLOAT, 1)),
            _field(12, _value("output", FLOAT, 2)),
        ]
    )  # fmt: skip
    return _int(1, 8) + _field(7, graph) + _field(8, _int(2, 13))


def _node(kind: str, inputs: list[str], output: str, attribute: bytes = b"") -> bytes:
    named = b"".join(_field(1, name.encode()) for name in inputs)
    return named + _field(2, output.encode()) + _field(4, kind.encode()) + attribute


def _attribute() -> bytes:
    return _field(5, _field(1, b"to") + _int(3, FLOAT) + _int(_CAST_TO, _INT))


def _value(name: str, kind: int, axes: int) -> bytes:
    shape = b"".join(_field(1, _field(2, f"{name}{axis}".encode())) for axis in range(axes))
    return _field(1, name.encode()) + _field(2, _field(1, _int(1, kind) + _field(2, shape)))


# Protocol buffers: https://protobuf.dev/programming-guides/encoding


def _int(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
