"""From Mask2Former's logits to segments on the patch grid, by the rule that CoLLaVO was used with.

Source: `Mask2FormerImageProcessor.post_process_panoptic_segmentation` of transformers v4.39, as
CoLLaVO commit fb419fa calls it. The rule is written here once more because the library's may
change, and because its loop waits for the device once a segment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from collavo.records import Segment, Segments

if TYPE_CHECKING:
    from jaxtyping import Float

MASK_SIZE = (384, 384)
"""Height and width in pixels at which mask logits become probabilities, for every checkpoint."""

RULE_VERSION = 1
"""Counts changes of the rule; part of every segmenter's fingerprint, so that no cache is stale."""

_CHUNK = 64
"""Masks that are enlarged at a time: 64 x 384 x 384 x 4 bytes = 38 MB."""


@dataclass(frozen=True)
class Thresholds:
    """What a query needs to become a segment; all in [0, 1].

    Args:
        score: The class probability must be above it.
        mask: A cell counts to a query's own area if class x mask probability is at least it, so
            that with 0.95 the class probability must be at least 0.95 too.
        overlap: Cells won over own area must be above it.
    """

    score: float = 0.5
    mask: float = 0.95
    overlap: float = 0.8


def post_process(
    class_queries_logits: Float[torch.Tensor, "batch queries classes_and_none"],
    masks_queries_logits: Float[torch.Tensor, "batch queries height width"],
    grid: tuple[int, int],
    thresholds: Thresholds | None = None,
) -> list[Segments]:
    """Turns a batch of logits into panoptic segments; stuff is not fused.

    A cell goes to the kept query with the largest class x mask probability, however small it is;
    it stays empty if that query is then found too overlapped. Results lie on the CPU; the device
    is waited for twice a batch.

    Args:
        class_queries_logits: The last class is "no object".
        masks_queries_logits: At the model's mask resolution.
        grid: Rows and columns (h, w) of the result.
        thresholds: See `Thresholds`.
    """
    limits = thresholds or Thresholds()
    scores, labels = class_queries_logits.softmax(-1).max(-1)
    kept = (labels != class_queries_logits.shape[-1] - 1) & (scores > limits.score)
    image, query = kept.nonzero(as_tuple=True)
    counts = torch.bincount(image, minlength=kept.shape[0]).tolist()
    if not sum(counts):
        return [Segments(torch.zeros(grid, dtype=torch.int32), ()) for _ in counts]
    # from here on one row a kept query, image by image: (kept, ...)
    scores, labels = scores[image, query], labels[image, query]
    probabilities = _cell_probabilities(masks_queries_logits, image, query, grid)
    probabilities = probabilities * scores[:, None, None]
    owners, won = [], []
    for part in probabilities.split(counts):
        # ties go to the first query
        owner = part.argmax(0) if len(part) else torch.full(grid, -1, device=part.device)
        owners.append(owner)
        won.append((owner.flatten() == torch.arange(len(part), device=part.device)[:, None]).sum(1))
    # area before the contest; `won` is the area after it
    own = (probabilities >= limits.mask).flatten(1).sum(1)
    # Integer counts divided in float32 and compared in float64: 4/5 is above 0.8, as it was there.
    ratio = (torch.cat(won) / own).double()
    accepted = (torch.cat(won) > 0) & (own > 0) & (ratio > limits.overlap)
    table = torch.stack([accepted.double(), labels.double(), scores.double()], 1).cpu()
    maps = torch.stack(owners).cpu()
    return [_number(owner, rows) for owner, rows in zip(maps, table.split(counts), strict=True)]


def _cell_probabilities(
    logits: Float[torch.Tensor, "batch queries height width"],
    image: torch.Tensor,
    query: torch.Tensor,
    grid: tuple[int, int],
) -> Float[torch.Tensor, "kept h w"]:
    """Mask probabilities of the kept queries on the grid: sigmoid at full size, then bilinear."""
    parts = []
    for i, q in zip(image.split(_CHUNK), query.split(_CHUNK), strict=True):
        # two steps, as the original: probabilities at 384 x 384 first, since sigmoid and resizing
        # do not commute
        large = F.interpolate(
            logits[i, q][None], size=MASK_SIZE, mode="bilinear", align_corners=False
        )
        small = F.interpolate(large.sigmoid(), size=grid, mode="bilinear", align_corners=False)
        parts.append(small[0])
    return torch.cat(parts)


def _number(owner: torch.Tensor, rows: torch.Tensor) -> Segments:
    """Gives the accepted queries the ids 1, 2, ... in query order, all others 0."""
    accepted = rows[:, 0] > 0
    ids = torch.where(accepted, accepted.cumsum(0), 0)
    # The last entry is what cells without an owner (-1) find.
    lookup = torch.cat([ids, ids.new_zeros(1)]).to(torch.int32)
    segments = tuple(
        Segment(number, int(label), round(score, 6))
        for number, (_, label, score) in enumerate(rows[accepted].tolist(), start=1)
    )
    return Segments(lookup[owner], segments)
