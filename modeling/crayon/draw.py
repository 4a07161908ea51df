"""Draws the color map of the Crayon Prompt over an image: photo, map, legend, questions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from collavo.modeling.crayon.caption import fitting, with_captions
from collavo.modeling.crayon.legend import DrawnObject, with_legend
from collavo.modeling.crayon.maps import crayon_maps
from collavo.modeling.crayon.palette import INK, PALE, PAPER, font, ink_on
from collavo.modeling.image_policies.resize import resize
from collavo.records import Segments

if TYPE_CHECKING:
    from jaxtyping import UInt8
    from torch import Tensor

_OPACITY, _FADING = 0.5, 0.2
_SHORTEST, _LONGEST = 256, 2048
"""Sides in pixels below and above which an image is drawn larger or smaller than it is."""

_WIDE = 1.8
"""Width over height from which on the map stands below the photo instead of beside it."""

_OF_SIZE = 0.005
"""The share of the map from which on a segment is named in full, whatever its shape."""

_SAME_FRAME = 12.0
"""Mean difference, in levels, up to which a picture is taken for the whole photo squashed."""


def draw_crayon(
    image: Image.Image,
    segments: Segments,
    class_names: Sequence[str],
    asked: Sequence[tuple[str, str]] = (),
    picture: UInt8[Tensor, "3 height width"] | None = None,
) -> Image.Image:
    """Puts a photo beside its segments, outlined and named, with a legend and what was asked.

    The photo has its own size (unless it is very small or large). What no segment holds is greyed.
    The colors of classes are the same in every picture; instances of a class have shades of it.

    Args:
        image: Of any size and mode.
        segments: On the patch grid.
        class_names: The cleaned name of each label id.
        asked: Questions with their answers, written below.
        picture: RGB, what the segmenter was shown. Where a model pads or crops its images, the map
            is drawn over this, since it does not lie on the whole photo. None stretches the grid
            over the photo.
    """
    photo = image.convert("RGB")
    base = _sized(_under_the_grid(photo, picture))
    unit = max(12, round(math.sqrt(base.width * base.height) / 40))
    ids = segments.ids.clamp(min=0).cpu().numpy()
    objects = _objects(segments, class_names)
    large = _stretched(ids, base.width, base.height)
    drawn = _blended(base, large, objects, max(2, unit // 8))
    _write_labels(drawn, ids, objects, unit)
    rows, columns = ids.shape
    sheet = _side_by_side(
        (_sized(photo), f"photo, {photo.width} x {photo.height} pixels"),
        (drawn, f"crayon map, {columns} x {rows} patches"),
        unit,
    )
    return with_captions(with_legend(sheet, objects, unit), asked, unit, unit)


def _under_the_grid(photo: Image.Image, picture: Tensor | None) -> Image.Image:
    """The photo, or the picture where it shows another part of it than the whole."""
    if picture is None:
        return photo
    shown = Image.fromarray(picture.permute(1, 2, 0).cpu().numpy())
    squashed = np.asarray(resize(photo, shown.size, Image.Resampling.BILINEAR), dtype=np.float32)
    difference = np.abs(squashed - np.asarray(shown, dtype=np.float32)).mean()
    return photo if difference <= _SAME_FRAME else shown


def _side_by_side(
    left: tuple[Image.Image, str], right: tuple[Image.Image, str], unit: int
) -> Image.Image:
    """Puts two pictures on one sheet with a line of text below each; wide ones one above other."""
    below = left[0].width > _WIDE * left[0].height
    foot, gap = round(1.7 * unit), unit
    places = [(0, 0), (0, left[0].height + foot) if below else (left[0].width + gap, 0)]
    pairs = list(zip((left, right), places, strict=True))
    size = (
        max(x + drawn.width for (drawn, _), (x, _) in pairs),
        max(y + drawn.height + foot for (drawn, _), (_, y) in pairs),
    )
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    for (drawn, text), (x, y) in pairs:
        sheet.paste(drawn, (x, y))
        draw.text((x, y + drawn.height + foot // 2), text, PALE, font(unit), anchor="lm")
    return sheet


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


Box = tuple[float, float, float, float]


def _write_labels(
    drawn: Image.Image, ids: np.ndarray, objects: Sequence[DrawnObject], unit: int
) -> None:
    """Writes each object's title, or "#n" in a small one; the largest first, none over another."""
    draw = ImageDraw.Draw(drawn)
    placed: list[Box] = []
    masks = {item.id: ids == item.id for item in objects}
    for item in sorted(objects, key=lambda item: -int(masks[item.id].sum())):
        mask = masks[item.id]
        row, column = _roomiest_cell(mask)
        cell = drawn.width / mask.shape[1]
        run = _run_length(mask[row], column) * cell
        small = max(10, round(unit * 0.85))
        inside = font(small).getlength(item.title) + small < run
        named = inside or mask.mean() >= _OF_SIZE
        text = item.title if named else f"#{item.number}"
        text = fitting(text, small, drawn.width - small)
        width, height = font(small).getlength(text) + 0.6 * small, 1.35 * small
        center = ((column + 0.5) * cell, (row + 0.5) * drawn.height / mask.shape[0])
        box = _free_box(center, (width, height), drawn.size, placed)
        placed.append(box)
        x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        if math.hypot(x - center[0], y - center[1]) > height and not _within(center, box):
            draw.line((*center, x, y), INK, 3)  # a label beside its segment points to it
            draw.line((*center, x, y), item.color, 1)
        draw.rounded_rectangle(box, small // 3, item.color, PAPER, 1)
        draw.text((x, y), text, ink_on(item.color), font(small), anchor="mm")


def _free_box(
    center: tuple[float, float],
    extent: tuple[float, float],
    size: tuple[int, int],
    placed: Sequence[Box],
) -> Box:
    """A box within the picture, as near to `center` as is free; where none is, the freest."""
    width, height = extent
    best, least = (0.0, 0.0, 0.0, 0.0), math.inf
    steps = sorted(
        ((i, j) for i in range(-6, 7) for j in range(-2, 3)),
        key=lambda s: (abs(s[0]) * height + abs(s[1]) * width / 2, s),
    )
    for i, j in steps:
        x = min(max(center[0] + j * width / 2, width / 2 + 1), size[0] - width / 2 - 1)
        y = min(max(center[1] + i * height, height / 2 + 1), size[1] - height / 2 - 1)
        box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        covered = sum(_overlap(box, other) for other in placed)
        if covered < least:
            best, least = box, covered
        if covered == 0:
            break
    return best


def _overlap(a: Box, b: Box) -> float:
    """The area that two boxes share, in pixels."""
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _within(point: tuple[float, float], box: Box) -> bool:
    return box[0] <= point[0] <= box[2] and box[1] <= point[1] <= box[3]


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
