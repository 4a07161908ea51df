"""Saves the images of a benchmark and remembers them for the panoptic ground truth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from collavo.datasets.miniature.drawing import save
from collavo.datasets.miniature.scenes import EVALUATION_SEEDS, Scene, scene, unlabelled

BLOCK = 10_000
"""Seeds a benchmark has for itself: scenes take the first half, figures the second."""


class Gallery:
    """The images of one benchmark.

    Args:
        folder: Where they lie; made if missing.
        block: The benchmark's block of evaluation seeds; POPE has block 0, MME block 1.
        start: How many scenes of the block another gallery may take before.

    Attributes:
        entries: Name (the path below `folder`) and scene of every image that was put in.
    """

    def __init__(self, folder: Path, block: int, start: int = 0) -> None:
        self.folder = folder
        self.entries: list[tuple[str, Scene]] = []
        self._scene = EVALUATION_SEEDS[block * BLOCK + 1 + start]
        self._figure = self._scene + BLOCK // 2
        folder.mkdir(parents=True, exist_ok=True)

    def scenes(self, count: int) -> Iterator[Scene]:
        """Draws the next `count` scenes of the block."""
        for _ in range(count):
            self._scene += 1
            yield scene(self._scene - 1)

    def put(self, name: str, drawn: Scene) -> Path:
        """Saves the image of a scene (JPEG where the name has no ending)."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        save(drawn.image, path)
        self.entries.append((name, drawn))
        return path

    def figure(self, name: str, image: Image.Image) -> Path:
        """Saves a picture that is no scene."""
        self._figure += 1
        return self.put(name, unlabelled(self._figure - 1, image))

    def remember(self, name: str, image: Image.Image) -> None:
        """Notes a picture that lies in a table, under the name it has there."""
        self._figure += 1
        self.entries.append((name, unlabelled(self._figure - 1, image)))
