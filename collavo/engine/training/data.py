"""The data of a training: the mix of its sources, and which of their rows each step takes."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collavo.datasets.instruction.lengths import Budget, fit
from collavo.datasets.instruction.mix import Mix
from collavo.datasets.instruction.opening import open_mix
from collavo.datasets.instruction.plan import Plan
from collavo.datasets.instruction.source import SourceSpec, parse_source
from collavo.datasets.registration.roots import named_root, use_root
from collavo.errors import ConfigError, MissingFileError

if TYPE_CHECKING:
    from collavo.modeling.architectures.base import Architecture
    from collavo.modeling.llms.chat import ChatTemplate, ChatTokenizer

logger = logging.getLogger(__name__)

CRAYON_RESERVE = 512
"""Tokens of TRAIN.MAX_LENGTH that are kept free for the sentence about the objects, a quarter at
most. An object takes some twenty."""


@dataclass(frozen=True)
class TrainingData:
    """Conversations and their order.

    Args:
        mix: The sources.
        plan: Which rows each step takes.
    """

    mix: Mix
    plan: Plan

    @property
    def names(self) -> tuple[str, ...]:
        """The sources' names: the tasks of a loss over tasks."""
        return self.mix.names

    def fingerprint(self) -> str:
        """What identifies the content of all sources."""
        return self.mix.fingerprint()


def open_data(
    cfg: Any, model: Architecture, tokenizer: ChatTokenizer, template: ChatTemplate, is_main: bool
) -> TrainingData:
    """Opens the sources of TRAIN.DATA and DATASETS.TRAIN and plans the steps.

    Args:
        cfg: The configuration.
        model: Says how many images a conversation may have, and their tokens.
        tokenizer: Counts tokens.
        template: How conversations are written.
        is_main: Whether this process reports what is found in the data.

    Raises:
        ConfigError: No source is named, or one is described wrongly.
        DataError: A source is broken, or samples are too long for the model.
        MissingFileError: A file is not there.
    """
    specs = given_sources(cfg)
    if not specs:
        raise ConfigError(
            "TRAIN.DATA is empty: name what to train on, such as "
            "llava:/data/llava_v1_5_mix665k.json?images=/data, or miniature:vl to try it out"
        )
    mix = open_mix(
        specs,
        cfg.RANDOM_SEED,
        grid=model.grid,
        max_images=model.max_images,
        max_bad_rows=cfg.TRAIN.MAX_BAD_ROWS,
    )
    with_text = model.uses_crayon and cfg.CRAYON.MODE in ("full", "text_only", "semantic_only")
    budget = Budget(
        template,
        tokenizer,
        model.expected_image_tokens(),
        cfg.TRAIN.MAX_LENGTH,
        min(CRAYON_RESERVE, cfg.TRAIN.MAX_LENGTH // 4) if with_text else 0,
    )
    mix = fit(mix, budget, cfg.TRAIN.MAX_BAD_ROWS)
    image_steps = float(cfg.TRAIN.IMAGE_STEPS)
    plan = Plan(
        mix,
        cfg.TRAIN.BATCH_SIZE,
        cfg.RANDOM_SEED,
        cfg.TRAIN.DATA_MODE,
        None if image_steps < 0 else image_steps,
        cfg.TRAIN.GROUP_BY_LENGTH,
    )
    if is_main:
        for name, source in zip(mix.names, mix.sources, strict=True):
            logger.info("%s: %d conversations, weight %g", name, len(source), source.spec.weight)
    return TrainingData(mix, plan)


def given_sources(cfg: Any) -> list[SourceSpec]:
    """Reads TRAIN.DATA and DATASETS.TRAIN; opens none of the sources.

    Raises:
        ConfigError: One is described wrongly.
        MissingFileError: A path is neither there nor below the datasets' root.
    """
    use_root(cfg.DATASETS.ROOT)
    given: list[Any] = [*cfg.TRAIN.DATA, *filter(None, cfg.DATASETS.TRAIN.split(","))]
    return [_rooted(parse_source(one)) for one in given]


def _rooted(spec: SourceSpec) -> SourceSpec:
    """Looks for relative paths below the datasets' root, where they are not there from here.

    Raises:
        MissingFileError: One is in neither place.
    """
    if spec.format == "miniature":
        return spec
    named = named_root()
    found: dict[str, Any] = {}
    for key in ("path", "images"):
        given = getattr(spec, key)
        if not given or Path(given).expanduser().exists():
            continue
        below = None if named is None else named.path / given
        if Path(given).is_absolute() or below is None or not below.exists():
            place = "no dataset root is set" if named is None else f"the root is {named.path}"
            raise MissingFileError(
                f"TRAIN.DATA, source {spec.name!r}: there is no {given}, neither from here nor "
                f"below the dataset root ({place}); correct its {key} or set DATASETS.ROOT"
            )
        found[key] = str(below)
    return replace(spec, **found)
