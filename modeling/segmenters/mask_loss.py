"""Mask2Former's losses (Cheng et al., 2022, arXiv 2112.01527, section 3.2) on whole masks.

The original samples points, since its masks are large; ours are some 40 x 40, and computing all of
them is exact and, on a CPU, some times as fast. Everything is a sum over segments, so that parts of
a batch add up to the batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclass(frozen=True)
class Predicted:
    """What the decoder says after each layer, the queries themselves first.

    Args:
        classes: Logits; the last class is "no object".
        masks: Logits.
    """

    classes: Float[Tensor, "layers batch queries classes_and_none"]
    masks: Float[Tensor, "layers batch queries cells"]

    def without_first(self) -> Predicted:
        """Leaves out what queries say before they have seen the image."""
        return Predicted(self.classes[1:], self.masks[1:])

    def in_order(self, labels: Int[Tensor, "batch segments"]) -> Pairs:
        """Gives the n-th query to the n-th segment, in all layers."""
        image, segment = (labels >= 0).nonzero(as_tuple=True)
        layers, count = len(self.classes), len(image)
        layer = torch.arange(layers, device=labels.device).repeat_interleave(count)
        image, segment = image.repeat(layers), segment.repeat(layers)
        return Pairs(layer, image, segment, segment)


@dataclass(frozen=True)
class Pairs:
    """Which query stands for which segment; all (pairs,) int64."""

    layer: Tensor
    image: Tensor
    query: Tensor
    segment: Tensor


@torch.no_grad()
def match(
    found: Predicted,
    masks: Float[Tensor, "batch segments cells"],
    labels: Int[Tensor, "batch segments"],
    weights: Mapping[str, float],
) -> Pairs:
    """Finds, for each layer and image, the cheapest pairs of queries and segments.

    Args:
        found: What was predicted.
        masks: Share of each cell.
        labels: -1 where there is no segment.
        weights: Of the costs `class`, `mask` and `dice`.
    """
    logits, cells = found.masks, masks.shape[-1]
    targets = masks.transpose(1, 2)[None].expand(len(logits), -1, -1, -1)
    cross = (F.softplus(logits).sum(-1, keepdim=True) - logits @ targets) / cells
    shares = logits.sigmoid()
    both = shares.sum(-1, keepdim=True) + masks.sum(-1)[None, :, None]
    dice = 1 - (2 * (shares @ targets) + 1) / (both + 1)
    wanted = labels.clamp(min=0)[None, :, None].expand(*cross.shape)
    scores = found.classes.softmax(-1).gather(-1, wanted)
    cost = weights["mask"] * cross + weights["dice"] * dice - weights["class"] * scores
    # a prediction that is no number is paired only where there is no other
    table = torch.nan_to_num(cost, nan=1e6, posinf=1e6, neginf=1e6).cpu().numpy()
    there = [np.flatnonzero(row) for row in (labels >= 0).cpu().numpy()]
    rows: list[tuple[np.ndarray, ...]] = []
    for layer, image in np.ndindex(*table.shape[:2]):
        query, place = linear_sum_assignment(table[layer, image][:, there[image]])
        same = np.full(len(query), layer), np.full(len(query), image)
        rows.append((*same, query, there[image][place]))
    columns = [np.concatenate(column) for column in zip(*rows, strict=True)]
    return Pairs(*(torch.from_numpy(c.astype(np.int64)).to(labels.device) for c in columns))


def matched_loss(
    found: Predicted,
    masks: Float[Tensor, "batch segments cells"],
    labels: Int[Tensor, "batch segments"],
    pairs: Pairs,
    no_object: float,
) -> dict[str, Float[Tensor, " layers"]]:
    """Computes the losses of each layer.

    Args:
        found: What was predicted.
        masks: Share of each cell.
        labels: -1 where there is no segment.
        pairs: Which query stands for which segment.
        no_object: Weight of queries that stand for none; 0 leaves them out.

    Returns:
        `class`: cross-entropies, summed over weighted queries; `mask`: mean binary cross-entropies
        of the cells, and `dice`, summed over segments.
    """
    layers, none = len(found.classes), found.classes.shape[-1] - 1
    wanted = torch.full(found.classes.shape[:-1], none, device=labels.device)
    wanted[pairs.layer, pairs.image, pairs.query] = labels[pairs.image, pairs.segment]
    weights = torch.ones(none + 1, device=labels.device)
    weights[none] = no_object
    entropy = F.cross_entropy(
        found.classes.flatten(0, 2), wanted.flatten(), weight=weights, reduction="none"
    )
    logits = found.masks[pairs.layer, pairs.image, pairs.query]
    targets = masks[pairs.image, pairs.segment]
    cross = F.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(1)
    shares = logits.sigmoid()
    dice = 1 - (2 * (shares * targets).sum(1) + 1) / (shares.sum(1) + targets.sum(1) + 1)
    zero = cross.new_zeros(layers)
    return {
        "class": entropy.view(layers, -1).sum(1),
        "mask": zero.index_add(0, pairs.layer, cross),
        "dice": zero.index_add(0, pairs.layer, dice),
    }


def dense_loss(
    logits: Float[Tensor, "batch classes_and_none h w"],
    masks: Float[Tensor, "batch segments cells"],
    labels: Int[Tensor, "batch segments"],
) -> Float[Tensor, ""]:
    """Sums the cross-entropies of the cells' classes; a cell is of the segment with most of it."""
    none = logits.shape[1] - 1
    rest = (1 - masks.sum(1, keepdim=True)).clamp(min=0.01)
    first = torch.cat([rest, masks], 1).argmax(1)
    named = torch.where(labels < 0, none, labels)
    table = torch.cat([torch.full_like(named[:, :1], none), named], 1)
    wanted = table.gather(1, first)
    return F.cross_entropy(logits.flatten(2), wanted, reduction="sum")
