"""The lines of a file of crayon maps: `<key> <image digest> <crc32> <payload>` after a header."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from collavo.errors import ConfigError
from collavo.records import Segment, Segments

HEADER = b"collavo crayon maps 1\n"
FILE_NAME = "segments.crayon"
KEY, DIGEST = 32, 64
PREFIX = KEY + DIGEST + 8 + 3
"""Bytes of a line before its payload."""


def check_header(path: Path, first: bytes) -> None:
    """Checks a file's first line, which a crash may have cut.

    Raises:
        ConfigError: It is the first line of some other file.
    """
    if not HEADER.startswith(first.rstrip(b"\n")):
        raise ConfigError(
            f"CRAYON.CACHE: {path} is no file of crayon maps; name a folder, or a file that "
            "`crayon build --to` wrote"
        )


def encode(segments: Segments) -> tuple[bytes, bytes]:
    """Returns checksum and payload of a line."""
    ids = np.ascontiguousarray(segments.ids.cpu().numpy(), dtype="<i4")
    head = {
        "shape": ids.shape,
        "segments": [[s.id, s.label_id, s.score] for s in segments.segments],
    }
    text = json.dumps(head, separators=(",", ":")).encode()
    payload = base64.b64encode(zlib.compress(text + b"\n" + ids.tobytes(), 9))
    return f"{zlib.crc32(payload):08x}".encode(), payload


def decode(line: bytes) -> Segments | None:
    """Returns the segments of a line, or None if it is damaged."""
    parts = line.rstrip(b"\n").split(b" ")
    if len(parts) != 4 or f"{zlib.crc32(parts[3]):08x}".encode() != parts[2]:
        return None
    text, _, raw = zlib.decompress(base64.b64decode(parts[3])).partition(b"\n")
    head = json.loads(text)
    ids = np.frombuffer(raw, dtype="<i4").reshape(head["shape"]).astype(np.int32)
    return Segments(torch.from_numpy(ids), tuple(Segment(*row) for row in head["segments"]))


def survey(path: str | Path) -> dict[str, Any]:
    """Reads a whole file of crayon maps and counts what is in it.

    Returns:
        `file`, `bytes`, `maps` (by the first characters of the segmenter's key), `damaged` lines.

    Raises:
        ConfigError: The file is no crayon cache, or is not there.
    """
    given = Path(path).expanduser()
    given = given / FILE_NAME if given.is_dir() else given
    maps: dict[str, int] = {}
    damaged = 0
    try:
        with given.open("rb") as stream:
            check_header(given, stream.readline())
            for line in stream:
                if line.endswith(b"\n") and decode(line) is not None:
                    key = line[:KEY].decode()
                    maps[key] = maps.get(key, 0) + 1
                else:
                    damaged += line != b"\n"
    except OSError as error:
        raise ConfigError(f"{given} cannot be read: {error.strerror or error}") from error
    return {"file": str(given), "bytes": given.stat().st_size, "maps": maps, "damaged": damaged}
