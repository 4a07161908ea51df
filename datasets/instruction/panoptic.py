"""Crayon instructions from COCO panoptic annotations (CoLLaVO, arXiv 2402.11248, Figure 5)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from collavo.datasets.instruction.image_state import panoptic_state
from collavo.datasets.instruction.rows import IMAGES_MEND
from collavo.datasets.instruction.shuffle import numbers
from collavo.datasets.instruction.source import BadRows, SourceSpec
from collavo.datasets.registration.readers.panoptic import (
    FRAME_VERSION,
    PanopticImage,
    PanopticSegment,
    read_map,
    read_panoptic,
    vocabulary_of,
)
from collavo.datasets.registration.roots import image_below
from collavo.errors import ConfigError, MissingFileError
from collavo.modeling.crayon.maps import crayon_maps
from collavo.modeling.crayon.text import NO_OBJECTS, CrayonObject, object_phrase
from collavo.modeling.segmenters.resize import to_grid
from collavo.records import Conversation, ImageRef, Segment, Segments, Turn

CLASS = "{class}"


@dataclass(frozen=True)
class Instruction:
    """One of the paper's templates.

    Args:
        name: Part of the sample ids.
        question: With `{class}` where the answer is about one class alone.
        boxed: Whether boxes stand in the answer.
    """

    name: str
    question: str
    boxed: bool


INSTRUCTIONS: tuple[Instruction, ...] = (
    Instruction(
        "names",
        "Provide multiple object names with their numbering index in the image.",
        boxed=False,
    ),
    Instruction(
        "boxes",
        "Provide multiple object names with their numbering index and the objects' bounding box "
        "coordinates in this image.",
        boxed=True,
    ),
    Instruction(
        "class",
        f"Provide multiple bounding box coordinates for {CLASS} in the image.",
        boxed=True,
    ),
)
"""Source: CoLLaVO, arXiv 2402.11248, Figure 5, whose `{select_class}` is `{class}` here."""

ANSWER = "Sure, it is {objects}."
"""Source: the same paper, Figure 5 and its protocol of crayon instructions."""


_NAMED, _BOXED = len("(#100 ), "), len("(#100 ) [0.00, 0.00, 0.00, 0.00], ")
"""Characters around an object's name, at most."""


class PanopticSource:
    """Three conversations an image: names with numbers, also with boxes, and boxes of one class.

    Numbers and boxes are those of the Crayon Prompt on the model's patch grid. Images without
    segments are left out. Needs the PNGs of segment ids in the folder named like the JSON.

    Args:
        spec: Its path is COCO's panoptic JSON; `images` the image folder, by default the one next
            to COCO's annotations (`../train2017` for `panoptic_train2017.json`).
        grid: Rows and columns (h, w) of the model's patch grid.
        seed: Chooses the class of the third conversation.

    Raises:
        MissingFileError: A file or folder is not there.
        DataError: The JSON is not of that format.
    """

    def __init__(self, spec: SourceSpec, grid: tuple[int, int], seed: int = 0) -> None:
        self.spec, self.grid = spec, grid
        self._json = Path(spec.path).expanduser()
        self._maps = self._json.with_suffix("")
        if self._json.is_file() and not self._maps.is_dir():
            raise MissingFileError(
                f"source {spec.name!r}: there is no folder {self._maps} of the panoptic PNGs; "
                f"unpack them there, next to {self._json.name}"
            )
        self._root = _image_root(spec, self._json)
        self._seed = seed
        content = read_panoptic(self._json)
        self._vocabulary = vocabulary_of(
            content, self._json, spec.classes, "say classes=own behind its path in TRAIN.DATA"
        )
        self._images = [image for image in content.images if image.segments]
        self.bad = BadRows()
        self._segments = lru_cache(maxsize=64)(self._segments_of)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the label ids of its segments."""
        return self._vocabulary.names

    def __len__(self) -> int:
        return len(self._images) * len(INSTRUCTIONS)

    def __getitem__(self, row: int) -> Conversation:
        """Makes one conversation.

        Raises:
            MissingFileError: The PNG of the image is not there.
            DataError: It is broken.
        """
        image, instruction = self._images[row // len(INSTRUCTIONS)], self._instruction(row)
        _, _, objects = crayon_maps(self.segments(row), self.class_names)
        chosen = self._chosen_class(row, objects) if CLASS in instruction.question else ""
        question = instruction.question.replace(CLASS, chosen)
        told = [o for o in objects if not chosen or o.name == chosen]
        return Conversation(
            sample_id=f"{self.spec.name}:{PurePosixPath(image.file_name).stem}/{instruction.name}",
            images=(self._photo(image),),
            turns=(Turn("user", question), Turn("assistant", _answer(told, instruction.boxed))),
            kind=self.spec.kind,
            task=self.spec.name,
            crayon_text=self.spec.crayon_text,
        )

    def num_images(self, row: int) -> int:
        """Always one."""
        return 1

    def has_image(self, row: int) -> bool:
        """Always."""
        return True

    def num_turns(self, row: int) -> int:
        """Always two."""
        return 2

    def length(self, row: int) -> int:
        """The most bytes that a row's text can have, by the names of its segments."""
        image, instruction = self._images[row // len(INSTRUCTIONS)], self._instruction(row)
        names = [self.class_names[self._label(s)] for s in image.segments]
        around = _BOXED if instruction.boxed else _NAMED
        told = sum(len(name) + around for name in names)
        return len(instruction.question) + max(map(len, names)) + len(NO_OBJECTS) + told

    def fingerprint(self) -> str:
        """The sha256 of JSON, grid and questions, and of maps' and images' sizes and times."""
        told = f"{self.grid} {self._seed} {INSTRUCTIONS} {self.spec.classes} {FRAME_VERSION}"
        whole = hashlib.sha256(told.encode())
        whole.update(panoptic_state(self._json, self._root, self._images).encode())
        return whole.hexdigest()

    def segments(self, row: int) -> Segments:
        """Returns the annotated segments of a row's image on the grid.

        Raises:
            MissingFileError: The PNG is not there.
            DataError: It is broken.
        """
        return self._segments(row // len(INSTRUCTIONS))

    def _segments_of(self, number: int) -> Segments:
        image = self._images[number]
        given = tuple(Segment(s.id, self._label(s), color=s.color) for s in image.segments)
        return to_grid(read_map(self._maps, image, self._photo(image)), given, self.grid)

    def _label(self, segment: PanopticSegment) -> int:
        return self._vocabulary.label_ids[segment.category_id]

    def _photo(self, image: PanopticImage) -> ImageRef:
        return image_below(self._root, image.file_name, self._root, str(self._json), IMAGES_MEND)

    def _instruction(self, row: int) -> Instruction:
        return INSTRUCTIONS[row % len(INSTRUCTIONS)]

    def _chosen_class(self, row: int, objects: Sequence[CrayonObject]) -> str:
        names = list(dict.fromkeys(o.name for o in objects))
        drawn = int(numbers(f"{self._seed}/class", row, 1)[0])
        return names[drawn % len(names)] if names else "any object"


def open_panoptic(spec: SourceSpec, grid: tuple[int, int] | None, seed: int) -> PanopticSource:
    """Opens a source of crayon instructions.

    Raises:
        ConfigError: The model has no patch grid.
    """
    if grid is None:
        raise ConfigError(
            f"source {spec.name!r}: crayon instructions need the patch grid of a model with a "
            "Crayon Prompt; leave the source out for other models"
        )
    return PanopticSource(spec, grid, seed)


def _answer(objects: Sequence[CrayonObject], boxed: bool) -> str:
    if not objects:
        return NO_OBJECTS
    return ANSWER.replace("{objects}", ", ".join(object_phrase(o, boxed=boxed) for o in objects))


def _image_root(spec: SourceSpec, json_file: Path) -> Path:
    beside = json_file.parent.parent / json_file.stem.removeprefix("panoptic_")
    usual = beside if beside.is_dir() else json_file.parent
    root = Path(spec.images).expanduser() if spec.images else usual
    if not root.is_dir():
        raise MissingFileError(
            f"source {spec.name!r}: there is no image folder {root}; set images= to the folder of "
            "the annotated images"
        )
    return root
