"""From a plan to work: the configuration of every stage and evaluation, and where it is kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from collavo.config import get_cfg
from collavo.config.files import find_config, flatten, read_json_words, read_words, read_yaml
from collavo.config.paths import assets_dir, cache_dir
from collavo.engine.ablation.contents import asked_of, files_behind, plug_ins, trained_on
from collavo.engine.ablation.plan import Arm, Plan, Settings, Stage
from collavo.errors import ConfigError
from collavo.json_files import read_object

DONE = "done.json"

_PLACES = ("SAVE_DIR", "USER_DIR", "WANDB", "CRAYON.CACHE", "VISION.CACHE")
"""Keys that change no figure."""

_OF_EVALUATION = ("EVAL.", "GENERATION.", "JUDGE.", "PROMPT.", "VIS.", "DATASETS.TEST")
_OF_TRAINING = ("TRAIN.", "OPTIMIZER.", "LORA.", "RANDOM_SEED")
"""Keys that do not concern the other: a change of theirs does not repeat it."""

_OURS = ("RANDOM_SEED", "TRAIN.DIR", "EVAL.RUN_DIR", "DATASETS.TEST", "TRAIN.FRESH", "EVAL.FRESH")
"""Keys that the ablation sets itself."""


@dataclass(frozen=True)
class Given:
    """What the command line says besides the plan.

    Args:
        below: Settings that the plan overrides (`--conf_files`).
        above: Settings that override the plan (`--overrides`, `--config_overrides`).
        user_dir: The user's plug-ins.
    """

    below: Settings = field(default_factory=dict)
    above: Settings = field(default_factory=dict)
    user_dir: str = ""

    @classmethod
    def read(
        cls,
        conf_files: Sequence[str] = (),
        overrides: Sequence[str] = (),
        config_overrides: Sequence[str] = (),
        user_dir: str = "",
    ) -> Given:
        """Reads the common options of the commands.

        Raises:
            ConfigError: A key that the ablation sets itself, or words that are no overrides.
        """
        below: dict[str, Any] = {}
        for name in conf_files:
            below.update(flatten(read_yaml(find_config(name))))
        above = dict(flatten(read_json_words(config_overrides)))
        above.update(read_words(overrides))
        for key in (*below, *above):
            if key in _OURS:
                raise ConfigError(
                    f"{key} is set by the ablation itself: seeds come from --seeds, datasets and "
                    "figures from the plan, folders lie below SAVE_DIR"
                )
        return cls(below, above, user_dir)


@dataclass(frozen=True)
class TrainStage:
    """One stage of one seed; arms that begin alike share it.

    Args:
        folder: Its run folder.
        settings: Its whole configuration, that of the stage before it left out.
        start: Where the stage before it leaves its artefact; "" for the first.
    """

    folder: Path
    settings: Settings
    start: str = ""

    @property
    def export(self) -> Path:
        """Its artefact, which is there once it is finished."""
        return self.folder / "export"

    def whole(self) -> Settings:
        """Its configuration with the weights that it begins with."""
        handed = {"MODEL.WEIGHTS": self.start, "RESUME_FROM": ""} if self.start else {}
        return {**self.settings, **handed, "TRAIN.DIR": str(self.folder)}


@dataclass(frozen=True)
class Job:
    """One arm with one seed.

    Args:
        arm: The arm's name.
        seed: The seed.
        folder: Where its logs, its evaluation and its result are kept.
        stages: What has to be trained before.
        evaluation: The configuration of its evaluation.
    """

    arm: str
    seed: int
    folder: Path
    stages: tuple[TrainStage, ...]
    evaluation: Settings

    @property
    def words(self) -> str:
        """What it is called in messages."""
        return f"{self.arm}, seed {self.seed}"

    @property
    def done(self) -> Mapping[str, Any] | None:
        """What it left when it was finished; None before."""
        file = self.folder / DONE
        return read_object(file, ConfigError) if file.is_file() else None

    @property
    def runs(self) -> Path:
        """The folder of its evaluation, with a run folder of each dataset."""
        return self.folder / "eval"

    def open_stages(self) -> tuple[TrainStage, ...]:
        """The stages that are not finished."""
        for number, stage in enumerate(self.stages):
            if not stage.export.is_dir():
                return self.stages[number:]
        return ()


def make_jobs(
    plan: Plan, arms: Sequence[str], seeds: Sequence[int], given: Given, work: Path
) -> list[Job]:
    """Makes the jobs of arms and seeds, seed by seed, and checks every configuration.

    Args:
        plan: The plan.
        arms: The arms' names.
        seeds: The seeds.
        given: What the command line says.
        work: The folder of this ablation.

    Raises:
        ConfigError: A configuration is wrong; the message names the arm.
    """
    return [_job(plan, name, seed, given, work) for seed in seeds for name in arms]


def evaluation_cfg(plan: Plan, given: Given) -> Any:
    """Builds what all evaluations have in common, for reading datasets and settings of intervals.

    Raises:
        ConfigError: It is wrong.
    """
    settings = {**given.below, **plan.both, **plan.evaluation, **given.above}
    return _checked("the plan", _filled(settings))


def write_settings(path: Path, settings: Settings) -> Path:
    """Writes a configuration file and returns it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(dict(settings), sort_keys=True), encoding="utf-8")
    return path


def _job(plan: Plan, name: str, seed: int, given: Given, work: Path) -> Job:
    line = plan.line(name)
    stages = _train_stages(plan, line[0], seed, given, work)
    settings: dict[str, Any] = {**given.below, **plan.both, **plan.evaluation}
    for arm in line:
        settings.update({**arm.both, **arm.evaluation})
    settings.update(given.above)
    weights = str(stages[-1].export) if stages else line[0].weights
    settings = _filled(settings)
    settings["DATASETS.TEST"] = ",".join(plan.datasets)
    cfg = _checked(f"arm {name}, evaluation", settings)
    trained = stages[-1].folder.name if stages else weights
    named = settings if stages else {**settings, "MODEL.WEIGHTS": weights}
    behind = files_behind(_relevant(named, _OF_TRAINING), built_in=not stages)
    kept = [trained, _relevant(settings, _OF_TRAINING), behind, asked_of(cfg), plug_ins()]
    digest = _digest(kept)
    folder = work / "arms" / name / f"seed-{seed}" / digest
    settings |= {"MODEL.WEIGHTS": weights, "RESUME_FROM": "", "EVAL.RUN_DIR": str(folder / "eval")}
    return Job(name, seed, folder, stages, settings)


def _train_stages(
    plan: Plan, arm: Arm, seed: int, given: Given, work: Path
) -> tuple[TrainStage, ...]:
    """The stages of an arm, each in a folder that its settings and those before it name."""
    found: list[TrainStage] = []
    for stage in arm.stages:
        settings = _filled(_stage_settings(plan, arm, stage, given))
        settings["RANDOM_SEED"] = seed
        cfg = _checked(f"arm {arm.name}, {stage.file}", settings)
        if not cfg.TRAIN.MODULES:
            raise ConfigError(
                f"arm {arm.name}: {stage.file} says not what to train (TRAIN.MODULES is empty)"
            )
        before = found[-1].folder.name if found else ""
        behind = files_behind(_relevant(settings, _OF_EVALUATION), built_in=not found)
        kept = [before, _relevant(settings, _OF_EVALUATION), behind, trained_on(cfg), plug_ins()]
        digest = _digest(kept)
        folder = work / "stages" / f"{cfg.TRAIN.STAGE}-{digest}"
        found.append(TrainStage(folder, settings, str(found[-1].export) if found else ""))
    return tuple(found)


def _stage_settings(plan: Plan, arm: Arm, stage: Stage, given: Given) -> dict[str, Any]:
    settings = {**given.below, **dict(flatten(read_yaml(stage.file)))}
    for more in (plan.both, plan.train, stage.settings, arm.both, arm.train, given.above):
        settings.update(more)
    return settings


def _checked(where: str, settings: Settings) -> Any:
    for key in settings:
        if key in _OURS and key not in ("RANDOM_SEED", "DATASETS.TEST"):
            raise ConfigError(f"{where}: {key} is set by the ablation itself; leave it out")
    try:
        return get_cfg((), (), settings)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def _filled(settings: Settings) -> dict[str, Any]:
    """Puts folders in place of `{assets}`, `{cache}` and `{miniature}`."""
    return {key: _fill(value) for key, value in settings.items()}


def _fill(value: Any) -> Any:
    if isinstance(value, str):
        value = value.replace("{assets}", str(assets_dir())).replace("{cache}", str(cache_dir()))
        if "{miniature}" in value:
            from collavo.datasets.miniature.build import miniature_root

            value = value.replace("{miniature}", str(miniature_root()))
        return value
    if isinstance(value, Mapping):
        return {key: _fill(x) for key, x in value.items()}
    return [_fill(x) for x in value] if isinstance(value, (list, tuple)) else value


def _relevant(settings: Settings, others: tuple[str, ...]) -> dict[str, Any]:
    return {
        key: value
        for key, value in settings.items()
        if key not in _PLACES and not key.startswith(others) and key != "EVAL.BOOTSTRAP"
    }


def _digest(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
