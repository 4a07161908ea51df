"""Scenes of the miniature world as training examples, drawn once and kept in the cache folder."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from collavo.config.paths import cache_dir
from collavo.datasets.miniature import scenes
from collavo.datasets.miniature.scenes import TRAINING_SEEDS, scene
from collavo.datasets.segmentation.example import PanopticExample, squeeze_image, squeeze_map
from collavo.errors import ConfigError, DataError
from collavo.lifetime import process_pool

logger = logging.getLogger(__name__)

FIRST_SEED = 0
"""Of the scenes that segmenters are trained on; all seeds lie in `TRAINING_SEEDS`."""

MODEL_SIZE = 224
"""The tiny model's image size, which evaluation brings images to before the segmenter sees them."""

CHUNK = 250
"""Scenes a file."""

DRAWN_BY = (
    "backdrop.py",
    "dice.py",
    "drawing.py",
    "layout.py",
    "palette.py",
    "places.py",
    "raster.py",
    "scenes.py",
    "stuff.py",
    "shapes/*.py",
)
"""What of the miniature's sources draws scenes: other sources, other scenes."""

_NONE = 255
_SEGMENTS = 32


class SceneSource:
    """The first scenes of the training seeds, at a size.

    Args:
        count: How many.
        size: Side of the squares in pixels, even.
        is_main: Other processes begin to draw at the end, so that they share the work.
        chunk: Scenes a file.

    Raises:
        ConfigError: There are not so many scenes.
        DataError: The cache folder cannot be written.
    """

    def __init__(self, count: int, size: int, is_main: bool = True, chunk: int = CHUNK) -> None:
        if not 0 < count <= len(TRAINING_SEEDS):
            raise ConfigError(
                f"scenes={count}: it may be 1 to {len(TRAINING_SEEDS)}, the training scenes"
            )
        self._count, self._size, self._chunk = count, size, chunk
        self._folder = cache_dir() / f"panoptic-scenes-{_version()}-{size}-{chunk}"
        self._opened: dict[int, Any] = {}
        self._draw(is_main)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, row: int) -> PanopticExample:
        part, place = self._open(row // self._chunk), row % self._chunk
        image, panoptic, labels = (
            part.get_slice(name)[place : place + 1][0] for name in ("images", "panoptic", "labels")
        )
        return PanopticExample(
            image,
            panoptic,
            tuple(int(label) for label in labels if label != _NONE),
        )

    def name(self, row: int) -> str:
        return f"scene {FIRST_SEED + row}"

    def fingerprint(self) -> str:
        return f"{self._folder.name}-{self._count}"

    def _open(self, number: int) -> Any:
        """A file, opened; what is read of it lies in the system's memory of files."""
        if number not in self._opened:
            self._opened[number] = safe_open(self._file(number), framework="numpy")
        return self._opened[number]

    def _file(self, number: int) -> Path:
        return self._folder / f"{number:06d}.safetensors"

    def _draw(self, is_main: bool) -> None:
        """Draws the files that are not there yet, with all cores."""
        wanted = [n for n in range(-(-self._count // self._chunk)) if not self._file(n).is_file()]
        if not wanted:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self._folder).close()
        except OSError as error:
            raise DataError(
                f"training scenes cannot be written to {self._folder} ({error.strerror}); set "
                "COLLAVO_CACHE to a folder that can be written"
            ) from error
        logger.info("drawing %d scenes into %s", len(wanted) * self._chunk, self._folder)
        jobs = [
            (n, self._file(n), self._size, self._chunk)
            for n in (wanted if is_main else wanted[::-1])
        ]
        workers = min(len(os.sched_getaffinity(0)), len(jobs))
        if workers == 1:
            for job in jobs:
                draw_chunk(*job)
            return
        with process_pool(workers) as pool:
            for future in [pool.submit(draw_chunk, *job) for job in jobs]:
                future.result()


def draw_chunk(number: int, file: Path, size: int, chunk: int = CHUNK) -> None:
    """Draws `chunk` scenes into a file, which appears whole or not at all.

    Args:
        number: Of the chunk.
        file: Where it goes; if it is there by now, nothing is done.
        size: Side of the images in pixels.
        chunk: How many scenes.
    """
    if file.is_file():
        return
    images = np.empty((chunk, 3, size, size), np.uint8)
    maps = np.empty((chunk, size // 2, size // 2), np.uint8)
    labels = np.full((chunk, _SEGMENTS), _NONE, np.uint8)
    for place in range(chunk):
        drawn = scene(FIRST_SEED + number * chunk + place)
        images[place] = squeeze_image(drawn.image, (MODEL_SIZE, size))
        maps[place] = squeeze_map(drawn.panoptic, size // 2)
        named = [thing.label_id for thing in drawn.things] + [r.label_id for r in drawn.stuff]
        labels[place, : len(named)] = named
    new = file.with_name(f".{file.name}.{os.getpid()}")
    save_file({"images": images, "panoptic": maps, "labels": labels}, new)
    os.replace(new, file)


@cache
def _version() -> str:
    here = Path(scenes.__file__).parent
    digest = hashlib.sha256()
    for pattern in DRAWN_BY:
        for file in sorted(here.glob(pattern)):
            digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:12]
