"""The ladder of reuse: where a run begins on it, what the self-checks found, how far it fell."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collavo.engine.display import main_warning
from collavo.engine.store import CHECKS, StoreError, rows_of
from collavo.errors import ConfigError
from collavo.modeling.architectures.reuse import REUSE_LEVELS

if TYPE_CHECKING:
    from collavo.modeling.architectures.base import Architecture, Visuals
    from collavo.modeling.architectures.reuse import ReuseCheck

logger = logging.getLogger(__name__)

BEGINS = {"prefix": "prefix", "vision": "vision", "none": "batch"}
"""The level that a value of EVAL.REUSE begins at."""

MOST_KINDS = 16
"""Kinds of prompts that a process checks: models of native resolution have hundreds of them."""

Kind = tuple[object, ...]
"""What tells kinds of prompts apart: the shape key of each image."""


class Ladder:
    """The level of reuse of each kind of prompt in one process.

    Args:
        architecture: The model, which says what it allows.
        reuse: EVAL.REUSE.

    Raises:
        ConfigError: The model names a level that there is not.
    """

    def __init__(self, architecture: Architecture, reuse: str) -> None:
        name = type(architecture).__name__
        self._allowed = _allowed(name, architecture.reuse_levels)
        self.asked = BEGINS[reuse]
        self.start = self.down_from(self.asked)
        self.reason = ""
        """Why a level below the one asked for holds; "" while none does."""
        if self.start != self.asked:
            self.reason = f"{name} allows {', '.join(self._allowed)}, not {self.asked}"
        self._levels: dict[Kind, str] = {}
        self._settled: set[Kind] = set()
        self._fallen = False
        self._keep: Callable[[Mapping[str, Any]], None] = lambda row: None

    def keep(self, write: Callable[[Mapping[str, Any]], None]) -> None:
        """Has each check that follows written down."""
        self._keep = write

    def down_from(self, level: str) -> str:
        """Returns a level, or the next below it that the model allows."""
        lower = REUSE_LEVELS[REUSE_LEVELS.index(level) :]
        return next(each for each in lower if each in self._allowed)

    def level(self, kinds: Iterable[Kind]) -> str:
        """Returns the best level that holds for all of several kinds of prompts."""
        return _lowest(self._levels.get(kind) or self._of_new for kind in kinds)

    def must_check(self, kind: Kind) -> bool:
        """Says whether the level of a kind of prompt is still to be checked."""
        if kind in self._levels:
            return kind not in self._settled
        return len(self._levels) < MOST_KINDS

    def take(self, kind: Kind, level: str, found: ReuseCheck | None) -> None:
        """Takes what a check found, and goes one level down where it failed.

        Args:
            kind: The kind of prompt.
            level: The level that was checked.
            found: The check; None where the model compares nothing.
        """
        after = level
        if found is None or found.passed:
            self._settled.add(kind)
        else:
            after = self.down_from(REUSE_LEVELS[REUSE_LEVELS.index(level) + 1])
        self._levels[kind] = after
        if found is None:
            return
        row = {
            "images": len(kind),
            "shapes": list(dict.fromkeys(str(key) for key in kind)),
            "level": level,
            "measure": found.measure,
            "deviation": found.deviation if math.isfinite(found.deviation) else None,
            "limit": found.limit,
            "passed": found.passed,
            "after": after,
        }
        if not found.passed:
            self._fall(row)
        self._keep(row)

    def _fall(self, row: Mapping[str, Any]) -> None:
        """Says why once: what other kinds of prompts fall for stands in results.json."""
        if self._fallen:
            return
        self._fallen = True
        self.reason = "; ".join(filter(None, [self.reason, _failure(row)]))
        main_warning("%s; going on with %s", _failure(row), row["after"])

    @property
    def _of_new(self) -> str:
        """The level of a kind that was not met: once many were, the lowest that any had to take."""
        return self.start if len(self._levels) < MOST_KINDS else _lowest(self._levels.values())


def kind_of(visuals: Visuals) -> Kind:
    """Returns the kind of a prompt with these images."""
    return tuple(visual.shape_key for visual in visuals)


def reuse_record(ladder: Ladder, folder: Path) -> dict[str, Any]:
    """Says for results.json how a run reused what, over all its launches and processes.

    Args:
        ladder: The model's ladder, as it begins.
        folder: The run folder.

    Returns:
        asked, level (the lowest that any kind of prompt had to take), reason ("" where they are the
        same), and checks: one for each kind and level, the worst of those that were made.

    Raises:
        StoreError: A line of the folder is damaged.
    """
    worst: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows_of(folder / CHECKS):
        _refuse_damaged(row)
        key = (row["images"], tuple(row["shapes"]), row["level"])
        worst[key] = max(worst.get(key, row), row, key=_badness)
    checks = list(worst.values())
    level = _lowest([ladder.start, *(row["after"] for row in checks)])
    failed = (_failure(row) for row in checks if not row["passed"])
    reason = "; ".join(filter(None, [ladder.reason, next(failed, "")]))
    return {"asked": ladder.asked, "level": level, "reason": reason, "checks": checks}


def _allowed(name: str, levels: Iterable[str]) -> tuple[str, ...]:
    """The levels that a model allows, best first."""
    given = set(levels)
    if unknown := sorted(given - set(REUSE_LEVELS)):
        raise ConfigError(
            f"{name}.reuse_levels names {', '.join(unknown)}; there are {', '.join(REUSE_LEVELS)}"
        )
    # every model has `generate`, and one prompt is the least that it can be given
    return tuple(level for level in REUSE_LEVELS if level in given or level == REUSE_LEVELS[-1])


def _lowest(levels: Iterable[str]) -> str:
    return max(levels, key=REUSE_LEVELS.index)


def _failure(row: Mapping[str, Any]) -> str:
    """Words a check that failed."""
    apart = "not a number" if row["deviation"] is None else f"{row['deviation']:.2g}"
    return (
        f"the self-check of reuse {row['level']} found {row['measure']} {apart} off what they are "
        f"with nothing shared (limit {row['limit']:.2g})"
    )


def _badness(row: Mapping[str, Any]) -> tuple[bool, float]:
    deviation = row["deviation"]
    return (not row["passed"], math.inf if deviation is None else deviation / (row["limit"] or 1.0))


def _refuse_damaged(row: Mapping[str, Any]) -> None:
    number = (int, float)
    good = isinstance(row.get("images"), int) and isinstance(row.get("shapes"), list)
    good = good and all(isinstance(key, str) for key in row["shapes"])
    good = good and row.get("level") in REUSE_LEVELS and row.get("after") in REUSE_LEVELS
    good = good and isinstance(row.get("passed"), bool) and isinstance(row.get("measure"), str)
    good = good and isinstance(row.get("limit"), number)
    if not (good and (row.get("deviation") is None or isinstance(row["deviation"], number))):
        raise StoreError(
            f"a line of the run's folder {CHECKS!r} is damaged: {str(dict(row))[:120]}. Remove "
            "that line, or start anew with --fresh"
        )
