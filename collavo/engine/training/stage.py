"""The stage spec: which modules a stage trains, how, and at what rate; read from TRAIN.MODULES."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from collavo.errors import ConfigError

MODES = ("full", "frozen", "partial", "lora", "adapters")
"""How a module is trained: all of it, not at all, its later blocks, by one new adapter, by several.

`full` and `partial` train the module's own parameters; `lora` and `adapters` leave them frozen.
"""

DUAL = ("image", "vl")
"""The adapters of Dual QLoRA: of Image-CIT and of VL-CIT (arXiv 2402.11248, section 3)."""

_FIELDS = ("module", "mode", "lr", "weight_decay", "from", "adapters")


@dataclass(frozen=True)
class ModuleRule:
    """What one entry of TRAIN.MODULES says; of several that fit a parameter the last one decides.

    Args:
        module: A role of the architecture ("crayon"), a module's name or a pattern with `*`.
        mode: One of `MODES`.
        lr: Learning rate at the start; None takes OPTIMIZER.LR.
        weight_decay: None takes OPTIMIZER.WEIGHT_DECAY.
        start: The first block that `partial` trains; negative counts from the end.
        adapters: The names of the adapters that `adapters` trains.
    """

    module: str
    mode: str = "full"
    lr: float | None = None
    weight_decay: float | None = None
    start: int = 0
    adapters: tuple[str, ...] = ()


def read_rules(entries: Sequence[Any]) -> tuple[ModuleRule, ...]:
    """Reads TRAIN.MODULES.

    Args:
        entries: Mappings with the fields of `ModuleRule` (`from` for `start`), or names alone.

    Raises:
        ConfigError: A field or value is unknown, of the wrong type or does not fit the mode.
    """
    return tuple(_rule(number, entry) for number, entry in enumerate(entries, 1))


def _rule(number: int, entry: Any) -> ModuleRule:
    where = f"TRAIN.MODULES, entry {number}"
    if isinstance(entry, str):
        entry = {"module": entry}
    if not isinstance(entry, Mapping):
        raise ConfigError(f"{where} is {entry!r}; it must be a mapping such as {{module: crayon}}")
    for field in entry:
        if field not in _FIELDS:
            close = difflib.get_close_matches(str(field), _FIELDS, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise ConfigError(f"{where} has the field {field!r};{hint} allowed: {_listed(_FIELDS)}")
    module, mode = entry.get("module"), entry.get("mode", "full")
    if not isinstance(module, str) or not module:
        raise ConfigError(f"{where} must name its module, not {module!r}")
    if mode not in MODES:
        raise ConfigError(f"{where} ({module}): mode is {mode!r}; allowed: {_listed(MODES)}")
    adapters = entry.get("adapters", DUAL if mode == "adapters" else ())
    if isinstance(adapters, str):
        adapters = [name.strip() for name in adapters.split(",")]
    if adapters and mode != "adapters":
        raise ConfigError(f"{where} ({module}): adapters go with mode adapters, not {mode}")
    if mode == "partial" and "from" not in entry:
        raise ConfigError(f"{where} ({module}): mode partial needs from, the first block to train")
    if "from" in entry and mode != "partial":
        raise ConfigError(f"{where} ({module}): from goes with mode partial, not {mode}")
    start = entry.get("from", 0)
    if isinstance(start, bool) or not isinstance(start, int):
        raise ConfigError(f"{where} ({module}): from is {start!r}; it must be a whole number")
    return ModuleRule(
        module,
        mode,
        _number(where, module, "lr", entry.get("lr")),
        _number(where, module, "weight_decay", entry.get("weight_decay")),
        start,
        tuple(adapters) or (("default",) if mode == "lora" else ()),
    )


def _number(where: str, module: str, field: str, value: Any) -> float | None:
    """A number that is not negative; YAML reads 1e-4 as text, so text is tried as well."""
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1.0
    if isinstance(value, bool) or not 0 <= number < float("inf"):
        raise ConfigError(
            f"{where} ({module}): {field} is {value!r}; it must be a number, at least 0"
        )
    return number


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
