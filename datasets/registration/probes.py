"""Object-level probes on any ground truth in COCO's panoptic format.

Three questions about the countable classes of an image: is the class there (Class2Binary), what is
in this box (Box2Class), where is the class (Class2Box). Source: CoLLaVO, arXiv:2402.11248, figure 2
and section 1, which asks the first two about COCO's 80 classes; no code of it is published.

The datasets `probe_class2binary`, `probe_box2class` and `probe_class2box` read COCO val2017 below
the root (`coco/annotations/panoptic_val2017.json`, `coco/val2017/`), or the ground truth in
`panoptic/panoptic_val.json`. Any other is named by its path:

    probe_class2binary:/data/city/panoptic.json?images=/data/city/images
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qsl

from collavo.datasets.registration.readers.panoptic import (
    Box,
    PanopticImage,
    PanopticSegment,
    frame_or_none,
    read_panoptic,
    upright_box,
)
from collavo.datasets.registration.roots import find_file, image_ref, is_file, root
from collavo.datasets.registration.which_catalog import DatasetCatalog, MetadataCatalog
from collavo.errors import ConfigError, DataError
from collavo.records import ImageRef, Sample, one_image

_JSON = (
    "coco/annotations/panoptic_val2017.json",
    "coco2017/annotations/panoptic_val2017.json",
    "COCO/annotations/panoptic_val2017.json",
    "annotations/panoptic_val2017.json",
    "panoptic/panoptic_val.json",
)
_IMAGES = ("coco/val2017", "coco2017/val2017", "COCO/val2017", "val2017", "coco2014/val2014")
_COCO_2014 = "COCO_val2014_"
"""What names of COCO's 2014 release have before those of 2017; its val2017 is part of val2014."""

MINIATURE_IMAGES = 20
"""As many of the miniature's images are asked about."""

PREFIX = "probe_"
"""What the names of the datasets begin with."""

_KINDS = "class2binary|box2class|class2box"
_NAME = re.compile(rf"{PREFIX}(?P<kind>{_KINDS}):(?P<path>[^?]+)(?:\?(?P<rest>.*))?")


@dataclass(frozen=True)
class Seen:
    """One image and what is in it.

    Args:
        image: From the file.
        folder: Where the image lies.
        name: The image's name there.
        classes: The segments of each class of things that is there, by name.
    """

    image: PanopticImage
    folder: Path
    name: str
    classes: dict[str, list[PanopticSegment]]

    @property
    def key(self) -> str:
        """The image's name without its ending, for ids."""
        return PurePosixPath(self.image.file_name).with_suffix("").as_posix()

    @cached_property
    def photo(self) -> ImageRef:
        """The image itself."""
        return image_ref(self.folder, self.name, self.image.file_name)

    @cached_property
    def orientation(self) -> int:
        """How EXIF turns what the boxes are given of; 1 where they are of the upright photo.

        The file's width and height tell which; where both fit, boxes are of the stored pixels, as
        maps are.
        """
        frame = frame_or_none(self.photo)
        return frame.orientation if frame and frame.stored == self._size else 1

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the upright photo, as far as the file says."""
        return self._size[::-1] if self.orientation >= 5 else self._size

    @property
    def _size(self) -> tuple[int, int]:
        return self.image.width, self.image.height

    def box(self, segment: PanopticSegment) -> Box:
        """A segment's box in [0, 1] of the upright photo.

        Raises:
            DataError: The file gives no box or no size.
        """
        width, height = self._size
        if segment.box is None or not (width and height):
            raise DataError(
                f"{self.image.file_name}: segment {segment.id} has no bbox, or the image no width "
                "and height; probes of boxes need them"
            )
        x0, y0, x1, y1 = segment.box
        return upright_box((x0 / width, y0 / height, x1 / width, y1 / height), self.orientation)

    def sample(
        self, kind: str, inner: str, name: str, answers: Sequence[str], **extra: Any
    ) -> Sample:
        """Makes a sample about the class `name`; the pipeline words the question."""
        return Sample(
            sample_id=f"{PREFIX}{kind}:{self.key}/{inner}",
            images=one_image(self.photo),
            question=name,
            question_id=f"{self.key}/{inner}",
            answers=tuple(answers),
            category=name,
            extra={
                "image": self.image.file_name,
                "width": self.size[0],
                "height": self.size[1],
                **extra,
            },
        )


def class2binary(seen: Sequence[Seen]) -> Iterator[Sample]:
    """Asks whether a class is in an image, as often where it is as where it is not.

    For each class the images without it are taken in the order of a hash, so that the choice
    depends on nothing else.
    """
    absent: dict[int, list[str]] = {}
    for name in dict.fromkeys(name for one in seen for name in one.classes):
        present = sum(name in one.classes for one in seen)
        others = [k for k, one in enumerate(seen) if name not in one.classes]
        others.sort(key=lambda k: hashlib.sha256(f"{name}\0{seen[k].key}".encode()).digest())
        for k in others[:present]:
            absent.setdefault(k, []).append(name)
    for k, one in enumerate(seen):
        for name in one.classes:
            yield one.sample("class2binary", name, name, ("yes",))
        for name in absent.get(k, ()):
            yield one.sample("class2binary", name, name, ("no",))


def box2class(seen: Sequence[Seen]) -> Iterator[Sample]:
    """Asks what is in the box of each object; groups of objects are left out."""
    for one in seen:
        for name, segments in one.classes.items():
            for segment in segments:
                if not segment.iscrowd:
                    box = one.box(segment)
                    text = ", ".join(f"{edge:.2f}" for edge in box)
                    yield one.sample(
                        "box2class", str(segment.id), name, (name,), box=box, asked=f"[{text}]"
                    )


def class2box(seen: Sequence[Seen]) -> Iterator[Sample]:
    """Asks for a box of each class in an image; the box of any of its objects is right."""
    for one in seen:
        for name, segments in one.classes.items():
            boxes = [one.box(s) for s in segments if not s.iscrowd]
            if boxes:
                listed = [f"[{', '.join(f'{edge:.2f}' for edge in box)}]" for box in boxes]
                yield one.sample("class2box", name, name, listed, boxes=boxes)


PROBES = {"class2binary": class2binary, "box2class": box2class, "class2box": class2box}


def load_probe(
    kind: str, json_file: Path | None = None, images: Path | None = None
) -> list[Sample]:
    """Makes the questions of a probe.

    Args:
        kind: One of `PROBES`.
        json_file: The ground truth; by default the root's.
        images: The folder of its images; by default one named without "panoptic_" beside it.

    Raises:
        MissingFileError: A file is not there.
        DataError: The ground truth is broken, or holds no objects.
    """
    if json_file is None:
        found = root()
        json_file = find_file(found.path, *_JSON, what="COCO's panoptic ground truth")
        folders = [found.path / name for name in _IMAGES if (found.path / name).is_dir()]
        folders = folders or [found.path / _IMAGES[0]]
        only_present = json_file.parent.name == "panoptic"
        limit = MINIATURE_IMAGES if found.miniature else None
    else:
        folders, only_present, limit = [images or _beside(json_file)], False, None
    ground_truth = read_panoptic(json_file)
    things = {c.id: c.clean_name for c in ground_truth.categories.values() if c.isthing}
    seen = []
    for image in ground_truth.images:
        classes: dict[str, list[PanopticSegment]] = {}
        for segment in image.segments:
            if segment.category_id in things:
                classes.setdefault(things[segment.category_id], []).append(segment)
        place = _place(image, folders)
        if classes and (place or not only_present):
            folder, name = place or (folders[0], image.file_name)
            seen.append(Seen(image, folder, name, classes))
    samples = list(PROBES[kind](seen[:limit]))
    if not samples:
        raise DataError(
            f"{json_file}: no countable object (isthing) in an image of "
            f"{', '.join(str(f) for f in folders)}"
        )
    return samples


def _place(image: PanopticImage, folders: Sequence[Path]) -> tuple[Path, str] | None:
    """Finds the image, also under the name that COCO's 2014 release gives it."""
    path = PurePosixPath(image.file_name)
    for folder in folders:
        for name in (image.file_name, path.with_name(_COCO_2014 + path.name).as_posix()):
            if is_file(folder / name):
                return folder, name
    return None


def _beside(json_file: Path) -> Path:
    """Where the images of a ground truth lie if nothing is said: COCO's tree, or its folder."""
    name = json_file.stem.removeprefix("panoptic_")
    for folder in (json_file.parent / name, json_file.parent.parent / name):
        if folder.is_dir():
            return folder
    return json_file.parent


def is_probe(name: str) -> bool:
    """Tells whether a dataset's name is a probe with the path of its ground truth."""
    return _NAME.fullmatch(name) is not None


def register_probe(name: str) -> None:
    """Registers a probe on the ground truth that its name gives: `<probe>:<json>[?images=<dir>]`.

    Raises:
        ConfigError: An option is unknown.
    """
    match = _NAME.fullmatch(name)
    assert match is not None, "is_probe was asked"
    options = dict(parse_qsl(match["rest"] or ""))
    unknown = [option for option in options if option != "images"]
    if unknown:
        raise ConfigError(f"dataset {name!r}: unknown option {unknown[0]!r}; there is: images")
    images = Path(options["images"]).expanduser() if "images" in options else None
    path = Path(match["path"]).expanduser()
    _register(name, match["kind"], partial(load_probe, match["kind"], path, images), own_files=True)


_ABOUT = {
    "class2binary": ("yes_no", "is there an object of a class? As many no as yes for each class"),
    "box2class": ("text", "which class is the object in a box?"),
    "class2box": ("box", "where is an object of a class? Right from an IoU of 0.5 on"),
}

_PUBLISHED = {
    "class2binary": {"BLIP2": 60.8, "InstructBLIP": 91.3, "Qwen-VL": 75.1, "LLaVA-1.5": 86.9},
    "box2class": {"BLIP2": 24.6, "InstructBLIP": 22.1, "Qwen-VL": 59.1, "LLaVA-1.5": 59.8},
    "class2box": {},
}
"""Means over all objects (CoLLaVO, figure 2). Its questions, and how answers were read, are not
published in full, so these do not count as the same figure."""


def _register(name: str, kind: str, load: Any, **more: Any) -> None:
    answer_type, about = _ABOUT[kind]
    DatasetCatalog.register(name, load)
    MetadataCatalog.get(name).set(
        pipeline=kind,
        evaluator_type=kind,
        benchmark=kind,
        answer_type=answer_type,
        description=f"Object-level probe on COCO panoptic ground truth: {about}",
        published=[
            {
                "model": model,
                "metric": "class_accuracy",
                "value": value,
                "unit": "percent",
                "source": "arXiv:2402.11248, Figure 2",
                "parser": "CoLLaVO's own, unpublished",
            }
            for model, value in _PUBLISHED[kind].items()
        ],
        **more,
    )


for _kind in PROBES:
    _register(PREFIX + _kind, _kind, partial(load_probe, _kind))
