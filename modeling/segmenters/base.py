"""The contract of a panoptic segmenter."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from collavo.records import ImageRef, Segments


class Segmenter(ABC):
    """Turns images into panoptic segments on the patch grid."""

    needs_refs: ClassVar[bool] = False
    """Whether it looks the image up by its reference instead of its pixels (precomputed maps)."""

    grid: tuple[int, int]
    """Rows and columns (h, w) of the grid it answers on."""

    class_names: tuple[str, ...]
    """Cleaned class name of each label id (COCO panoptic: 133)."""

    origin: str = ""
    """The folder or hub id that its weights were given as; "" for none."""

    untrained: bool = False
    """Whether the checkpoint says that its weights are random."""

    @abstractmethod
    def segment(self, images: Tensor, refs: Sequence[ImageRef] | None = None) -> list[Segments]:
        """Segments a batch.

        Args:
            images: uint8 RGB (B, 3, H, W) in [0, 255], already at the model's square size.
            refs: Where each image came from; only read where `needs_refs`.
        """

    @abstractmethod
    def fingerprint(self) -> str:
        """A hash of the weights and of every setting that changes its output."""
