"""Breaks bytes at random."""

from __future__ import annotations

import random
import re

_PIECES = tuple(
    text.encode("utf-8")
    for text in (
        *("\0", "\ufeff", '"', "'", "\t", "\n", "\r", "\r\n", "{", "}", "[", "]", ",", ":", "\\"),
        *(
            "null",
            "NaN",
            "-1",
            "1e999",
            "9" * 400,
            "\\ud800",
            "\\u0000",
            "é🙂",
            "Ａ",
            "../../",
            "true",
        ),
        *(
            "None",
            "<image>",
            "[[[[" * 300,
            "A" * 70000,
            "0",
            " ",
            "nan",
            "1.0",
            "image",
            "question",
        ),
    )
)
_BYTES = (b"\xff\xfe", b"\xfe\xff", b"\x80", b"\xed\xa0\x80", b"\x1f\x8b", b"PAR1", b"PK\x03\x04")

_VALUE = re.compile(
    rb'"(?:[^"\\\n]|\\.){0,200}"|-?\d{1,20}(?:\.\d+)?|\b(?:true|false|null)\b|[^\t\n"]{1,60}(?=\t)'
)
_VALUES = tuple(
    text.encode("utf-8")
    for text in (
        *(
            '""',
            '"x"',
            "0",
            "-1",
            "3.5",
            "1e999",
            "null",
            "true",
            "[]",
            "{}",
            '["a", null]',
            '{"a": 1}',
        ),
        *(
            '"A"',
            '"yes"',
            '"None"',
            '"[1]"',
            '"[0.1, 0.2]"',
            "[[1, 2], [3]]",
            '"\\ud800"',
            '"\\u0000"',
        ),
        *(
            "99999999999999999999",
            "NaN",
            '" "',
            '"../../x"',
            '"é🙂Ａ"',
            f'"{"ab " * 900}"',
            "1.0",
            "A",
        ),
    )
)


def broken(data: bytes, dice: random.Random) -> bytes:
    """Breaks some bytes: one to four edits of random kinds."""
    out = bytearray(data)
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        at = dice.randrange(len(out) + 1)
        size = dice.choice((1, 1, 2, 5, 20, 200, 2000))
        piece = bytes(out[at : at + size])
        edit = dice.randrange(13)
        if edit > 8:
            _swap_value(out, at, dice)
        elif edit == 0 and out:
            out[min(at, len(out) - 1)] ^= 1 << dice.randrange(8)
        elif edit == 1:
            out[at : at + 1] = bytes([dice.randrange(256)])
        elif edit == 2:
            out[at:at] = dice.randbytes(size % 50)
        elif edit == 3:
            del out[at : at + size]
        elif edit == 4:
            out[at:at] = piece * dice.choice((1, 1, 3))
        elif edit == 5:
            there = dice.randrange(len(out) + 1)
            out[there : there + size] = piece
        elif edit == 6 and dice.random() < 0.3:
            del out[at:]
        else:
            token = dice.choice(_PIECES + _BYTES)
            out[at : at + dice.choice((0, 0, 1, len(token)))] = token
    return bytes(out)


def _swap_value(out: bytearray, at: int, dice: random.Random) -> None:
    """Puts another value in the place of the next text, number or cell: the form stays whole."""
    found = _VALUE.search(out, at) or _VALUE.search(out)
    if found is not None:
        out[found.start() : found.end()] = dice.choice(_VALUES)
