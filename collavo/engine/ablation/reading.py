"""Reads the plan of an ablation from YAML; whatever is wrong with it is found before any work."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from collavo.config.files import find_config, flatten, read_yaml
from collavo.datasets.registration.names import dataset_name
from collavo.engine.ablation.plan import Arm, Comparison, Figure, Plan, Settings, Stage
from collavo.errors import ConfigError

_TOP = (
    *("title", "about", "seeds", "reference", "set", "train", "eval"),
    *("stages", "arms", "figures", "tables"),
)
_ARM = (
    *("name", "label", "stages", "weights_of", "weights", "set", "train", "eval", "paper"),
)  # fmt: skip
_STAGE = ("file", "set")
_FIGURE = ("name", "label", "dataset", "figure")
_TABLE = ("title", "arms", "figures", "reference", "source")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")


def read_plan(path: str | Path) -> Plan:
    """Reads a plan.

    Args:
        path: Its YAML file, from here or from the packaged configurations.

    Raises:
        ConfigError: A field is unknown, missing or of the wrong kind, a name is none of the
            plan's, or arms use each other's weights in a circle.
        MissingFileError: The plan, or a stage's file, is not there.
    """
    file = find_config(path)
    whole = _fields(str(file), read_yaml(file), _TOP, needed=("arms", "figures"))
    shared = _stages(f"{file}, stages", whole.get("stages", []))
    figures = _named(str(file), "figures", [_figure(*x) for x in _entries(file, whole, "figures")])
    arms = _named(str(file), "arms", [_arm(*x, shared) for x in _entries(file, whole, "arms")])
    for arm in arms.values():
        _check_arm(str(file), arm, arms, figures)
    plan = Plan(
        name=file.stem,
        title=_text(str(file), whole, "title") or file.stem,
        about=_text(str(file), whole, "about"),
        seeds=read_seeds(f"{file}, seeds", whole.get("seeds", 3)),
        both=_settings(f"{file}, set", whole.get("set")),
        train=_settings(f"{file}, train", whole.get("train")),
        evaluation=_settings(f"{file}, eval", whole.get("eval")),
        arms=arms,
        figures=figures,
        tables=(),
    )
    reference = _text(str(file), whole, "reference")
    _check_names(f"{file}, reference", [reference] if reference else [], arms, "arm")
    given = list(_entries(file, whole, "tables")) if whole.get("tables") else []
    tables = [_table(where, entry, plan, reference) for where, entry in given]
    if not tables:
        tables = [Comparison("All arms", tuple(arms), tuple(figures), reference)]
    return replace(plan, tables=tuple(tables))


def read_seeds(where: str, value: Any) -> tuple[int, ...]:
    """Reads how many seeds (0, 1, ...), or which: 3, "3", [0, 7], "0,7".

    Raises:
        ConfigError: None, one that is negative, or one twice.
    """
    words = value.split(",") if isinstance(value, str) else value
    if isinstance(words, list) and len(words) == 1 and isinstance(value, str):
        words = words[0]
    listed = [_whole(where, x) for x in (words if isinstance(words, list) else [words])]
    if not isinstance(words, list):
        listed = list(range(listed[0]))
    if not listed:
        raise ConfigError(f"{where}: {value!r} names no seed; say how many, such as 3, or which")
    if len(set(listed)) < len(listed):
        raise ConfigError(f"{where}: {value!r} names a seed twice")
    return tuple(listed)


def chosen_arms(plan: Plan, names: str) -> tuple[str, ...]:
    """Returns the arms that `--arms a,b` names, all without it, in the plan's order.

    Raises:
        ConfigError: The plan has no such arm.
    """
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    _check_names("--arms", wanted, plan.arms, "arm")
    return tuple(name for name in plan.arms if not wanted or name in wanted)


def _arm(where: str, entry: Any, shared: tuple[Stage, ...]) -> Arm:
    fields = _fields(where, entry, _ARM, needed=("name",))
    name = _name(where, fields)
    where = f"{where} ({name})"
    weights_of, weights = _text(where, fields, "weights_of"), _text(where, fields, "weights")
    stages = _stages(f"{where}, stages", fields["stages"]) if "stages" in fields else ()
    if (weights_of != "") + (weights != "") + ("stages" in fields) > 1:
        raise ConfigError(
            f"{where} says more than one of stages, weights_of and weights: its weights are "
            "trained, another arm's, or given"
        )
    if not (weights_of or weights or "stages" in fields):
        stages = shared
    if not (stages or weights_of or weights):
        raise ConfigError(
            f"{where} has no weights: give stages to train (its own or the plan's), weights_of "
            "(an arm) or weights (a checkpoint)"
        )
    if not stages and fields.get("train"):
        raise ConfigError(f"{where} trains nothing, so it takes no settings under train")
    return Arm(
        name=name,
        label=_text(where, fields, "label") or name,
        stages=stages,
        weights_of=weights_of,
        weights=weights,
        both=_settings(f"{where}, set", fields.get("set")),
        train=_settings(f"{where}, train", fields.get("train")),
        evaluation=_settings(f"{where}, eval", fields.get("eval")),
        paper=_numbers(f"{where}, paper", fields.get("paper")),
    )


def _check_arm(file: str, arm: Arm, arms: Mapping[str, Arm], figures: Collection[str]) -> None:
    where = f"{file}, arm {arm.name}"
    _check_names(f"{where}, paper", arm.paper, figures, "figure")
    seen = [arm.name]
    while other := arms[seen[-1]].weights_of:
        _check_names(f"{file}, arm {seen[-1]}, weights_of", [other], arms, "arm")
        if other in seen:
            raise ConfigError(
                f"{file}: arms use each other's weights in a circle: {' -> '.join([*seen, other])}"
            )
        seen.append(other)


def _stages(where: str, entries: Any) -> tuple[Stage, ...]:
    if not isinstance(entries, list):
        raise ConfigError(f"{where} is {entries!r}; it must be a list of files or {{file:, set:}}")
    found = []
    for number, entry in enumerate(entries, 1):
        place = f"{where}, entry {number}"
        given = {"file": entry} if isinstance(entry, str) else entry
        fields = _fields(place, given, _STAGE, needed=("file",))
        settings = _settings(f"{place}, set", fields.get("set"))
        found.append(Stage(find_config(_text(place, fields, "file")), settings))
    return tuple(found)


def _figure(where: str, entry: Any) -> Figure:
    fields = _fields(where, entry, _FIGURE, needed=("dataset", "figure"))
    words = _text(where, fields, "figure")
    terms = tuple(term.strip() for term in words.split("+"))
    if not all(terms):
        raise ConfigError(f"{where}: figure is {words!r}; name a figure, or several with + between")
    name = _name(where, fields) if "name" in fields else words
    label = _text(where, fields, "label") or name
    return Figure(name, label, dataset_name(_text(where, fields, "dataset")), terms)


def _table(where: str, entry: Any, plan: Plan, reference: str) -> Comparison:
    fields = _fields(where, entry, _TABLE, needed=("title",))
    arms = _list(where, "arms", fields.get("arms", list(plan.arms)))
    figures = _list(where, "figures", fields.get("figures", list(plan.figures)))
    reference = _text(where, fields, "reference") or reference
    _check_names(f"{where}, arms", arms, plan.arms, "arm")
    _check_names(f"{where}, figures", figures, plan.figures, "figure")
    _check_names(f"{where}, reference", [reference] if reference else [], plan.arms, "arm")
    title, source = _text(where, fields, "title"), _text(where, fields, "source")
    return Comparison(title, tuple(arms), tuple(figures), reference, source)


def _entries(file: Path, whole: Mapping[str, Any], field: str) -> list[tuple[str, Any]]:
    entries = whole[field]
    if not isinstance(entries, list) or not entries:
        raise ConfigError(f"{file}: {field} must be a list with at least one entry")
    return [(f"{file}, {field}, entry {number}", entry) for number, entry in enumerate(entries, 1)]


def _named(file: str, what: str, items: list[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in items:
        if item.name in found:
            raise ConfigError(f"{file}, {what}: {item.name!r} is there twice")
        found[item.name] = item
    return found


def _fields(
    where: str, entry: Any, allowed: Collection[str], needed: Collection[str] = ()
) -> Mapping[str, Any]:
    if not isinstance(entry, Mapping):
        raise ConfigError(f"{where} is {entry!r}; it must be a mapping of {', '.join(allowed)}")
    for field in entry:
        if field not in allowed:
            close = difflib.get_close_matches(str(field), list(allowed), n=1, cutoff=0.5)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise ConfigError(f"{where}: unknown key {field!r}.{hint} Keys: {', '.join(allowed)}")
    for field in needed:
        if not entry.get(field):
            raise ConfigError(f"{where} needs {field!r}")
    return entry


def _check_names(where: str, names: Collection[str], known: Collection[str], what: str) -> None:
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.5)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise ConfigError(f"{where}: no {what} {name!r}.{hint} There are: {', '.join(known)}")


def _name(where: str, fields: Mapping[str, Any]) -> str:
    name = _text(where, fields, "name")
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{where}: the name {name!r} must be letters, digits and _ . + - (folders are called "
            "so); give the words of tables as label"
        )
    return name


def _text(where: str, fields: Mapping[str, Any], field: str) -> str:
    value = fields.get(field)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ConfigError(f"{where}: {field} is {value!r}; it must be text (quote it in YAML)")
    return value.strip()


def _list(where: str, field: str, value: Any) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(x, str) for x in value):
        raise ConfigError(f"{where}: {field} is {value!r}; it must be a list of names")
    return value


def _settings(where: str, value: Any) -> Settings:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where} is {value!r}; it must be a mapping of configuration keys")
    return dict(flatten(value))


def _numbers(where: str, value: Any) -> Mapping[str, float]:
    found = value if value is not None else {}
    if not isinstance(found, Mapping) or any(
        isinstance(x, bool) or not isinstance(x, (int, float)) for x in found.values()
    ):
        raise ConfigError(f"{where} is {value!r}; it must be a mapping of figures to numbers")
    return {str(name): float(x) for name, x in found.items()}


def _whole(where: str, value: Any) -> int:
    text = str(value).strip()
    if isinstance(value, bool) or not re.fullmatch(r"\d{1,9}", text):
        raise ConfigError(
            f"{where} is {value!r}; it must be a whole number, at least 0, or a list of them"
        )
    return int(text)
