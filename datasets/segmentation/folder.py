"""COCO-panoptic folders as training examples: a JSON, its PNGs and the images."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from collavo.datasets.instruction.image_state import panoptic_state
from collavo.datasets.mappers.image import open_image
from collavo.datasets.registration.readers.panoptic import (
    FRAME_VERSION,
    PanopticImage,
    read_map,
    read_panoptic,
    vocabulary_of,
)
from collavo.datasets.registration.roots import image_below
from collavo.datasets.segmentation.example import (
    MAX_SEGMENTS,
    PanopticExample,
    squeeze_image,
    squeeze_map,
)
from collavo.errors import DataError, MissingFileError

_MEND = "name the folder that holds them behind the path of the JSON: ?images=FOLDER"


class PanopticFolder:
    """Annotated images in COCO's panoptic format; groups ("iscrowd") count as no segment.

    Args:
        json_file: COCO panoptic JSON; its PNGs lie in the folder of its name.
        images: Where the images lie; that of the JSON when empty.
        size: Side of the squares in pixels, even.
        limit: Only the first images; 0 takes all.

    Raises:
        MissingFileError: The JSON or a folder is not there.
        DataError: The JSON is not of that format, or has a class that COCO panoptic has not.
    """

    def __init__(self, json_file: Path, images: Path | None, size: int, limit: int = 0) -> None:
        self._maps = json_file.with_suffix("")
        self._images = images or json_file.parent
        for folder in (self._maps, self._images):
            if json_file.is_file() and not folder.is_dir():
                raise MissingFileError(
                    f"TRAIN.DATA {json_file}: there is no folder {folder}; the PNGs lie in a folder"
                    " named like the JSON, the images where `images=` says"
                )
        content = read_panoptic(json_file)
        self._entries = content.images[: limit or None]
        self._json, self._size = json_file, size
        if not self._entries:
            raise DataError(f"{json_file}: no images")
        how = "train a segmenter of your own classes elsewhere: this one has COCO's 133"
        self._label_ids = vocabulary_of(content, json_file, "coco", how).label_ids

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, row: int) -> PanopticExample:
        entry = self._entries[row]
        photo = image_below(self._images, entry.file_name, self._images, str(self._json), _MEND)
        if photo.path is not None and not photo.path.is_file():
            raise MissingFileError(
                f"{self._json}: {photo.path} of image {entry.file_name} is not there"
            )
        image = squeeze_image(open_image(photo), (self._size,))
        ids = read_map(self._maps, entry, photo)
        panoptic, labels = _numbered(ids, entry, self._label_ids)
        return PanopticExample(image, squeeze_map(panoptic, self._size // 2), labels)

    def name(self, row: int) -> str:
        return self._entries[row].file_name

    def fingerprint(self) -> str:
        """Hashes the JSON, and the names, sizes and change times of maps and images."""
        state = panoptic_state(self._json, self._images, self._entries)
        state = hashlib.sha256(f"{FRAME_VERSION} {state}".encode()).hexdigest()
        return f"{state[:16]}-{len(self._entries)}"


def _numbered(
    ids: np.ndarray, entry: PanopticImage, label_ids: Mapping[int, int]
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Numbers the segments of a (H, W) map of ids 1, 2, ...; groups and the unknown are 0."""
    segments = [segment for segment in entry.segments if not segment.iscrowd][:MAX_SEGMENTS]
    values = np.array([segment.id for segment in segments] or [0])
    order = np.argsort(values)
    place = np.searchsorted(values[order], ids).clip(max=len(values) - 1)
    found = order[place]
    known = (values[found] == ids) & bool(segments)
    labels = tuple(label_ids[segment.category_id] for segment in segments)
    return np.where(known, found + 1, 0).astype(np.uint8), labels
