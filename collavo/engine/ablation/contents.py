"""What lies behind the settings of an ablation: files by content, images by size and change time.

The samples of an evaluation and the sources of a training are looked at as these would read them,
so that what else lies in their folders does not count. Of code, that of plug-ins counts.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collavo import plugins
from collavo.config.paths import cache_dir
from collavo.engine.fingerprint import samples_digest
from collavo.engine.imports import answering_files
from collavo.errors import ConfigError, UserError
from collavo.modeling.checkpoints.digest import file_digest
from collavo.modeling.weights import builtin_weights

if TYPE_CHECKING:
    from collavo.datasets.instruction.source import SourceSpec

PATHS = (
    "MODEL.WEIGHTS",
    "RESUME_FROM",
    "SEGMENTER.WEIGHTS",
    "SEGMENTER.CONFIG_FILE",
    "SEGMENTER.PRECOMPUTED.FOLDER",
    "SEGMENTER.PRECOMPUTED.JSON",
    "JUDGE.MODEL",
)
"""Keys that may hold a path. A text of other keys that happens to be a file's name is no path."""

IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm")
"""Ends of files that go by size and change time in a folder; all others are hashed."""


def files_behind(settings: Mapping[str, Any], built_in: bool) -> dict[str, str]:
    """What lies behind the paths of weights and the like, by the texts that name it.

    Args:
        settings: Keys and values.
        built_in: Whether the built-in tiny model serves where they name no weights.

    Raises:
        ConfigError: It cannot be read.
    """
    texts = [str(settings[key]) for key in PATHS if settings.get(key)]
    if built_in and not settings.get("MODEL.WEIGHTS") and not settings.get("RESUME_FROM"):
        texts += [str(builtin_weights("collavo")), str(builtin_weights("segmenter"))]
    found = {text: _state_of(text) for text in texts}
    ours = str(builtin_weights(""))
    return {text.replace(ours, ""): state for text, state in found.items() if state}


def plug_ins() -> str:
    """Hashes the code of the plug-ins that are loaded, with what they import of users' own."""
    files = answering_files((), plugins.modules())
    theirs = {file: name for file, name in files.items() if not name.startswith("collavo.")}
    lines = sorted(f"{name}\0{file_digest(file)}\n" for file, name in theirs.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest() if lines else ""


def asked_of(cfg: Any) -> dict[str, str]:
    """What the benchmarks of DATASETS.TEST ask: every field of their samples, files and images.

    Of what cannot be read the fault stands there; the evaluation says it in its own words.
    """
    from collavo.datasets.registration.names import dataset_names

    names = dataset_names(cfg.DATASETS.TEST)
    return _asked(cfg.DATASETS.ROOT, cfg.DATASETS.LAYOUT, tuple(names))


@cache
def _asked(root: str, layout: str, names: tuple[str, ...]) -> dict[str, str]:
    from collavo.datasets.registration.catalog import samples_of
    from collavo.datasets.registration.layouts import use_layout
    from collavo.datasets.registration.readers.opened import recording
    from collavo.datasets.registration.roots import use_root

    use_root(root)
    use_layout(layout)
    found = {}
    for name in names:
        try:
            with recording() as opened:
                samples = samples_of(name)
        except UserError as error:
            found[name] = f"cannot be read: {error}"
            continue
        whole = hashlib.sha256(samples_digest(samples).encode())
        for file in opened:  # tables hold images, too
            whole.update(file_digest(file).encode())
        for image in dict.fromkeys(ref.path for s in samples for ref in s.images if ref.path):
            # the miniature's follow from the code that draws them, and so do its samples
            if not image.is_relative_to(cache_dir()):
                whole.update(_size_and_time(image).encode())
        found[name] = whole.hexdigest()
    return found


def trained_on(cfg: Any) -> list[str]:
    """What the sources of a training are; those of the miniature follow from their names.

    Of what cannot be read the fault stands there; the training says it in its own words.
    """
    from collavo.datasets.instruction.opening import expand
    from collavo.engine.training.data import given_sources

    found = []
    try:
        for given in given_sources(cfg):
            drawn = given.format == "miniature"
            for spec in [given] if drawn else expand(given):
                is_map = spec.format == "panoptic" or cfg.TRAIN.TASK == "segmenter"
                drawn = drawn or Path(spec.path).is_relative_to(cache_dir())
                found.append(f"{spec} {'' if drawn else _of_source(spec, is_map)}")
    except UserError as error:
        found.append(f"cannot be read: {error}")
    return found


_sources: dict[str, str] = {}
"""What sources were found to be; the stages and seeds of a plan share them."""


def _of_source(spec: SourceSpec, is_panoptic: bool) -> str:
    if (key := f"{spec} {is_panoptic}") not in _sources:
        from collavo.datasets.instruction.image_state import panoptic_state
        from collavo.datasets.instruction.llava import LlavaSource
        from collavo.datasets.instruction.parquet import ParquetSource
        from collavo.datasets.registration.readers.panoptic import read_panoptic

        path = Path(spec.path).expanduser()
        if is_panoptic:
            images = Path(spec.images).expanduser() if spec.images else path.parent
            _sources[key] = panoptic_state(path, images, read_panoptic(path).images)
        else:
            kind = ParquetSource if spec.format == "parquet" else LlavaSource
            _sources[key] = kind(spec).fingerprint()
    return _sources[key]


@cache
def _state_of(text: str) -> str:
    """Hashes what is at a path; "" where nothing is: a hub id, a model's name.

    Raises:
        ConfigError: It cannot be read.
    """
    path = Path(text).expanduser()
    try:
        if path.is_file():
            return file_digest(path)
        whole = hashlib.sha256()
        files = []
        for folder, inner, names in os.walk(path):
            inner[:] = sorted(name for name in inner if name not in ("__pycache__", ".git"))
            files += [Path(folder, name) for name in sorted(names)]
        for file in files:
            is_image = file.suffix.lower() in IMAGES
            state = _size_and_time(file) if is_image else file_digest(file)
            whole.update(f"{file.relative_to(path).as_posix()}\0{state}\0".encode())
        return whole.hexdigest() if files else ""
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error


def _size_and_time(file: Path) -> str:
    try:
        state = file.stat()
    except OSError:
        return "absent"
    return f"{state.st_size} {state.st_mtime_ns}"
