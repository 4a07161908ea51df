"""COCO-panoptic folders as training examples: a JSON, its PNGs and the images."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from collavo.datasets.registration.coco_panoptic import CONTIGUOUS_ID
from collavo.datasets.registration.readers.panoptic import PanopticImage, read_panoptic
from collavo.datasets.segmentation.example import (
    MAX_SEGMENTS,
    PanopticExample,
    squeeze_image,
    squeeze_map,
)
from collavo.errors import DataError, MissingFileError

_CHANNELS = np.array([1, 256, 65536])


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
        self._entries = read_panoptic(json_file).images[: limit or None]
        self._json, self._size = json_file, size
        unknown = {
            segment.category_id
            for entry in self._entries
            for segment in entry.segments
            if segment.category_id not in CONTIGUOUS_ID
        }
        if unknown or not self._entries:
            raise DataError(
                f"{json_file}: no images"
                if not self._entries
                else f"{json_file} has the category ids {sorted(unknown)[:8]}, which COCO panoptic "
                "has not; ids are 1..200 as in COCO"
            )

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, row: int) -> PanopticExample:
        entry = self._entries[row]
        try:
            with Image.open(self._images / entry.file_name) as file:
                image = squeeze_image(file, (self._size,))
            with Image.open(self._maps / entry.png) as file:
                ids = np.asarray(file.convert("RGB")).astype(np.int64) @ _CHANNELS
        except FileNotFoundError as error:
            raise MissingFileError(
                f"{self._json}: {error.filename} of image {entry.file_name} is not there"
            ) from error
        except (UnidentifiedImageError, OSError, ValueError) as error:
            raise DataError(f"{self._json}: image {entry.file_name}: {error}") from error
        panoptic, labels = _numbered(ids, entry)
        return PanopticExample(image, squeeze_map(panoptic, self._size // 2), labels)

    def name(self, row: int) -> str:
        return self._entries[row].file_name

    def fingerprint(self) -> str:
        digest = hashlib.sha256(self._json.read_bytes()).hexdigest()[:16]
        return f"{digest}-{len(self._entries)}"


def _numbered(ids: np.ndarray, entry: PanopticImage) -> tuple[np.ndarray, tuple[int, ...]]:
    """Numbers the segments of a (H, W) map of ids 1, 2, ...; groups and the unknown are 0."""
    segments = [segment for segment in entry.segments if not segment.iscrowd][:MAX_SEGMENTS]
    values = np.array([segment.id for segment in segments] or [0])
    order = np.argsort(values)
    place = np.searchsorted(values[order], ids).clip(max=len(values) - 1)
    found = order[place]
    known = (values[found] == ids) & bool(segments)
    labels = tuple(CONTIGUOUS_ID[segment.category_id] for segment in segments)
    return np.where(known, found + 1, 0).astype(np.uint8), labels
