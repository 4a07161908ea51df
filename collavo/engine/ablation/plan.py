"""What an ablation compares: arms, the stages they train, figures, tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Settings = Mapping[str, Any]
"""Configuration keys ("TRAIN.MAX_STEPS") and their values."""


@dataclass(frozen=True)
class Stage:
    """A stage of training.

    Args:
        file: Its configuration file.
        settings: What differs from the file.
    """

    file: Path
    settings: Settings = field(default_factory=dict)


@dataclass(frozen=True)
class Arm:
    """One way to train and evaluate.

    Args:
        name: Its name in the plan and in folders.
        label: Its name in tables.
        stages: What it trains, in order; empty where it uses the weights of another arm or given
            ones.
        weights_of: The arm whose weights it evaluates in another way; "" for none.
        weights: A checkpoint that it evaluates as it is; "" for none.
        both: Settings of its training and its evaluation.
        train: Settings of all its stages.
        evaluation: Settings of its evaluation.
        paper: Published figures, by the name of ours.
    """

    name: str
    label: str
    stages: tuple[Stage, ...] = ()
    weights_of: str = ""
    weights: str = ""
    both: Settings = field(default_factory=dict)
    train: Settings = field(default_factory=dict)
    evaluation: Settings = field(default_factory=dict)
    paper: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Figure:
    """What is reported of each arm: a figure of a dataset's scores, or a sum of several.

    Args:
        name: Its name in the plan.
        label: Its name in tables.
        dataset: The dataset.
        terms: Headline figures or paths of the scores ("tasks.count.accuracy"), to be added.
    """

    name: str
    label: str
    dataset: str
    terms: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """One table of the report.

    Args:
        title: Its heading.
        arms: Its rows, by name.
        figures: Its columns, by name.
        reference: The arm that the others are held against; "" for none.
        source: Where the published figures beside it come from.
    """

    title: str
    arms: tuple[str, ...]
    figures: tuple[str, ...]
    reference: str = ""
    source: str = ""


@dataclass(frozen=True)
class Plan:
    """An ablation.

    Args:
        name: Of its folder.
        title: The report's heading.
        about: What stands below it.
        seeds: The random seed of each training of an arm.
        both: Settings of all trainings and evaluations.
        train: Settings of all stages of all arms.
        evaluation: Settings of all evaluations.
        arms: By name, in the plan's order.
        figures: By name, in the plan's order.
        tables: How they are set side by side.
    """

    name: str
    title: str
    about: str
    seeds: tuple[int, ...]
    both: Settings
    train: Settings
    evaluation: Settings
    arms: Mapping[str, Arm]
    figures: Mapping[str, Figure]
    tables: tuple[Comparison, ...]

    @property
    def datasets(self) -> tuple[str, ...]:
        """The datasets of all figures, each once."""
        return tuple(dict.fromkeys(figure.dataset for figure in self.figures.values()))

    def line(self, name: str) -> tuple[Arm, ...]:
        """Returns an arm after the arms whose weights it uses, the one that trains them first."""
        found = [self.arms[name]]
        while found[0].weights_of:
            found.insert(0, self.arms[found[0].weights_of])
        return tuple(found)
