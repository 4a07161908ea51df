"""Draws the color map of the Crayon Prompt over an image, with a legend."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from collavo.modeling.crayon.legend import DrawnObject, with_legend
from collavo.modeling.crayon.maps import crayon_maps
from collavo.modeling.crayon.palette import PAPER, font, ink_on
from collavo.modeling.image_policies.resize import resize
from collavo.records import Segments

_OPACITY, _FADING = 0.5, 0.2
_SHORTEST, _LONGEST = 360, 2048
"""Sides in pixels below and above which an image is drawn larger or smaller than it is."""


def draw_crayon(image: Image.Image, segments: Segments, class_names: Sequence[str]) -> Image.Image:
    """Blends the segments over the image, outlined and named, with a legend at the right.

    What no segment holds is greyed. The colors of classes are the same in every picture.

    Args:
        image: Of any size and mode; the grid is stretched over it.
        segments: On the patch grid.
        class_names: The cleaned name of each label id.
    """
    base = _sized(image.convert("RGB"))
    unit = max(12, round(math.sqrt(base.width * base.height) / 40))
    ids = segments.ids.clamp(min=0).cpu().numpy()
    objects = _objects(segments, class_names)
    large = _stretched(ids, base.width, base.height)
    picture = _blended(base, large, objects, max(2, unit // 8))
    draw = ImageDraw.Draw(picture)
    for item in objects:
        _label(draw, ids == item.id, picture.size, item, unit)
    return with_legend(picture, objects, unit)


def _objects(segments: Segments, class_names: Sequence[str]) -> list[DrawnObject]:
    present = set(segments.ids.flatten().tolist())
    shown = [s for s in sorted(segments.segments, key=lambda s: s.id) if s.id in present]
    _, _, named = crayon_maps(segments, class_names)
    return [
        DrawnObject(segment.id, segment.label_id, item.number, item.name)
        for segment, item in zip(shown, named, strict=True)
    ]


def _sized(image: Image.Image) -> Image.Image:
    scale = max(1.0, _SHORTEST / min(image.size))
    scale = min(scale, _LONGEST / max(image.size))
    if scale == 1:
        return image
    width, height = (max(1, round(edge * scale)) for edge in image.size)
    return resize(image, (width, height), Image.Resampling.BICUBIC)


def _stretched(ids: np.ndarray, width: int, height: int) -> np.ndarray:
    rows = np.arange(height) * ids.shape[0] // height
    columns = np.arange(width) * ids.shape[1] // width
    return ids[rows][:, columns]


def _blended(
    image: Image.Image, ids: np.ndarray, objects: Sequence[DrawnObject], line: int
) -> Image.Image:
    """Tints each segment, greys the rest, and draws white outlines of `line` pixels.

    The image below is nearly grey, so that a tint keeps the hue of its class.
    """
    size = max([0, int(ids.max()), *(o.id for o in objects)]) + 1
    tints = np.full((size, 3), PAPER, dtype=np.uint8)
    shares = np.full(size, round(255 * _FADING), dtype=np.uint8)
    for item in objects:
        tints[item.id], shares[item.id] = item.color, round(255 * _OPACITY)
    faded = Image.blend(image, image.convert("L").convert("RGB"), 0.85)
    picture = Image.composite(Image.fromarray(tints[ids]), faded, Image.fromarray(shares[ids]))
    picture.paste(PAPER, mask=Image.fromarray(_edges(ids, line)))
    return picture


def _edges(ids: np.ndarray, line: int) -> np.ndarray:
    """Where outlines lie, as 0 and 255: from the border of two segments to the right and down."""
    edge = np.zeros(ids.shape, dtype=bool)
    edge[:, 1:] |= ids[:, 1:] != ids[:, :-1]
    edge[1:] |= ids[1:] != ids[:-1]
    edge[1:, 1:] |= ids[1:, 1:] != ids[:-1, :-1]
    for _ in range(line - 1):
        edge[:, 1:] |= edge[:, :-1].copy()
        edge[1:] |= edge[:-1].copy()
    return edge.astype(np.uint8) * 255


def _label(
    draw: ImageDraw.ImageDraw,
    mask: np.ndarray,
    size: tuple[int, int],
    item: DrawnObject,
    unit: int,
) -> None:
    """Writes the object's title where it has most room, or "#n" where the title is too wide."""
    row, column = _roomiest_cell(mask)
    cell = size[0] / mask.shape[1]
    run = _run_length(mask[row], column) * cell
    small = max(10, round(unit * 0.85))
    text = item.title if font(small).getlength(item.title) + small < run else f"#{item.number}"
    width, height = font(small).getlength(text) + 0.6 * small, 1.35 * small
    x = min(max((column + 0.5) * cell, width / 2 + 1), size[0] - width / 2 - 1)
    y = min(max((row + 0.5) * size[1] / mask.shape[0], height / 2 + 1), size[1] - height / 2 - 1)
    box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    draw.rounded_rectangle(box, small // 3, item.color, PAPER, 1)
    draw.text((x, y), text, ink_on(item.color), font(small), anchor="mm")


def _roomiest_cell(mask: np.ndarray) -> tuple[int, int]:
    """The cell that is farthest from the segment's edge, by peeling; the middle one of several."""
    inner = np.pad(mask, 1)
    while True:
        peeled = inner.copy()
        for axis in (0, 1):
            for step in (-1, 1):
                peeled &= np.roll(inner, step, axis)
        if not peeled.any():
            break
        inner = peeled
    rows, columns = np.nonzero(inner[1:-1, 1:-1])
    nearest = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
    return int(rows[nearest]), int(columns[nearest])


def _run_length(row: np.ndarray, column: int) -> int:
    """How many cells of the row around `column` belong to the segment, symmetrically."""
    reach = 0
    while (
        column - reach - 1 >= 0
        and column + reach + 1 < len(row)
        and row[column - reach - 1]
        and row[column + reach + 1]
    ):
        reach += 1
    return 2 * reach + 1
