"""Where the datasets lie: the root folder, and the files under it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from collavo.errors import ConfigError, DataError, MissingFileError
from collavo.records import ImageRef

VARIABLES = ("DATASET2", "DATASET", "VLDATASET", "DETECTRON2_DATASETS")
"""Environment variables that may hold the root, in order of precedence.

Source: README of ByungKwanLee/CoLLaVO, which asks to set all four.
"""

HOW_TO_SET = (
    "set DATASETS.ROOT (or the environment variable DATASET2) to the folder that holds the dataset"
)


@dataclass(frozen=True)
class Root:
    """The folder under which each dataset has its own.

    Args:
        path: The folder.
        source: What named it: "DATASETS.ROOT", an environment variable, or "built-in miniature".
        miniature: Whether it holds the built-in miniature of the datasets.
    """

    path: Path
    source: str
    miniature: bool = False


_chosen = ""
_miniature = True


def use_root(path: str | os.PathLike[str], miniature: bool = True) -> None:
    """Makes `path` (the value of DATASETS.ROOT; empty for none) the root from now on.

    Args:
        path: The folder.
        miniature: Whether the built-in miniature serves where no root is named.
    """
    global _chosen, _miniature
    _chosen, _miniature = os.fspath(path), miniature


def named_root() -> Root | None:
    """Finds the root that DATASETS.ROOT or the first variable of `VARIABLES` names, if any.

    Raises:
        MissingFileError: The named root is not a folder. Nothing falls back then.
    """
    named = [("DATASETS.ROOT", _chosen), *((name, os.environ.get(name, "")) for name in VARIABLES)]
    for source, value in named:
        if value.strip():
            path = Path(value).expanduser()
            if not _is_folder(path):
                raise MissingFileError(
                    f"the dataset root {value!r} (from {source}) is not a folder; set {source} to "
                    "the folder under which each dataset has its own"
                )
            return Root(path, source)
    return None


def root() -> Root:
    """Finds the root that is named, else builds the miniature.

    Raises:
        MissingFileError: The named root is not a folder. Nothing falls back then.
        ConfigError: No root is named, and the miniature may not serve.
    """
    named = named_root()
    if named is not None:
        return named
    if not _miniature:
        raise ConfigError(f"no dataset root is set; {HOW_TO_SET}")
    from collavo.datasets.miniature.build import miniature_root

    return Root(miniature_root(), "built-in miniature", miniature=True)


def find_folder(*names: str, what: str = "") -> Path:
    """Finds the first of the folders `names` under the root.

    Args:
        names: Paths below the root, the usual one first.
        what: What lies there ("MME"), for the message.

    Raises:
        MissingFileError: None is there; the message says where it was looked for.
    """
    place = root()
    for name in names:
        if _is_folder(place.path / name):
            return place.path / name
    raise _missing(what or names[0], [place.path / name for name in names], place)


def find_file(folder: Path, *names: str, what: str = "") -> Path:
    """Finds the first of the files `names` in `folder`.

    Args:
        folder: The dataset's folder, as `find_folder` gives it.
        names: Paths below `folder`, the usual one first.
        what: What the file holds ("the labels of POPE's random split"), for the message.

    Raises:
        MissingFileError: None is there; the message says which, where, and which variable to set.
    """
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise _missing(what or names[0], [folder / name for name in names], root())


def image_ref(folder: Path, name: str, place: str) -> ImageRef:
    """Refers to the image `name` below `folder`; see `image_below`.

    Args:
        folder: The folder of the dataset's images.
        name: The image's path below it, as the dataset's file gives it.
        place: File and line of the record, for the message.

    Raises:
        DataError: The path is empty or leaves `folder`.
    """
    return image_below(folder, name, folder, place)


LONGEST_PATH = 4096
"""Characters of a path on Linux (PATH_MAX)."""

_IMAGE_END = re.compile(
    r"\.(?:jpe?g|png|gif|bmp|webp|tiff?|ppm|heic|avif|jp2|svg)(?:\?\S*)?", re.IGNORECASE
)
_FILE_URL = re.compile(r"file:(?://(?:localhost(?=/))?|(?=/))", re.IGNORECASE)
_OTHER_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


ROOT_MEND = (
    "name the folder that holds them (behind the path of a dataset of your own: "
    "?image_root=FOLDER; as image_root in the metadata of one that is registered; behind training "
    "data: ?images=FOLDER)"
)


def image_below(
    root: Path, name: str, start: Path | Sequence[Path], place: str, mend: str = ROOT_MEND
) -> ImageRef:
    """Refers to an image by the one rule for paths in data: below `root` it is read, else refused.

    Below is meant of the text of the path, its ".." steps taken: links below the root are followed,
    since image folders and the hub's cache are made of them. "~" and "%20" are letters like others.

    Args:
        root: The folder that no path may leave.
        name: The path as the data give it: absolute, or from `start`; "file://" may stand before.
        start: Where relative paths begin; of several folders the first that has the file.
        place: File and line of the record, for the message.
        mend: What helps where images lie elsewhere, for the message.

    Raises:
        DataError: It is no path of a file, or it leaves `root`.
    """
    path = _FILE_URL.sub("", name.strip(), count=1)
    if _OTHER_URL.match(path):
        raise DataError(f"{place}: images are not downloaded: {name!r:.80}; name a file")
    if not path or "\0" in path or len(path) > LONGEST_PATH:
        raise DataError(f"{place}: {name!r:.80} is no image path")
    starts = [start] if isinstance(start, Path) else start
    # no step up is left to the system: behind a link it leads elsewhere than the text says
    begin = starts[0] if len(starts) == 1 else _start(root, starts, os.path.normpath(path))
    whole = root / os.path.normpath(os.path.join(os.path.relpath(begin, root), path))
    try:
        return ImageRef(path=whole, root=root)
    except ValueError as error:
        raise DataError(
            f"{place}: image path {path!r:.120} leaves the dataset folder {root}, and "
            f"images are read below it alone: move them there, or {mend}"
        ) from error


def is_image_name(text: str) -> bool:
    """Whether a text is an image file's name or path, by its ending."""
    return ends_in(_IMAGE_END, text.strip())


def ends_in(ending: re.Pattern[str], text: str) -> bool:
    """Whether a text is the name of one file with such an ending: no sentence, and no lines."""
    if len(text) > LONGEST_PATH or "\n" in text or text.count(" ") > 3:
        return False
    dot = text.partition("?")[0].rfind(".")
    return dot > 0 and ending.fullmatch(text, dot) is not None


def _start(root: Path, folders: Sequence[Path], path: str) -> Path:
    """The first folder that has the file; where none has it, what a message had best name."""
    for folder in folders:
        if is_file(folder / path):
            return folder
    return root if path.startswith("..") else next(filter(_is_folder, folders), root)


def is_file(path: Path) -> bool:
    """Whether a file is there; a name that no file can have is none."""
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except ValueError:  # a NUL in the path
        return False


def _missing(what: str, looked: list[Path], place: Root) -> MissingFileError:
    where = ", ".join(str(path) for path in looked)
    return MissingFileError(
        f"{what} is missing: looked for {where} (root from {place.source}); {HOW_TO_SET}"
    )
