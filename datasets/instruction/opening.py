"""Opens the sources that a configuration names: files, folders and lists of them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from collavo.datasets.instruction.llava import LlavaSource
from collavo.datasets.instruction.mix import Mix
from collavo.datasets.instruction.selected import Selected
from collavo.datasets.instruction.source import (
    BadRows,
    Source,
    SourceSpec,
    parse_source,
)
from collavo.errors import ConfigError, DataError, MissingFileError
from collavo.pulse import during

logger = logging.getLogger(__name__)

_DEEPEST = 8
"""Mixes within mixes, before it must be a circle."""


_MINIATURE = {
    "vl": ("llava", "instructions.json"),
    "checks": ("llava", "checks.json"),
    "counted": ("llava", "counted.json"),
    "told": ("llava", "told.json"),
    "told_lists": ("llava", "told_lists.json"),
    "told_sides": ("llava", "told_sides.json"),
    "told_pairs": ("llava", "told_pairs.json"),
    "told_counted": ("llava", "told_counted.json"),
    "crayon": ("panoptic", "panoptic_train.json"),
}
"""Parts of the miniature world: their format and file below its root, beside `images/`."""

_SCENES = 2000
"""Scenes of the miniature world, where a source does not say how many."""


def open_mix(
    specs: Sequence[str | Mapping[str, Any] | SourceSpec],
    seed: int = 0,
    *,
    grid: tuple[int, int] | None = None,
    max_images: int | None = None,
    max_bad_rows: int = 0,
) -> Mix:
    """Opens all sources, checks their rows and reports those that cannot be used.

    Args:
        specs: Descriptions of sources; see `parse_source`.
        seed: Chooses what crayon instructions ask.
        grid: Rows and columns of the model's patch grid, for crayon instructions.
        max_images: Images that the architecture takes in one conversation; None for any number.
        max_bad_rows: Unusable rows to go on with (TRAIN.MAX_BAD_ROWS).

    Raises:
        ConfigError: A description is wrong.
        MissingFileError: A file or folder is not there.
        DataError: A file is broken, a source or the mix is empty, or more rows than that are
            unusable.
    """
    parsed = [one for given in specs for one in expand(parse_source(given))]
    sources = [_limited(_open(spec, seed, grid), max_images) for spec in parsed]
    bad = sum((source.bad for source in sources), BadRows())
    if bad.count:
        rows = sum(len(source) for source in sources) + bad.count
        found = f"{bad.count} of {rows} rows of the training data cannot be used"
        if bad.count > max_bad_rows:
            raise DataError(
                f"{found}, and TRAIN.MAX_BAD_ROWS is {max_bad_rows}; mend or remove them, or "
                f"raise it to train without them:\n{bad.text()}"
            )
        logger.warning("%s and are left out:\n%s", found, bad.text())
    return Mix(sources)


def expand(spec: SourceSpec, depth: int = 0) -> list[SourceSpec]:
    """Returns the sources that a folder or a mix stands for; others stand for themselves.

    Raises:
        ConfigError: A mix is no list of sources, or names itself.
        MissingFileError: The file or folder is not there.
    """
    if spec.format == "miniature":
        return [_miniature(spec)]
    path = Path(spec.path).expanduser()
    if not path.exists():
        raise MissingFileError(f"source {spec.name!r}: there is no {path}; check its path")
    if spec.format == "mix":
        return _of_mix(spec, path, depth)
    if spec.format == "auto" and path.is_dir():
        parquet = next(path.rglob("*.parquet"), None) is not None
        spec = replace(spec, format="parquet" if parquet else "folder")
    if spec.format == "folder":
        return _of_folder(spec, path)
    return [replace(spec, format="llava") if spec.format == "auto" else spec]


def _of_folder(spec: SourceSpec, folder: Path) -> list[SourceSpec]:
    """One source a file; together they have the folder's weight, shared out by their sizes."""
    files = (
        sorted(f for f in folder.iterdir() if f.suffix in (".json", ".jsonl"))
        if (folder.is_dir())
        else []
    )
    if not files:
        raise DataError(
            f"source {spec.name!r}: the folder {folder} holds no .json or .jsonl files, one a task"
        )
    sizes = [len(LlavaSource(replace(spec, path=str(f)))) for f in files]
    whole = sum(sizes) or 1
    return [
        replace(spec, name=f.stem, path=str(f), format="llava", weight=spec.weight * size / whole)
        for f, size in zip(files, sizes, strict=True)
    ]


def _of_mix(spec: SourceSpec, path: Path, depth: int) -> list[SourceSpec]:
    if depth >= _DEEPEST:
        raise ConfigError(f"the mix {path} names itself, or mixes lie {depth} deep")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"the mix {path} is no YAML: {error!s:.200}") from error
    listed = content.get("sources") if isinstance(content, Mapping) else content
    if not isinstance(listed, list) or not listed:
        raise ConfigError(
            f"the mix {path} has to be a list of sources (or a mapping with the list `sources`)"
        )
    found: list[SourceSpec] = []
    for given in listed:
        one = parse_source(given)
        beside: dict[str, Any] = {
            key: str(path.parent / Path(value).expanduser())
            for key in ("path", "images")
            if (value := getattr(one, key)) and one.format != "miniature"
        }
        one = replace(one, weight=one.weight * spec.weight, **beside)
        found += expand(one, depth + 1)
    return found


def _miniature(spec: SourceSpec) -> SourceSpec:
    """The files of the miniature world, which are drawn at their first use."""
    if spec.path not in _MINIATURE:
        raise ConfigError(
            f"source miniature:{spec.path}: it may be miniature:{' or miniature:'.join(_MINIATURE)}"
        )
    from collavo.datasets.miniature.training.build import training_root

    format_, file = _MINIATURE[spec.path]
    scenes = spec.scenes or _SCENES
    with during(f"drawing {scenes:,} training scenes, once for this machine"):
        root = training_root(scenes)
    return replace(spec, format=format_, path=str(root / file), images=str(root / "images"))


def _open(spec: SourceSpec, seed: int, grid: tuple[int, int] | None) -> Source:
    if spec.format == "panoptic":
        from collavo.datasets.instruction.panoptic import open_panoptic

        return open_panoptic(spec, grid, seed)
    if spec.format == "parquet":
        from collavo.datasets.instruction.parquet import ParquetSource

        return ParquetSource(spec)
    return LlavaSource(spec)


def _limited(source: Source, max_images: int | None) -> Source:
    """Leaves out rows of more images than the architecture takes, and those beyond the limit."""
    if max_images is not None:
        counts = np.fromiter((source.num_images(i) for i in range(len(source))), dtype=np.int64)
        over = np.flatnonzero(counts > max_images)
        if len(over):
            first = tuple(
                (
                    source[row].sample_id,
                    f"it has {counts[row]} images and the architecture takes {max_images}; "
                    "remove the row or train another architecture",
                )
                for row in over[: BadRows.SHOWN].tolist()
            )
            kept = np.flatnonzero(counts <= max_images)
            source = Selected(source, kept, BadRows(len(over), first))
    limit = source.spec.limit
    if limit and limit < len(source):
        source = Selected(source, np.arange(limit))
    return source
