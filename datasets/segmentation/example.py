"""One image with its panoptic truth, at the size that a segmenter is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from PIL import Image

from collavo.modeling.image_policies.resize import resize

MAX_SEGMENTS = 255
"""Segments of an image at most: maps are bytes, and 0 is no segment."""


@dataclass(frozen=True)
class PanopticExample:
    """One training image of a segmenter.

    Args:
        image: (3, S, S) uint8 RGB, squeezed to a square as segmenters of CoLLaVO get it.
        panoptic: (S / 2, S / 2) uint8, 0 for no segment, n for the n-th of `labels`.
        labels: The contiguous COCO panoptic class of each segment.
    """

    image: np.ndarray
    panoptic: np.ndarray
    labels: tuple[int, ...]


class PanopticSource(Protocol):
    """Examples by number; the same number always gives the same example."""

    def __len__(self) -> int: ...

    def __getitem__(self, row: int) -> PanopticExample: ...

    def name(self, row: int) -> str:
        """Names an example for messages."""
        ...

    def fingerprint(self) -> str:
        """Identifies the content."""
        ...


def squeeze_image(image: Image.Image, sizes: Sequence[int]) -> np.ndarray:
    """Brings an image to squares of these sizes one after the other; (3, S, S) uint8 of the last.

    Evaluation does so, too: an image is brought to the model's size, then to the segmenter's.
    """
    image = image.convert("RGB")
    for size in sizes:
        image = resize(image, (size, size), Image.Resampling.BILINEAR)
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))


def squeeze_map(panoptic: np.ndarray, size: int) -> np.ndarray:
    """Brings a (H, W) uint8 map to a square by the nearest pixel."""
    picture = Image.fromarray(panoptic.astype(np.uint8))
    return np.array(picture.resize((size, size), Image.Resampling.NEAREST))
