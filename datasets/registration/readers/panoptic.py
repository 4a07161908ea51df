"""Reads COCO's panoptic format: a JSON of images, segments and categories.

Source: https://cocodataset.org/#format-data, "Panoptic Segmentation".
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from collavo.datasets.registration.coco_panoptic import CLEAN_NAMES, COCO_PANOPTIC, Category
from collavo.datasets.registration.readers.rows import read_json
from collavo.errors import DataError, MissingFileError
from collavo.records import ImageRef

if TYPE_CHECKING:
    from jaxtyping import Int

FRAME_VERSION = 2
"""Counts changes of how a map is laid over its photo; part of what names kept maps."""

VOCABULARIES = ("coco", "own")
"""What the label ids of a file count: COCO panoptic's 133 classes, or the file's own."""

_ORIENTATION = 0x0112  # the EXIF tag
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
    """The content of one file: images in the annotations' order, categories by id."""

    images: tuple[PanopticImage, ...]
    categories: Mapping[int, Category]


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
        listed = [
            Category(int(c["id"]), str(c["name"]), int(c.get("isthing", 1)))
            for c in content.get("categories") or ()
        ]
        return Panoptic(
            tuple(_image(images[a["image_id"]], a) for a in content["annotations"]),
            {category.id: category for category in listed or COCO_PANOPTIC},
        )
    except KeyError as error:
        raise DataError(f"{path} is no COCO panoptic JSON: no {error}") from error
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise DataError(f"{path} is no COCO panoptic JSON: {error}") from error


def _image(image: Mapping[str, Any], annotation: Mapping[str, Any]) -> PanopticImage:
    name = str(image["file_name"])
    if not PurePosixPath(name).name:
        raise ValueError(f"an image's file_name is {name!r}, which names no file")
    return PanopticImage(
        file_name=name,
        png=str(annotation["file_name"]),
        segments=tuple(_segment(s) for s in annotation["segments_info"]),
        width=int(image.get("width") or 0),
        height=int(image.get("height") or 0),
    )


def _segment(info: Mapping[str, Any]) -> PanopticSegment:
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
        names = tuple(category.name.strip() for category in listed.values())
        if len(names) > len(CLEAN_NAMES) or len(set(map(_plain, names))) < len(names):
            raise DataError(
                f"{path} has {len(names)} categories, {len(set(map(_plain, names)))} of them of "
                f"different names; at most {len(CLEAN_NAMES)} are possible, all different"
            )
        return Vocabulary({number: k for k, number in enumerate(listed)}, names)
    known = {_plain(c.clean_name): k for k, c in enumerate(COCO_PANOPTIC)}
    known |= {_plain(c.name): k for k, c in enumerate(COCO_PANOPTIC)}
    used = {s.category_id for image in panoptic.images for s in image.segments}
    own = sorted({listed[n].name for n in used if _plain(listed[n].name) not in known})
    if own:
        raise DataError(
            f"{path} has classes of its own: {_some(own)}. The model's crayon vocabulary is COCO "
            f"panoptic's: rename them to its classes, or, to train a vocabulary of your own, {how}"
        )
    return Vocabulary({n: known[_plain(listed[n].name)] for n in used}, CLEAN_NAMES)


def _plain(name: str) -> str:
    return " ".join(name.lower().replace("_", " ").split())


def _some(items: Sequence[Any]) -> str:
    more = f" and {len(items) - 8} more" if len(items) > 8 else ""
    return ", ".join(map(str, items[:8])) + more


def read_map(path: Path, photo: ImageRef) -> Int[np.ndarray, "height width"]:
    """Reads a PNG of segment ids in the frame of its photo as it is shown: upright.

    A photo that EXIF turns turns its map, which annotators draw over the stored pixels; a map that
    has the upright photo's size already is taken as it is.

    Args:
        path: The PNG; an id is R + 256 G + 65536 B.
        photo: The image that it belongs to.

    Raises:
        MissingFileError: The map is not there.
        DataError: Map or photo cannot be read, or they differ in size.
    """
    try:
        with Image.open(path) as file:
            drawn = file.convert("RGB")
    except FileNotFoundError as error:
        raise MissingFileError(
            f"the panoptic map {path} of image {photo.label} is not there"
        ) from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise DataError(f"the panoptic map {path} cannot be read: {error}") from error
    stored, orientation = _frame(photo) or (drawn.size, 1)
    upright = stored[::-1] if orientation >= 5 else stored
    if drawn.size == stored and orientation in _TURNS:
        drawn = drawn.transpose(_TURNS[orientation])
    if drawn.size != upright:
        raise DataError(
            f"the panoptic map {path} is {drawn.width} x {drawn.height} pixels, but its image "
            f"{photo.label} {upright[0]} x {upright[1]}: they are not of one picture"
        )
    return np.asarray(drawn).astype(np.int64) @ np.array([1, 256, 65536])


def _frame(photo: ImageRef) -> tuple[tuple[int, int], int] | None:
    """The size of a photo's stored pixels, and its EXIF orientation (1 upright); from its header.

    None where the photo is not there: who needs its pixels says so.

    Raises:
        DataError: It cannot be read.
    """
    try:
        with Image.open(photo.path or io.BytesIO(photo.read())) as file:
            return file.size, int(file.getexif().get(_ORIENTATION, 1))
    except FileNotFoundError:
        return None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, TypeError) as error:
        raise DataError(f"image {photo.label} cannot be read: {error}") from error
