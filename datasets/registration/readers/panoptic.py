"""Reads COCO's panoptic format: a JSON of images, segments and categories.

Source: https://cocodataset.org/#format-data, "Panoptic Segmentation".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collavo.datasets.registration.coco_panoptic import COCO_PANOPTIC, Category
from collavo.datasets.registration.readers.rows import read_json
from collavo.errors import DataError, MissingFileError

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
    return PanopticImage(
        file_name=str(image["file_name"]),
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
