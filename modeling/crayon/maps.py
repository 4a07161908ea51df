"""Segments to the two maps of the Crayon Prompt and to its objects (arXiv 2402.11248, §3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from collavo.errors import ConfigError
from collavo.modeling.crayon.text import CrayonObject
from collavo.records import Segments

if TYPE_CHECKING:
    from jaxtyping import Int

MAX_NUMBER = 20
"""The highest number that the number map holds: the published table has rows 0..20."""


def crayon_maps(
    segments: Segments, class_names: Sequence[str]
) -> tuple[Int[torch.Tensor, "h w"], Int[torch.Tensor, "h w"], list[CrayonObject]]:
    """Returns the semantic map, the number map and the objects of one image.

    Segments that hold no cell are left out and not counted. The n-th segment of a class, in id
    order, gets number n; in the map it is at most `MAX_NUMBER`, where the original fails.

    Args:
        segments: The segments on the patch grid.
        class_names: The cleaned name of each label id.

    Returns:
        semantic (h, w) int64, 0 unknown and k + 1 for class k; number (h, w) int64, 0 unknown;
        and the objects, whose boxes end one cell after their last, in cells over the grid's size.

    Source: CoLLaVO commit fb419fa, collavo/arch/arch_collavo.py and collavo/utils/utils.py.
    """
    ids = segments.ids.cpu().long()
    ordered = sorted(segments.segments, key=lambda s: s.id)
    size = 1 + max([0, int(ids.max()), *(s.id for s in ordered)])
    semantic = torch.zeros(size, dtype=torch.int64)
    number = torch.zeros(size, dtype=torch.int64)
    counts: Counter[int] = Counter()
    objects: list[CrayonObject] = []
    for segment, box in zip(ordered, _boxes(ids, [s.id for s in ordered]), strict=True):
        if box is None:
            continue
        if not 0 <= segment.label_id < len(class_names):
            raise ConfigError(
                f"the segmenter gave class {segment.label_id}, but has names for "
                f"{len(class_names)} classes only; check its id2label"
            )
        counts[segment.label_id] += 1
        count = counts[segment.label_id]
        semantic[segment.id] = segment.label_id + 1
        number[segment.id] = min(count, MAX_NUMBER)
        objects.append(CrayonObject(class_names[segment.label_id], count, box))
    index = ids.clamp(min=0)
    return semantic[index], number[index], objects


def _boxes(
    ids: Int[torch.Tensor, "h w"], wanted: list[int]
) -> list[tuple[float, float, float, float] | None]:
    """The relative XYXY box of each wanted id, or None where it holds no cell."""
    if not wanted:
        return []
    height, width = ids.shape
    masks = ids[None] == torch.tensor(wanted)[:, None, None]
    rows, columns = masks.any(2).to(torch.uint8), masks.any(1).to(torch.uint8)
    edges = torch.stack(
        [
            columns.argmax(1),
            rows.argmax(1),
            width - columns.flip(1).argmax(1),
            height - rows.flip(1).argmax(1),
        ],
        1,
    ).tolist()
    return [
        (x1 / width, y1 / height, x2 / width, y2 / height) if present else None
        for (x1, y1, x2, y2), present in zip(edges, rows.any(1).tolist(), strict=True)
    ]
