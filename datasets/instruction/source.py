"""Where conversations come from: the description of a source, and what every source can do."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol

from collavo.errors import ConfigError
from collavo.records import Conversation, Segments

KINDS = ("vl", "image")
FORMATS = ("llava", "folder", "parquet", "panoptic", "miniature", "mix")
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


@dataclass(frozen=True)
class SourceSpec:
    """Describes one source of conversations.

    Args:
        name: Its name in ids, losses and logs; that of the file or folder when empty.
        path: The file or folder, or the name of a part of the miniature world.
        images: The folder that image paths are relative to; that of the file when empty.
        kind: Which adapter a step of Dual QLoRA on it trains: "vl" or "image".
        weight: Its share of the samples is weight over the sum of weights; 0 leaves it out.
        crayon_text: Whether the sentence about the objects may stand in its prompts.
        limit: Only its first rows; 0 takes all.
        format: One of `FORMATS`, or "auto" for what the path's name says.
        scenes: How many scenes of the miniature world are drawn; 0 for its default.
        classes: Of format panoptic: "coco", or "own" for a crayon vocabulary of the file's own.
    """

    name: str
    path: str
    images: str = ""
    kind: str = "vl"
    weight: float = 1.0
    crayon_text: bool = True
    limit: int = 0
    format: str = "auto"
    scenes: int = 0
    classes: str = "coco"

    def __post_init__(self) -> None:
        where = f"source {self.name or self.path!r}"
        if not self.path:
            raise ConfigError(f"{where} has no path; name its file or folder")
        if self.kind not in KINDS:
            raise ConfigError(f"{where}: kind is {self.kind!r}; it may be {' or '.join(KINDS)}")
        if self.format not in (*FORMATS, "auto"):
            raise ConfigError(
                f"{where}: format is {self.format!r}; it may be one of auto, {', '.join(FORMATS)}"
            )
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise ConfigError(f"{where}: weight is {self.weight}; it has to be 0 or more")
        if self.classes not in ("coco", "own"):
            raise ConfigError(f"{where}: classes is {self.classes!r}; it may be coco or own")
        for key in ("limit", "scenes"):
            if getattr(self, key) < 0:
                raise ConfigError(f"{where}: {key} is {getattr(self, key)}; it may not be negative")


class Source(Protocol):
    """Conversations by number; the same number always gives the same conversation."""

    @property
    def spec(self) -> SourceSpec:
        """What it was made from."""
        ...

    @property
    def bad(self) -> BadRows:
        """Rows that were left out."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, row: int) -> Conversation: ...

    def num_images(self, row: int) -> int:
        """How many images a row is about, without reading it."""
        ...

    def has_image(self, row: int) -> bool:
        """Whether a row is about an image."""
        ...

    def num_turns(self, row: int) -> int:
        """How many turns a row has, without reading it."""
        ...

    def length(self, row: int) -> int:
        """The length of a row's text in bytes, or somewhat more, without reading it."""
        ...

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The names of the label ids of annotated segments; None where nothing is annotated."""
        ...

    def segments(self, row: int) -> Segments | None:
        """The annotated segments of a row's image on the patch grid, where there are any."""
        ...

    def fingerprint(self) -> str:
        """What identifies the content: a hash of the files' names, sizes and times."""
        ...


@dataclass(frozen=True)
class BadRows:
    """Rows that cannot be used.

    Args:
        count: How many.
        first: Sample id and problem of the first ones.
    """

    count: int = 0
    first: tuple[tuple[str, str], ...] = ()

    SHOWN = 10

    def __add__(self, other: BadRows) -> BadRows:
        return BadRows(self.count + other.count, (*self.first, *other.first)[: self.SHOWN])

    def text(self) -> str:
        """Lists the first ones, one a line."""
        lines = [f"  {name}: {problem}" for name, problem in self.first]
        more = self.count - len(self.first)
        return "\n".join([*lines, *([f"  and {more} more"] if more else [])])


def parse_source(given: str | Mapping[str, Any] | SourceSpec) -> SourceSpec:
    """Reads the description of a source.

    Crayon instructions (format panoptic, miniature:crayon) are of kind "image" and without crayon
    text unless the description says otherwise.

    Args:
        given: A text `format:path?key=value&key=value`, of which only the path is needed, or a
            mapping with the fields of `SourceSpec`.

    Raises:
        ConfigError: A key is unknown, or a value is not allowed.
    """
    if isinstance(given, SourceSpec):
        return given
    values = _of_text(given) if isinstance(given, str) else given
    if not isinstance(values, Mapping):
        raise ConfigError(
            "a source is a text such as llava:/data/x.json?images=/data&weight=2 or a mapping "
            f"{{path:, images:, ...}}, not a {type(values).__name__}: {values!r}"
        )
    known = {f.name: f for f in fields(SourceSpec)}
    for key in values:
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise ConfigError(
                f"a source has no key {key!r}; {hint}it may have {', '.join(known)}: {given!r}"
            )
    cast = {key: _cast(key, value, str(known[key].type)) for key, value in values.items()}
    path = str(cast.get("path", ""))
    format_ = str(cast.get("format") or "auto")
    cast["format"] = _format_of(path) if format_ == "auto" else format_
    crayon = cast["format"] == "panoptic" or (cast["format"] == "miniature" and path == "crayon")
    usual: dict[str, Any] = {"kind": "image", "crayon_text": False} if crayon else {}
    return SourceSpec(**{"name": _name_of(path, format_), "path": "", **usual, **cast})


def parse_sources(given: Sequence[str | Mapping[str, Any] | SourceSpec]) -> list[SourceSpec]:
    """Reads several descriptions; see `parse_source`."""
    return [parse_source(one) for one in given]


def _of_text(text: str) -> dict[str, str]:
    place, asked, settings = text.strip().partition("?")
    begin, colon, rest = place.partition(":")
    values = {"path": place}
    if colon and begin in FORMATS:
        values = {"path": rest, "format": begin}
    for pair in settings.split("&") if asked else []:
        key, equal, value = pair.partition("=")
        if not equal:
            raise ConfigError(
                f"source {text!r}: {pair!r} is not key=value; write path?key=value&key=value"
            )
        values[key] = value
    return values


def _cast(key: str, value: Any, wanted: str) -> Any:
    """Brings a value to its field's type; texts are read as such."""
    problem = ConfigError(f"a source's {key} is {value!r}; it has to be of type {wanted}")
    if wanted == "str":
        if not isinstance(value, (str, Path)):
            raise problem
        return str(value)
    if wanted == "bool":
        text = str(value).lower()
        if text not in (*_TRUE, *_FALSE):
            raise problem
        return text in _TRUE
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise problem
    try:
        return int(value) if wanted == "int" else float(value)
    except ValueError as error:
        raise problem from error


def _format_of(path: str) -> str:
    """What a path's name says of the format; "auto" where only looking into the folder helps."""
    name = Path(path).name.lower()
    if name.endswith((".yaml", ".yml")):
        return "mix"
    if name.endswith((".json", ".jsonl")):
        return "panoptic" if "panoptic" in name else "llava"
    return "parquet" if name.endswith(".parquet") else "auto"


def _name_of(path: str, format_: str) -> str:
    if format_ == "miniature":
        return f"miniature_{path}"
    name = Path(path).name
    return name.split(".")[0] or name
