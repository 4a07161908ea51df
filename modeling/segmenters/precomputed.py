"""Panoptic maps from disk in COCO's format, a JSON and PNGs: the ground truth, for one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor

from collavo.datasets.registration.readers.panoptic import (
    FRAME_VERSION,
    PanopticImage,
    read_map,
    read_panoptic,
    vocabulary_of,
)
from collavo.errors import ConfigError, DataError, MissingFileError
from collavo.modeling.segmenters.base import Segmenter
from collavo.modeling.segmenters.resize import RULE_VERSION, to_grid
from collavo.records import ImageRef, Segment, Segments
from collavo.registry import SEGMENTERS

_COCO_2014 = re.compile(r"COCO_(?:train|val|test)20\d\d_(?=\d{12}\.)")
"""COCO's 2014 images are those of 2017 with this before the name, and panoptic maps are of 2017."""


@SEGMENTERS.register("precomputed")
class PrecomputedSegmenter(Segmenter):
    """Panoptic PNGs and their JSON in COCO's format, by image file name; also the ground truth.

    An image is found by its file name; where several have that name, by as many of its folders as
    the JSON gives. The map, of the photo's size, is brought to the grid by majority (`to_grid`).

    Args:
        json_file: COCO panoptic JSON: images, annotations with segments_info.
        folder: Where the annotations' PNGs lie.
        grid: Rows and columns (h, w) of the answer.
        classes: "coco", or "own" for a crayon vocabulary of the file's own.

    Raises:
        MissingFileError: The JSON or the folder is not there.
        DataError: The JSON is not of that format.
    """

    needs_refs = True

    def __init__(
        self, json_file: Path, folder: Path, grid: tuple[int, int], classes: str = "coco"
    ) -> None:
        for path, there in ((json_file, json_file.is_file()), (folder, folder.is_dir())):
            if not there:
                raise MissingFileError(
                    f"SEGMENTER.PRECOMPUTED: there is no {path}; set SEGMENTER.PRECOMPUTED.JSON to "
                    "COCO panoptic's JSON and .FOLDER to the folder of its PNGs"
                )
        self.grid = grid
        self._json, self._folder = json_file, folder
        self._entries: dict[str, list[PanopticImage]] = {}
        content = read_panoptic(json_file)
        how = "set SEGMENTER.PRECOMPUTED.CLASSES own"
        vocabulary = vocabulary_of(content, json_file, classes, how)
        self.class_names, self._label_ids = vocabulary.names, vocabulary.label_ids
        for image in content.images:
            self._entries.setdefault(PurePosixPath(image.file_name).name, []).append(image)

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
        return cls(json_file, folder, grid, given.CLASSES)

    def segment(self, images: Tensor, refs: Sequence[ImageRef] | None = None) -> list[Segments]:
        if refs is None or len(refs) != len(images):
            raise DataError(
                "precomputed segments are found by the images' file names, and these images came "
                "without; use SEGMENTER.NAME mask2former for them"
            )
        return [self._one(ref) for ref in refs]

    def fingerprint(self) -> str:
        """Hashes the JSON and every PNG that it names."""
        rules = (self.grid, self.class_names, RULE_VERSION, FRAME_VERSION)
        whole = hashlib.sha256(repr(rules).encode())
        whole.update(self._json.read_bytes())
        for png in sorted({e.png for entries in self._entries.values() for e in entries}):
            path = self._folder / png
            digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "absent"
            whole.update(f"{png}\0{digest}\0".encode())
        return whole.hexdigest()

    def _one(self, ref: ImageRef) -> Segments:
        entry = self._find(ref)
        labelled = [Segment(s.id, self._label_ids[s.category_id]) for s in entry.segments]
        return to_grid(read_map(self._folder, entry, ref), labelled, self.grid)

    def _find(self, ref: ImageRef) -> PanopticImage:
        full = PurePosixPath(ref.path.as_posix() if ref.path is not None else ref.name)
        found = self._entries.get(full.name) or self._entries.get(_COCO_2014.sub("", full.name), [])
        if len(found) > 1:
            found = [e for e in found if f"/{full}".endswith(f"/{e.file_name}")]
        if len(found) != 1:
            problem = "has several annotations" if found else "has no annotation"
            raise DataError(
                f"image {ref.label} {problem} in {self._json}; precomputed segments are found by "
                "the image's file name"
            )
        return found[0]
