"""What a run has to do, found out and checked before anything heavy is loaded."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from collavo.config.files import model_files
from collavo.datasets.registration import catalog
from collavo.datasets.registration.generic import folder_name
from collavo.datasets.registration.layouts import use_files
from collavo.datasets.registration.names import ALL
from collavo.datasets.registration.names import dataset_names as names_of
from collavo.datasets.registration.roots import root
from collavo.engine.display import main_warning
from collavo.engine.plan import missing_images, select
from collavo.errors import ConfigError, DataError, MissingFileError
from collavo.modeling.weights import require_folder_or_hub_id
from collavo.pipeline.base import Pipeline
from collavo.records import Sample
from collavo.registry import ARCHITECTURES, EVALUATORS, PIPELINES, SEGMENTERS, unknown_name

MakeConfig = Callable[[str | None], Any]
"""Builds the configuration for a benchmark (None for no benchmark's own settings)."""


@dataclass(frozen=True)
class Task:
    """One dataset to evaluate on.

    Args:
        name: The dataset.
        number: Its place in the run, from 0.
        cfg: The configuration, with the benchmark's own settings.
        samples: What is asked, in dataset order.
        pipeline: Words the questions.
        evaluator: The name of the evaluator.
        metadata: The dataset's metadata.
        miniature: Whether it is the built-in miniature.
        subset: Whether only part of the dataset is asked.
        notes: What is left aside of the data, in sentences.
    """

    name: str
    number: int
    cfg: Any
    samples: Sequence[Sample]
    pipeline: Pipeline
    evaluator: str
    metadata: Any
    miniature: bool = False
    subset: bool = False
    notes: tuple[str, ...] = ()

    @property
    def folder_name(self) -> str:
        """The dataset's name as one that a folder can have."""
        return folder_name(self.name)

    @property
    def batch_size(self) -> int:
        """Questions in a decoding batch over all processes, 0 where only tokens limit it."""
        if self.cfg.EVAL.BATCH_SIZE:
            return int(self.cfg.EVAL.BATCH_SIZE)
        block = self.metadata.get("config_block") or ""
        return int(self.cfg[block].TEST.BATCH_SIZE_TOTAL) if block in self.cfg else 0


def make_tasks(make_cfg: MakeConfig) -> list[Task]:
    """Reads and checks everything that needs no model.

    Args:
        make_cfg: Builds configurations.

    Raises:
        ConfigError: DATASETS.TEST is empty, or a pipeline does not fit a dataset.
        UnknownNameError: A dataset, pipeline, evaluator, model or segmenter that is not registered.
        DataError: A dataset is broken or empty.
        MissingFileError: Files of a dataset are missing, or a folder of weights is.
    """
    cfg = make_cfg(None)
    if cfg.EVAL.VERIFY and cfg.EVAL.SCORING != "generate":
        raise ConfigError(
            f"EVAL.VERIFY {cfg.EVAL.VERIFY} answers samples again by generating, but EVAL.SCORING "
            f"is {cfg.EVAL.SCORING!r}: set EVAL.SCORING generate or EVAL.VERIFY 0"
        )
    names = dataset_names(cfg)
    architecture_name(cfg)
    SEGMENTERS.canonical(cfg.SEGMENTER.NAME)
    for key in (
        *("RESUME_FROM", "MODEL.WEIGHTS", "LLM.WEIGHTS", "VISION.WEIGHTS", "SEGMENTER.WEIGHTS"),
    ):
        require_folder_or_hub_id(_value(cfg, key), key)
    use_files(cfg)
    for name in names:  # all names before any file
        if name != ALL:
            catalog.metadata_of(name)
    if ALL in names:
        return _all_tasks(names, make_cfg)
    return [_make_task(name, number, make_cfg) for number, name in enumerate(names)]


def _all_tasks(names: Sequence[str], make_cfg: MakeConfig) -> list[Task]:
    """Makes a task of every registered dataset whose files are there, and of those named besides.

    Raises:
        MissingFileError: No dataset has files; or one that is named has none.
    """
    every = [name for name in catalog.dataset_names() if name not in names]
    tasks: list[Task] = []
    absent: dict[str, str] = {}
    for name in (*(name for name in names if name != ALL), *every):
        try:
            tasks.append(_make_task(name, len(tasks), make_cfg))
        except MissingFileError as error:
            if name in names:
                raise
            absent[name] = str(error).splitlines()[0]
    place = root()
    if not tasks:
        raise MissingFileError(
            f"DATASETS.TEST {ALL}: {place.path} (from {place.source}) holds none of the datasets: "
            f"{', '.join(absent)}; see docs/datasets.md for the folders"
        )
    if absent:
        main_warning(
            "DATASETS.TEST %s: %d datasets of %s; skipped %d that are not there:%s",
            *(ALL, len(tasks), place.path, len(absent)),
            "".join(f"\n  {name}: {reason}" for name, reason in absent.items()),
        )
    return tasks


def _value(cfg: Any, key: str) -> str:
    return functools.reduce(getattr, key.split("."), cfg)


def dataset_names(cfg: Any) -> list[str]:
    """Returns the datasets that DATASETS.TEST names, each once; `ALL` stands as it is.

    Raises:
        ConfigError: It names none.
        MissingFileError: It names a path where nothing is.
    """
    names = names_of(cfg.DATASETS.TEST)
    if not names:
        known = ", ".join(catalog.dataset_names())
        raise ConfigError(
            "DATASETS.TEST is empty: name datasets, as in --overrides DATASETS.TEST pope_test, or "
            f"{ALL}. There are: {known}"
        )
    return names


def _make_task(name: str, number: int, make_cfg: MakeConfig) -> Task:
    metadata = catalog.metadata_of(name)
    cfg = make_cfg(metadata.get("benchmark"))
    pipeline = _pipeline(name, metadata, cfg)
    evaluator = EVALUATORS.canonical(cfg.EVALUATOR or _needed(name, metadata, "evaluator_type"))
    EVALUATORS.get(evaluator)(cfg.EVAL.PARSER).check_parser()
    everything = catalog.samples_of(name)
    samples = select(everything, cfg.EVAL.LIMIT, cfg.EVAL.SAMPLES)
    if not samples:
        raise DataError(f"dataset {name!r} has no samples")
    _refuse_missing_images(name, samples, cfg.EVAL.ALLOW_FAILURES)
    miniature = catalog.follows_root(name) and root().miniature
    if miniature:
        main_warning(
            "%s: no dataset root is set (DATASETS.ROOT), so this is the built-in miniature", name
        )
    subset = len(samples) < len(everything)
    return Task(
        name, number, cfg, samples, pipeline, evaluator, metadata, miniature, subset,
        catalog.notes_of(name),
    )  # fmt: skip


def fit_images(task: Task, max_images: int) -> Task:
    """Fits the samples to the number of images that the model takes.

    Args:
        task: What is to be asked.
        max_images: `Architecture.max_images`.

    Returns:
        The task, its samples with at most so many images, and a note that counts the others.

    Raises:
        ConfigError: There are more, and neither EVAL.SEVERAL_IMAGES nor the benchmark's own habit
            says that the first ones are to be shown.
    """
    several = [s for s in task.samples if len(s.images) > max_images]
    if not several:
        return task
    choice = task.cfg.EVAL.SEVERAL_IMAGES
    most = max(len(s.images) for s in several)
    if choice == "refuse" or (choice == "auto" and not task.metadata.get("first_image")):
        raise ConfigError(
            f"dataset {task.name!r}: {len(several)} of {len(task.samples)} samples have more "
            f"images (up to {most}, first {several[0].sample_id}) than the model takes "
            f"({max_images}): use a model that takes them, or set EVAL.SEVERAL_IMAGES first, which "
            "shows the first alone"
        )
    shown = "first image" if max_images == 1 else f"first {max_images} images"
    note = f"{len(several)} samples have several images; the model is shown the {shown} of each."
    fitted = [replace(s, images=s.images[:max_images]) for s in task.samples]
    return replace(task, samples=fitted, notes=(*task.notes, note))


def architecture_name(cfg: Any) -> str:
    """Returns the registered name of the architecture: MODEL.ARCHITECTURE, else MODEL.NAME.

    Raises:
        UnknownNameError: There is none, nor a file of configs/models; the nearest are suggested.
    """
    name = str(cfg.MODEL.ARCHITECTURE or cfg.MODEL.NAME)
    if name not in ARCHITECTURES and not cfg.MODEL.ARCHITECTURE:
        entries = ARCHITECTURES.entries()
        known = {*(entry.name for entry in entries), *(file.stem for file in model_files())}
        aliases = [alias for entry in entries for alias in entry.aliases]
        raise unknown_name("model", name, sorted(known), aliases)
    return ARCHITECTURES.canonical(name)


def _pipeline(name: str, metadata: Any, cfg: Any) -> Pipeline:
    own = _needed(name, metadata, "pipeline")
    chosen = PIPELINES.get(cfg.PIPELINE or own)(style=cfg.PROMPT.STYLE)
    expected = metadata.get("answer_type")
    if expected and chosen.answer_type != expected:
        raise ConfigError(
            f"PIPELINE {cfg.PIPELINE or own!r} asks for answers of the kind "
            f"{chosen.answer_type!r}, but dataset {name!r} has {expected!r}: leave PIPELINE empty "
            f"for the dataset's own ({own!r})"
        )
    return chosen


def _needed(name: str, metadata: Any, key: str) -> str:
    value = metadata.get(key)
    if not value:
        raise ConfigError(
            f"dataset {name!r} names no {key}: register it with "
            f'MetadataCatalog.get("{name}").set({key}=...)'
        )
    return str(value)


def _refuse_missing_images(name: str, samples: Sequence[Sample], allowed: int) -> None:
    missing = missing_images(samples)
    if len(missing) > allowed:
        paths = list(dict.fromkeys(str(i.path) for s in missing for i in s.images))
        shown = ", ".join(paths[:3])
        raise MissingFileError(
            f"dataset {name!r}: {len(paths)} image files of {len(missing)} samples are missing: "
            f"{shown}{', ...' if len(paths) > 3 else ''}. Put them there, set DATASETS.ROOT to the "
            "folder that holds the datasets, or accept that they fail with --allow-failures"
        )
