"""The contract of a panoptic segmenter."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor

from collavo.records import ImageRef, Segments

if TYPE_CHECKING:
    from typing import Self

    import torch


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

    @classmethod
    def from_config(cls, cfg: Any, grid: tuple[int, int], device: torch.device | str) -> Self:
        """Loads the segmenter that a configuration names.

        Args:
            cfg: The configuration.
            grid: Rows and columns of the grid that it is to answer on.
            device: Where it runs.

        Raises:
            UserError: Weights or settings do not fit.
        """
        raise TypeError(f"{cls.__name__} has no from_config, so SEGMENTER.NAME cannot name it")

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
