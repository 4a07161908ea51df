"""The two tables of the Crayon Prompt, read on distinct (class, number) pairs only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from collavo.errors import ConfigError
from collavo.modeling.crayon.maps import MAX_NUMBER

if TYPE_CHECKING:
    from jaxtyping import Float, Int

NUM_CLASSES = 133
"""COCO panoptic: 80 things and 53 stuff."""


@dataclass(frozen=True)
class CrayonPairs:
    """The distinct (class, number) pairs of a batch and the cells that have them.

    `f(cells) == f(pairs)[index]` for every function of single cells, and a batch has some ten to
    fifty pairs where it has 1,225 cells an image: projectors and branches run on the pairs.

    Args:
        semantic: (U,) int64, rows of the semantic table.
        number: (U,) int64, rows of the number table.
        index: (B, h*w) int64 in [0, U): the pair of each cell, row by row of the grid.
    """

    semantic: Int[torch.Tensor, " pairs"]
    number: Int[torch.Tensor, " pairs"]
    index: Int[torch.Tensor, "batch cells"]


class CrayonEmbedding(nn.Module):
    """Sums a class embedding and a number embedding (arXiv 2402.11248, section 3).

    Args:
        width: C, the width of both tables: the vision encoder's in the published checkpoint.
        num_classes: Classes besides "unknown", which is row 0.
        max_number: The highest number; row 0 is "unknown".
    """

    def __init__(
        self, width: int, num_classes: int = NUM_CLASSES, max_number: int = MAX_NUMBER
    ) -> None:
        super().__init__()
        self.seg_prompt_embed = nn.Embedding(num_classes + 1, width)
        self.seg_num_embed = nn.Embedding(max_number + 1, width)

    def pairs(
        self, semantic: Int[torch.Tensor, "batch h w"], number: Int[torch.Tensor, "batch h w"]
    ) -> CrayonPairs:
        """Finds the distinct pairs of a batch; give maps on the CPU, so that no device waits.

        Args:
            semantic: 0 unknown, k + 1 for class k.
            number: 0 unknown, n for the n-th instance.

        Returns:
            The pairs on the device of the tables.

        Raises:
            ConfigError: A class or number has no row in its table.
        """
        classes, numbers = self.seg_prompt_embed.num_embeddings, self.seg_num_embed.num_embeddings
        for name, given, rows in (("class", semantic, classes), ("number", number, numbers)):
            if given.numel() and not (0 <= int(given.min()) and int(given.max()) < rows):
                raise ConfigError(
                    f"the crayon map holds {name} row {int(given.max())}, but the model's table "
                    f"has rows 0..{rows - 1}; use a segmenter with the model's classes"
                )
        # one number a pair; a table of flags finds the distinct ones without sorting
        code = (semantic.long() * numbers + number.long()).flatten(1)
        used = torch.zeros(classes * numbers, dtype=torch.bool, device=code.device)
        used[code.flatten()] = True
        # the place of each used pair among the used ones
        rank = used.cumsum(0) - 1
        found = used.nonzero().squeeze(1)
        device = self.seg_prompt_embed.weight.device
        return CrayonPairs(
            (found // numbers).to(device), (found % numbers).to(device), rank[code].to(device)
        )

    def forward(self, pairs: CrayonPairs) -> Float[torch.Tensor, "pairs width"]:
        """Returns the embedding of each distinct pair; `[pairs.index]` gives those of the cells."""
        return self.seg_prompt_embed(pairs.semantic) + self.seg_num_embed(pairs.number)
