"""Reads COCO's panoptic format: a JSON of images, segments and categories.

Source: https://cocodataset.org/#format-data, "Panoptic Segmentation".
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from collavo.datasets.mappers.image import Frame, frame_of
from collavo.datasets.registration.coco_panoptic import CLEAN_NAMES, COCO_PANOPTIC, Category
from collavo.datasets.registration.readers.rows import read_json
from collavo.datasets.registration.roots import image_below
from collavo.errors import DataError, MissingFileError
from collavo.records import ImageRef

if TYPE_CHECKING:
    from jaxtyping import Int

logger = logging.getLogger(__name__)

FRAME_VERSION = 3
"""Counts changes of how a map is laid over its photo; part of what names kept maps."""

VOCABULARIES = ("coco", "own")
"""What the label ids of a file count: COCO panoptic's 133 classes, or the file's own."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What brings stored pixels upright, by EXIF orientation. Source: Pillow's `exif_transpose`."""

_MAPS_MEND = "name the folder that holds them (SEGMENTER.PRECOMPUTED.FOLDER)"

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class PanopticSegment:
    """One segment of an image.

    Args:
        id: Its value in the PNG.
        category_id: As the file counts.
        box: XYXY in pixels; None where the file gives none.
        iscrowd: Whether it is a group of objects.
        color: Its colour in a word, where the file has one; COCO's files have none.
    """

    id: int
    category_id: int
    box: Box | None = None
    iscrowd: bool = False
    color: str = ""


@dataclass(frozen=True)
class PanopticImage:
    """One annotated image.

    Args:
        file_name: Of the image.
        png: Of its map of segment ids.
        segments: In the file's order.
        width: In pixels; 0 where the file does not say.
        height: In pixels.
    """

    file_name: str
    png: str
    segments: tuple[PanopticSegment, ...]
    width: int = 0
    height: int = 0


@dataclass(frozen=True)
class Panoptic:
    """The content of one file.

    Args:
        images: In the annotations' order.
        categories: By id, in the order of the ids.
        named: Whether the file lists its categories; else they are taken for COCO's.
    """

    images: tuple[PanopticImage, ...]
    categories: Mapping[int, Category]
    named: bool = True


def read_panoptic(path: Path) -> Panoptic:
    """Reads the file; without categories they are COCO's.

    Raises:
        MissingFileError: It is not there.
        DataError: It is not of that format.
    """
    try:
        content = read_json(path)
    except MissingFileError:
        raise
    except DataError as error:
        raise DataError(f"{path} is no COCO panoptic JSON: {error}") from error
    try:
        images = {image["id"]: image for image in content["images"]}
        listed = _categories(content.get("categories") or ())
        return Panoptic(
            tuple(_image(images, annotation) for annotation in content["annotations"]),
            listed or {category.id: category for category in COCO_PANOPTIC},
            bool(listed),
        )
    except KeyError as error:
        raise DataError(f"{path} is no COCO panoptic JSON: no {error}") from error
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise DataError(f"{path} is no COCO panoptic JSON: {error}") from error


def _categories(given: Any) -> dict[int, Category]:
    """Reads categories, by id.

    Raises:
        ValueError: One has no id or name, or an id stands for two names.
    """
    found: dict[int, Category] = {}
    for entry in given:
        number, name = entry.get("id"), entry.get("name")
        if not isinstance(name, str) or not name.strip() or number is None:
            raise ValueError(
                f"category {entry!r:.120} has no id or no name; classes are told by their names"
            )
        thing = entry.get("isthing")
        category = Category(int(number), name.strip(), 1 if thing is None else int(thing))
        if found.setdefault(category.id, category).name != category.name:
            raise ValueError(
                f"category id {category.id} stands for {found[category.id].name!r} and for "
                f"{category.name!r}; give each class an id of its own"
            )
    return dict(sorted(found.items()))


def _image(images: Mapping[Any, Any], annotation: Mapping[str, Any]) -> PanopticImage:
    number = annotation["image_id"]
    if number not in images:
        raise ValueError(f"an annotation is of image {number!r:.60}, which 'images' does not list")
    image = images[number]
    name = image["file_name"]
    for what, value in (("images", name), ("annotations", annotation["file_name"])):
        if not isinstance(value, str) or not PurePosixPath(value).name:
            raise ValueError(f"a file_name in {what!r} is {value!r:.60}, which names no file")
    return PanopticImage(
        file_name=name,
        png=annotation["file_name"],
        segments=tuple(_segment(name, s) for s in annotation["segments_info"]),
        width=int(image.get("width") or 0),
        height=int(image.get("height") or 0),
    )


def _segment(image: str, info: Mapping[str, Any]) -> PanopticSegment:
    for key in ("id", "category_id"):
        if info[key] is None:  # NaN, too
            raise ValueError(f"a segment of image {image} has no {key}: {info!r:.120}")
    box = None
    if info.get("bbox") is not None:
        left, top, width, height = (float(x) for x in info["bbox"])
        box = (left, top, left + width, top + height)
    number, kind = int(info["id"]), int(info["category_id"])
    color = str(info.get("color") or "")
    return PanopticSegment(number, kind, box, bool(info.get("iscrowd")), color)


@dataclass(frozen=True)
class Vocabulary:
    """Which class each category of a file is.

    Args:
        label_ids: From a category's id to its place in `names`.
        names: The classes' names, as the Crayon Prompt writes them.
    """

    label_ids: Mapping[int, int]
    names: tuple[str, ...]


def vocabulary_of(panoptic: Panoptic, path: Path, which: str, how: str) -> Vocabulary:
    """Reads the classes of a file by their names; equal ids alone make no class COCO's.

    Args:
        panoptic: The file's content.
        path: The file, for messages.
        which: "coco" for COCO panoptic's 133 classes, "own" for the file's categories in their
            order, which have to fit into the model's table of 133 classes.
        how: What to set for "own", for the message.

    Raises:
        DataError: A segment's category is not listed, or the names are not of the vocabulary.
    """
    listed = panoptic.categories
    for image in panoptic.images:
        for segment in image.segments:
            if segment.category_id not in listed:
                raise DataError(
                    f"{path}: image {image.file_name} has category {segment.category_id}, which "
                    f"'categories' does not list; its ids are {_some(sorted(listed))}"
                )
    if which == "own":
        return _own(panoptic, path)
    if not panoptic.named:
        logger.warning("%s lists no categories: its ids are read as COCO panoptic's", path)
    known = {_class(c.name): k for k, c in enumerate(COCO_PANOPTIC)}
    used = {s.category_id for image in panoptic.images for s in image.segments}
    own = sorted({listed[n].name for n in used if _class(listed[n].name) not in known})
    if own:
        raise DataError(
            f"{path} has classes of its own: {_some(own)}. The model's crayon vocabulary is COCO "
            f"panoptic's: rename them to its classes, or, to train a vocabulary of your own, {how}"
        )
    return Vocabulary({n: known[_class(listed[n].name)] for n in used}, CLEAN_NAMES)


def _own(panoptic: Panoptic, path: Path) -> Vocabulary:
    """A file's own categories as a vocabulary, in the order of their ids."""
    if not panoptic.named:
        raise DataError(f"{path} lists no categories, so it has no vocabulary of its own")
    names = tuple(category.name for category in panoptic.categories.values())
    different = len({_plain(name) for name in names})
    if len(names) > len(CLEAN_NAMES) or different < len(names):
        raise DataError(
            f"{path} has {len(names)} categories, {different} of them of different names; at most "
            f"{len(CLEAN_NAMES)} are possible, all different"
        )
    return Vocabulary({number: k for k, number in enumerate(panoptic.categories)}, names)


def _plain(name: str) -> str:
    """A name whatever its case, with any sign between its words."""
    return " ".join(re.split(r"[\s_-]+", name.strip().lower()))


def _class(name: str) -> str:
    """A name as COCO's classes are told apart: "sky-other-merged", "Sky_other" and "sky" are one.

    All 133 differ without what their names end in.
    """
    words = _plain(name).split()
    while len(words) > 1 and words[-1] in ("merged", "other", "stuff"):
        words.pop()
    return " ".join(words)


def _some(items: Sequence[Any]) -> str:
    more = f" and {len(items) - 8} more" if len(items) > 8 else ""
    return ", ".join(map(str, items[:8])) + more


def read_map(
    folder: Path, image: PanopticImage, photo: ImageRef
) -> Int[np.ndarray, "height width"]:
    """Reads a PNG of segment ids in the frame of its photo as it is shown: upright.

    A photo that EXIF turns turns its map, which annotators draw over the stored pixels; a map that
    has the upright photo's size alone is taken as it is.

    Args:
        folder: Where the PNGs lie; none is read elsewhere.
        image: Names the PNG, and its segments; an id is R + 256 G + 65536 B.
        photo: The image that it belongs to; its map is not turned where it is not there.

    Raises:
        MissingFileError: The map is not there.
        DataError: Map or photo cannot be read, they differ in size, or the map holds other ids than
            the segments' alone.
    """
    drawn = _read_png(folder, image, photo)
    path = folder / image.png
    frame = frame_or_none(photo) or Frame(drawn.size, 1)
    if drawn.size == frame.stored and frame.orientation in _TURNS:
        drawn = drawn.transpose(_TURNS[frame.orientation])
    if drawn.size != frame.upright:
        raise DataError(
            f"the panoptic map {path} is {drawn.width} x {drawn.height} pixels, but its image "
            f"{photo.label} {frame.upright[0]} x {frame.upright[1]}: they are not of one picture"
        )
    ids = np.asarray(drawn).astype(np.int64) @ np.array([1, 256, 65536])
    wanted = [segment.id for segment in image.segments]
    # other ids than 0, void: a map of another encoding, or of another picture
    if wanted and ids.any() and not np.isin(ids, wanted).any():
        raise DataError(
            f"the panoptic map {path} holds none of the segments {_some(wanted)} of image "
            f"{image.file_name}, but {_some(np.unique(ids).tolist())}; a pixel's id is R + 256 G + "
            "65536 B"
        )
    return ids


def _read_png(folder: Path, image: PanopticImage, photo: ImageRef) -> Image.Image:
    ref = image_below(folder, image.png, folder, f"map of {image.file_name}", _MAPS_MEND)
    assert ref.path is not None, "it is a path's"
    if not ref.path.is_file():
        raise MissingFileError(f"the panoptic map {ref.path} of image {photo.label} is not there")
    try:
        with Image.open(ref.path) as file:
            return file.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"the panoptic map {ref.path} cannot be read: {error}") from error


def frame_or_none(photo: ImageRef) -> Frame | None:
    """A photo's frame; None where the photo is not there: who needs its pixels says so.

    Raises:
        DataError: It cannot be read.
    """
    if photo.path is not None and not os.path.exists(photo.path):  # False where it cannot be
        return None
    return frame_of(photo)


def upright_box(box: Box, orientation: int) -> Box:
    """Turns a box of the stored pixels as EXIF turns the photo; XYXY in shares of the photo."""
    x0, y0, x1, y1 = box
    if orientation >= 5:  # mirrored at the diagonal first
        x0, y0, x1, y1 = y0, x0, y1, x1
    if orientation in (2, 3, 6, 7):
        x0, x1 = 1 - x1, 1 - x0
    if orientation in (3, 4, 7, 8):
        y0, y1 = 1 - y1, 1 - y0
    return x0, y0, x1, y1
