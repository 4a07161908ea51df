"""Layouts: the forms in which people have a benchmark on disk; the first that is there is read.

A registration lists its layouts, the usual one first, and `DATASETS.LAYOUT` names another:

    load_layouts("seed", ("SEED-Bench", "seed"), (
        Layout("original", find_json, read_json, "SEED-Bench.json"),
        hf_layout("test", to_samples),
        tsv_layout(("SEEDBench_IMG.tsv",), tsv_to_samples),
    ))
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collavo.datasets.registration.readers.cells import cell_ref, cell_refs
from collavo.datasets.registration.readers.hub import hf_configs, hf_files, hf_rows
from collavo.datasets.registration.readers.parquet import parquet_rows
from collavo.datasets.registration.readers.rows import Row
from collavo.datasets.registration.readers.tsv import is_na, tsv_rows
from collavo.datasets.registration.roots import HOW_TO_SET, root, use_root
from collavo.errors import MissingFileError
from collavo.records import Sample

__all__ = [
    "LAYOUTS",
    "Layout",
    "cell_ref",
    "cell_refs",
    "hf_configs",
    "hf_files",
    "hf_layout",
    "hf_rows",
    "is_na",
    "layout_of",
    "load_layouts",
    "parquet_rows",
    "tsv_layout",
    "tsv_rows",
    "use_layout",
]

logger = logging.getLogger(__name__)

LAYOUTS = ("original", "authors", "llava", "hf", "vlmevalkit")
"""The names of layouts: CoLLaVO's folders, the benchmark's release, LLaVA's files, a local copy of
the Hugging Face dataset, VLMEvalKit's table."""

_wanted = ""
_read: dict[str, str] = {}


@dataclass(frozen=True)
class Layout:
    """One form in which a benchmark's files lie.

    Args:
        name: One of `LAYOUTS`.
        find: Takes the benchmark's folder; returns what `read` needs, None where it is not there.
        read: Takes what `find` returned; returns the samples.
        files: What it consists of, for the message when nothing is there.
        in_root: Also look in the root itself, as for tables that lie side by side.
    """

    name: str
    find: Callable[[Path], Any]
    read: Callable[[Any], Iterable[Sample]]
    files: str = ""
    in_root: bool = False


def use_layout(name: str) -> None:
    """Makes `name` the layout to read (DATASETS.LAYOUT; "auto": the first that is there)."""
    global _wanted
    _wanted = "" if name == "auto" else name


def use_files(cfg: Any, miniature: bool = True) -> None:
    """Makes the root and the layout of a configuration those to read from now on.

    Args:
        cfg: The configuration.
        miniature: Whether the built-in miniature serves where no root is named.
    """
    use_root(cfg.DATASETS.ROOT, miniature)
    use_layout(cfg.DATASETS.LAYOUT)


def layout_of(dataset: str) -> str:
    """Returns the layout that a dataset was last read from, "" where it was not."""
    return _read.get(dataset, "")


def load_layouts(dataset: str, folders: Sequence[str], layouts: Sequence[Layout]) -> list[Sample]:
    """Reads a dataset from the first of its layouts that is there, or the one that is asked for.

    Args:
        dataset: Its registered name.
        folders: The folders below the root it may lie in, the usual one first.
        layouts: Its layouts, the preferred one first.

    Raises:
        MissingFileError: None is there; the message lists the files of each.
        DataError: A file is broken.
    """
    place = root()
    here = [place.path / name for name in folders if (place.path / name).is_dir()]
    fitting: list[tuple[Layout, Any, Path]] = []
    halves: list[tuple[Layout, MissingFileError]] = []
    for layout in layouts:
        for folder in [*here, *([place.path] if layout.in_root else [])]:
            try:
                found = layout.find(folder)
            except MissingFileError as error:  # a part of it is there
                halves.append((layout, error))
                continue
            if found is not None:
                fitting.append((layout, found, folder))
                break
    chosen = [fit for fit in fitting if not _wanted or fit[0].name == _wanted]
    for layout, half in halves:
        if not chosen and _wanted in ("", layout.name):
            raise half
    if not chosen:
        raise _missing(dataset, folders, layouts, [fit[0].name for fit in fitting])
    layout, found, folder = chosen[0]
    if len({fit[0].name for fit in chosen}) > 1 and not place.miniature:
        others = ", ".join(dict.fromkeys(fit[0].name for fit in chosen[1:]))
        logger.info(
            "%s: read from the layout %r in %s; there is also %s (DATASETS.LAYOUT chooses)",
            *(dataset, layout.name, folder, others),
        )
    samples = list(layout.read(found))
    _read[dataset] = layout.name
    return samples


def hf_layout(
    split: str,
    to_samples: Callable[[Iterable[Row]], Iterable[Sample]],
    config: str | None = None,
) -> Layout:
    """Describes a local copy of a Hugging Face dataset.

    Args:
        split: The split that is read.
        to_samples: Turns its rows into samples.
        config: The subset, for datasets that have several.
    """
    inner = f"{config}/" if config else "[data/]"
    return Layout(
        "hf",
        lambda folder: hf_files(folder, split, config),
        lambda files: to_samples(parquet_rows(files)),
        f"{inner}{split}-*.parquet",
    )


def tsv_layout(
    names: Sequence[str], to_samples: Callable[[Iterable[Row]], Iterable[Sample]]
) -> Layout:
    """Describes a table of VLMEvalKit, in the benchmark's folder or in the root itself.

    Args:
        names: The names that the file goes by, the usual one first.
        to_samples: Turns its rows into samples.
    """
    return Layout(
        "vlmevalkit",
        lambda folder: next((folder / x for x in names if (folder / x).is_file()), None),
        lambda file: to_samples(tsv_rows(file)),
        " or ".join(names),
        in_root=True,
    )


def _missing(
    dataset: str, folders: Sequence[str], layouts: Sequence[Layout], there: Sequence[str]
) -> MissingFileError:
    place = root()
    where = " or ".join(str(place.path / name) for name in folders)
    if _wanted and there:
        return MissingFileError(
            f"{dataset}: DATASETS.LAYOUT is {_wanted!r}, but {where} holds the layout "
            f"{', '.join(repr(x) for x in there)}; name that one, or set DATASETS.LAYOUT auto"
        )
    forms = "".join(f"\n  {layout.name}: {layout.files or layout.name}" for layout in layouts)
    return MissingFileError(
        f"{dataset} is missing: {where} (root from {place.source}) holds none of its layouts:"
        f"{forms}\n{HOW_TO_SET}"
    )
