"""Segments kept on disk across runs, under the digest of their image and the segmenter's settings.

One file holds one line an image (see `crayon_lines`), of any number of segmenters; it is only ever
appended to, under a lock, so several processes may share it, and it can be copied to
another machine. A line that a crash has cut in half fails its checksum and counts as absent.
"""

from __future__ import annotations

import binascii
import fcntl
import hashlib
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from collavo.engine.crayon_lines import (
    DIGEST,
    FILE_NAME,
    HEADER,
    KEY,
    PREFIX,
    check_header,
    decode,
    encode,
)
from collavo.engine.fingerprint import code_digest
from collavo.errors import ConfigError
from collavo.records import Segments

if TYPE_CHECKING:
    from collavo.modeling.image_policies.base import VisualInput
    from collavo.modeling.segmenters.base import Segmenter

    Prepare = Callable[[Image.Image], VisualInput]

logger = logging.getLogger(__name__)


def open_cache(
    location: str, segmenter: Segmenter, image_size: int, prepare: Prepare | None = None
) -> CrayonCache | None:
    """Opens the cache that CRAYON.CACHE names.

    Args:
        location: A folder, or a file that `crayon build --to` wrote; empty for no cache.
        segmenter: Its fingerprint (weights, thresholds, grid) is part of the key.
        image_size: Side in pixels of the squares that it sees, part of the key as well.
        prepare: Makes of an image what the segmenter sees; None squashes it to such a square.

    Returns:
        None without a location, and for segmenters that go by the name of an image.

    Raises:
        ConfigError: The file is no crayon cache, or cannot be read.
    """
    if not location or segmenter.needs_refs:
        return None
    return CrayonCache(location, cache_key(segmenter, image_size, prepare))


def cache_key(segmenter: Segmenter, image_size: int, prepare: Prepare | None = None) -> str:
    """The key of all that decides on the segments of an image, besides its bytes."""
    from collavo.modeling.image_policies.square import Squash

    seen = _picture_of(prepare or Squash(image_size, 1))
    parts = (segmenter.fingerprint(), image_size, seen, code_digest(segmenter))
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _picture_of(prepare: Prepare) -> str:
    """Hashes what becomes of one image: models of one size may squash, pad or crop.

    The image says so whatever the policy's class and settings are, and without the model's code,
    so that `crayon build`, which loads no model, finds the same.
    """
    rows, columns = np.mgrid[:480, :640]
    channels = (rows * 7 + columns * 3, rows * columns, columns * 5 - rows)
    image = Image.fromarray(np.stack([c % 256 for c in channels], axis=2).astype(np.uint8))
    picture = prepare(image).picture
    return "" if picture is None else hashlib.sha256(picture.cpu().numpy().tobytes()).hexdigest()


class CrayonCache:
    """Segments by image digest, for one segmenter with one set of settings.

    Safe with several processes and threads on one file. Where the file cannot be written it is
    read only: a warning says so once, and runs go on.

    Args:
        path: A folder that has (or gets) the file, or the file itself, which has a suffix.
        fingerprint: What `cache_key` gives.

    Raises:
        ConfigError: The file is no crayon cache, or cannot be read.
    """

    def __init__(self, path: str | Path, fingerprint: str) -> None:
        given = Path(path).expanduser()
        is_file = not given.is_dir() and (given.is_file() or bool(given.suffix))
        self.path = given if is_file else given / FILE_NAME
        self.fault = ""
        self._key = fingerprint[:KEY].encode()
        self._places: dict[bytes, tuple[int, int]] = {}
        self._lock = threading.Lock()
        self._fd = self._open()
        if self._fd is not None:
            self._index()

    def __len__(self) -> int:
        return len(self._places)

    def __bool__(self) -> bool:
        return True  # an empty cache is one too

    def __contains__(self, digest: str) -> bool:
        return bytes.fromhex(digest) in self._places

    def get(self, digest: str) -> Segments | None:
        """Returns what is kept of the image with this sha256, or None."""
        place = self._places.get(bytes.fromhex(digest))
        if place is None or self._fd is None:
            return None
        line = os.pread(self._fd, place[1], place[0])
        found = decode(line)
        if found is None:
            logger.warning("%s: a damaged line at byte %d is left out", self.path, place[0])
            del self._places[bytes.fromhex(digest)]
        return found

    def put(self, digest: str, segments: Segments) -> None:
        """Keeps the segments of an image; nothing happens if they are there already."""
        if self.fault or self._fd is None or digest in self:
            return
        line = b" ".join((self._key, digest.encode(), *encode(segments))) + b"\n"
        try:
            place = self._append(line)
        except OSError as error:
            self._give_up(f"cannot be written: {error.strerror or error}")
        else:
            self._places[bytes.fromhex(digest)] = place

    def close(self) -> None:
        """Closes the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _open(self) -> int | None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            self._give_up(f"cannot be written: {error.strerror or error}")
        try:
            return os.open(self.path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(
                f"CRAYON.CACHE: {self.path} cannot be read: {error.strerror}"
            ) from error

    def _give_up(self, fault: str) -> None:
        self.fault = fault
        logger.warning("CRAYON.CACHE: %s %s; maps are not kept", self.path, fault)

    def _index(self) -> None:
        """Notes where the lines of this key begin; reads the file line by line."""
        with open(os.dup(self._fd), "rb", closefd=True) as stream:  # type: ignore[arg-type]
            stream.seek(0)
            first = stream.readline()
            check_header(self.path, first)
            start = len(first)
            for line in stream:
                if len(line) > PREFIX and line[:KEY] == self._key and line.endswith(b"\n"):
                    try:
                        digest = binascii.unhexlify(line[KEY + 1 : KEY + 1 + DIGEST])
                    except binascii.Error:
                        digest = b""
                    if len(digest) == DIGEST // 2:
                        self._places[digest] = (start, len(line))
                start += len(line)

    def _append(self, line: bytes) -> tuple[int, int]:
        """Appends one line under the file's lock, and takes back what a full disk cut off."""
        assert self._fd is not None, "checked by put"
        with self._lock:
            fcntl.lockf(self._fd, fcntl.LOCK_EX)
            try:
                end = os.fstat(self._fd).st_size
                mended = HEADER if end == 0 else b""
                if end and os.pread(self._fd, 1, end - 1) != b"\n":
                    mended = b"\n"
                data = memoryview(mended + line)
                try:
                    while data:
                        data = data[os.write(self._fd, data) :]
                except OSError:
                    os.ftruncate(self._fd, end)
                    raise
                return end + len(mended), len(line)
            finally:
                fcntl.lockf(self._fd, fcntl.LOCK_UN)
