"""The contract of an image policy: one RGB image in, one `VisualInput` out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import Tensor

from collavo.errors import DataError

if TYPE_CHECKING:
    from typing import Self

    from jaxtyping import UInt8

    from collavo.modeling.projectors.base import Projector
    from collavo.modeling.vision_encoders.base import VisionEncoder


@dataclass(frozen=True)
class VisualInput:
    """One image as a model takes it. To the engine it is opaque: counted, batched, handed on.

    Args:
        tensors: By name, without a batch axis, on the CPU until the model moves them.
        num_tokens: Visual tokens that the image takes up in the prompt.
        shape_key: Inputs of equal keys can be computed as one batch.
        picture: uint8 RGB (3, H, W) in [0, 255]: what the grid of Crayon maps lies on, so what a
            segmenter is shown. None where the model takes no crayon.
    """

    tensors: Mapping[str, Tensor]
    num_tokens: int
    shape_key: Hashable = None
    picture: UInt8[Tensor, "3 height width"] | None = None

    def to(self, device: torch.device | str) -> VisualInput:
        """Returns it with the tensors on a device; the picture stays where it is."""
        return replace(self, tensors={k: v.to(device) for k, v in self.tensors.items()})


class ImagePolicy(ABC):
    """Prepares images for a vision encoder; on the CPU, and called from several threads at once.

    Its tensor `pixel_values`, with a batch axis before it, is what the encoder is given.
    """

    @classmethod
    def before(cls, encoder: VisionEncoder, projector: Projector) -> Self:
        """Builds it for the parts that see its images; without a word more, `cls()`.

        Args:
            encoder: Says which size it takes.
            projector: Says how many visual tokens it makes of a grid.

        Raises:
            UserError: It prepares nothing that they could take.
        """
        return cls()

    @abstractmethod
    def __call__(self, image: Image.Image) -> VisualInput:
        """Prepares one image of mode RGB.

        Raises:
            DataError: The model cannot take an image of this kind.
        """


def stacked(visuals: Sequence[VisualInput], name: str, device: torch.device | str) -> Tensor:
    """Returns one tensor of several images as a batch, on a device.

    Raises:
        DataError: The images are of different shape keys.
    """
    keys = {visual.shape_key for visual in visuals}
    if len(keys) > 1:
        raise DataError(
            f"images of {len(keys)} shapes ({', '.join(sorted(map(str, keys))[:4])}) cannot be one "
            "batch; group them by VisualInput.shape_key"
        )
    batch = torch.stack([visual.tensors[name] for visual in visuals])
    if torch.device(device).type == "cuda" and batch.device.type == "cpu":
        # pinned memory lets the copy run beside the computation that goes on
        return batch.pin_memory().to(device, non_blocking=True)
    return batch.to(device)
