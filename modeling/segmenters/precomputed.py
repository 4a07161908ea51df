"""Panoptic maps from disk in COCO's format, a JSON and PNGs: the ground truth, for one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from collavo.datasets.registration.coco_panoptic import CLEAN_NAMES, CONTIGUOUS_ID
from collavo.datasets.registration.readers.panoptic import read_panoptic
from collavo.errors import ConfigError, DataError, MissingFileError
from collavo.modeling.segmenters.base import Segmenter
from collavo.modeling.segmenters.resize import RULE_VERSION, to_grid
from collavo.records import ImageRef, Segment, Segments
from collavo.registry import SEGMENTERS

_COCO_2014 = re.compile(r"COCO_(?:train|val|test)20\d\d_(?=\d{12}\.)")
"""COCO's 2014 images are those of 2017 with this before the name, and panoptic maps are of 2017."""


@dataclass(frozen=True)
class _Entry:
    image: str
    png: str
    segments: tuple[Segment, ...]


@SEGMENTERS.register("precomputed")
class PrecomputedSegmenter(Segmenter):
    """Panoptic PNGs and their JSON in COCO's format, by image file name; also the ground truth.

    An image is found by its file name; where several have that name, by as many of its folders as
    the JSON gives. The map is brought to the grid by majority (`to_grid`), whatever its size.

    Args:
        json_file: COCO panoptic JSON: images, annotations with segments_info.
        folder: Where the annotations' PNGs lie.
        grid: Rows and columns (h, w) of the answer.

    Raises:
        MissingFileError: The JSON or the folder is not there.
        DataError: The JSON is not of that format.
    """

    needs_refs = True

    def __init__(self, json_file: Path, folder: Path, grid: tuple[int, int]) -> None:
        for path, there in ((json_file, json_file.is_file()), (folder, folder.is_dir())):
            if not there:
                raise MissingFileError(
                    f"SEGMENTER.PRECOMPUTED: there is no {path}; set SEGMENTER.PRECOMPUTED.JSON to "
                    "COCO panoptic's JSON and .FOLDER to the folder of its PNGs"
                )
        self.grid = grid
        self.class_names = CLEAN_NAMES
        self._json, self._folder = json_file, folder
        self._entries: dict[str, list[_Entry]] = {}
        for entry in _read(json_file):
            self._entries.setdefault(PurePosixPath(entry.image).name, []).append(entry)

    @classmethod
    def from_config(
        cls, cfg: Any, grid: tuple[int, int], device: torch.device | str = "cpu"
    ) -> PrecomputedSegmenter:
        """Reads SEGMENTER.PRECOMPUTED.JSON; the folder is by default named like it, as COCO's is.

        Args:
            cfg: The configuration.
            grid: Rows and columns of the model's patch grid.
            device: Not used.

        Raises:
            ConfigError: SEGMENTER.PRECOMPUTED.JSON is not set.
        """
        given = cfg.SEGMENTER.PRECOMPUTED
        if not given.JSON:
            raise ConfigError(
                "SEGMENTER.NAME precomputed needs SEGMENTER.PRECOMPUTED.JSON, the path of a COCO "
                "panoptic JSON"
            )
        json_file = Path(given.JSON).expanduser()
        folder = Path(given.FOLDER).expanduser() if given.FOLDER else json_file.with_suffix("")
        return cls(json_file, folder, grid)

    def segment(self, images: Tensor, refs: Sequence[ImageRef] | None = None) -> list[Segments]:
        if refs is None or len(refs) != len(images):
            raise DataError(
                "precomputed segments are found by the images' file names, and these images came "
                "without; use SEGMENTER.NAME mask2former for them"
            )
        return [self._one(ref) for ref in refs]

    def fingerprint(self) -> str:
        """Hashes the JSON and every PNG that it names."""
        whole = hashlib.sha256(repr((self.grid, CLEAN_NAMES, RULE_VERSION)).encode())
        whole.update(self._json.read_bytes())
        for png in sorted({e.png for entries in self._entries.values() for e in entries}):
            path = self._folder / png
            digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "absent"
            whole.update(f"{png}\0{digest}\0".encode())
        return whole.hexdigest()

    def _one(self, ref: ImageRef) -> Segments:
        entry = self._find(ref)
        path = self._folder / entry.png
        try:
            with Image.open(path) as file:
                rgb = np.asarray(file.convert("RGB")).astype(np.int64)
        except FileNotFoundError as error:
            raise MissingFileError(
                f"the panoptic map {path} of image {ref.label} is not there"
            ) from error
        except (UnidentifiedImageError, OSError, ValueError) as error:
            raise DataError(f"the panoptic map {path} cannot be read: {error}") from error
        return to_grid(rgb @ np.array([1, 256, 65536]), entry.segments, self.grid)

    def _find(self, ref: ImageRef) -> _Entry:
        full = PurePosixPath(ref.path.as_posix() if ref.path is not None else ref.name)
        found = self._entries.get(full.name) or self._entries.get(_COCO_2014.sub("", full.name), [])
        if len(found) > 1:
            found = [e for e in found if f"/{full}".endswith(f"/{e.image}")]
        if len(found) != 1:
            problem = "has several annotations" if found else "has no annotation"
            raise DataError(
                f"image {ref.label} {problem} in {self._json}; precomputed segments are found by "
                "the image's file name"
            )
        return found[0]


def _read(path: Path) -> list[_Entry]:
    try:
        return [
            _Entry(
                image.file_name,
                image.png,
                tuple(Segment(s.id, CONTIGUOUS_ID[s.category_id]) for s in image.segments),
            )
            for image in read_panoptic(path).images
        ]
    except KeyError as error:
        raise DataError(
            f"{path} is no COCO panoptic JSON: no {error} (category ids are 1..200 as in COCO)"
        ) from error
