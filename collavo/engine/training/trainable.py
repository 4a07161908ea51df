"""Makes exactly the parameters trainable that the stage names, and says which they are."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from collavo.engine.training.stage import ModuleRule
from collavo.errors import ConfigError


@dataclass(frozen=True)
class Trained:
    """One parameter that a stage trains.

    Args:
        name: Its name in the model.
        parameter: The parameter, float32.
        lr: Learning rate at the start.
        weight_decay: AdamW's.
        side: The adapter whose steps train it; "" where every step does.
    """

    name: str
    parameter: nn.Parameter
    lr: float
    weight_decay: float
    side: str = ""


def make_trainable(
    model: nn.Module,
    rules: Sequence[ModuleRule],
    lr: float,
    weight_decay: float,
    lora: Mapping[str, Any],
    sided: bool,
) -> list[Trained]:
    """Applies the rules to a model: adds adapters, and freezes whatever no rule trains.

    Args:
        model: Trained parameters are made float32 in place.
        rules: Later ones win.
        lr: For rules without a rate of their own.
        weight_decay: For rules without one; parameters of one axis (biases, norms) get none.
        lora: `rank`, `alpha`, `dropout` and `targets` of new adapters.
        sided: Whether a step trains one of the adapters only.

    Returns:
        The trained parameters, in the model's order.

    Raises:
        ConfigError: A rule fits nothing, nothing is trained, or what would be trained is not what
            the rules say.
    """
    for rule in rules:
        if rule.adapters:
            _add_adapters(model, rule, lora)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    chosen = _choose(model, rules)
    trained: list[Trained] = []
    for name, parameter in list(model.named_parameters()):
        if name not in chosen:
            continue
        rule = chosen[name]
        if not parameter.is_floating_point():
            raise ConfigError(
                f"TRAIN.MODULES: {rule.module} cannot be trained ({rule.mode}): {name} is quantised"
                "; train adapters on it, or set LLM.BITS 16"
            )
        parameter.data = parameter.data.float()
        parameter.requires_grad_(True)
        decay = weight_decay if rule.weight_decay is None else rule.weight_decay
        trained.append(
            Trained(
                name,
                parameter,
                lr if rule.lr is None else rule.lr,
                decay if parameter.ndim > 1 else 0.0,
                adapter_of(name) if sided else "",
            )
        )
    if not trained:
        raise ConfigError("TRAIN.MODULES trains nothing: name the modules of the stage in it")
    check_trainable(model, trained)
    return trained


def check_trainable(model: nn.Module, trained: Sequence[Trained]) -> None:
    """Holds what a model would train against the list of what it is to train.

    Raises:
        ConfigError: A parameter trains that should not, or the other way round.
    """
    wanted = {t.name for t in trained}
    found = {name for name, p in model.named_parameters() if p.requires_grad}
    if found != wanted:
        by_accident, missing = sorted(found - wanted), sorted(wanted - found)
        raise ConfigError(
            "the model would not train what TRAIN.MODULES says. By accident: "
            f"{', '.join(by_accident[:5]) or 'none'}; left out: {', '.join(missing[:5]) or 'none'}"
        )


def adapter_of(name: str) -> str:
    """The adapter that a parameter belongs to ("image"), "" for others."""
    found = re.search(r"\.lora_(?:A|B|embedding_A|embedding_B)\.([^.]+)", name)
    return found.group(1) if found else ""


def trainable_rows(trained: Sequence[Trained]) -> list[tuple[str, str, int, int, float, str]]:
    """Lists the trained parameters with those that differ in their layer's number taken together.

    Returns:
        Rows of name, shape, how many parameters of that name, numbers in all, rate, side.
    """
    rows: dict[tuple[str, str, float, str], list[Trained]] = {}
    for item in trained:
        name = re.sub(r"\.\d+\.", ".*.", item.name)
        shape = " x ".join(map(str, item.parameter.shape))
        rows.setdefault((name, shape, item.lr, item.side), []).append(item)
    return [
        (name, shape, len(items), sum(i.parameter.numel() for i in items), lr, side)
        for (name, shape, lr, side), items in rows.items()
    ]


def _choose(model: nn.Module, rules: Sequence[ModuleRule]) -> dict[str, ModuleRule]:
    """The rule that trains each parameter; parameters that stay frozen are left out."""
    names = [name for name, _ in model.named_parameters()]
    chosen: dict[str, ModuleRule] = {}
    for rule in rules:
        hits = [n for n in names if _fits(model, rule, n)]
        if not hits:
            raise ConfigError(_unknown(model, rule))
        for name in hits:
            if rule.mode == "frozen":
                chosen.pop(name, None)
            else:
                chosen[name] = rule
    return chosen


def _fits(model: nn.Module, rule: ModuleRule, name: str) -> bool:
    if not any(_within(pattern, name) for pattern in _patterns(model, rule.module)):
        return False
    adapter = adapter_of(name)
    if rule.mode == "frozen":
        return True
    if rule.adapters:
        return adapter in rule.adapters
    if adapter:
        return False
    return rule.mode != "partial" or _in_later_block(model, rule, name)


def _patterns(model: nn.Module, module: str) -> tuple[str, ...]:
    roles: Mapping[str, tuple[str, ...]] = getattr(model, "roles", {})
    return roles.get(module, (module,))


def _within(pattern: str, name: str) -> bool:
    """Whether a parameter is, or lies below, what a pattern names; `*` also stands for dots."""
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")


def _in_later_block(model: nn.Module, rule: ModuleRule, name: str) -> bool:
    """Whether a parameter lies in a block from `rule.start` on, of its outermost list of blocks."""
    parts = name.split(".")
    for end in range(1, len(parts)):
        holder = model.get_submodule(".".join(parts[:end]))
        if isinstance(holder, nn.ModuleList):
            start = rule.start if rule.start >= 0 else len(holder) + rule.start
            if not 0 <= start < len(holder):
                raise ConfigError(
                    f"TRAIN.MODULES ({rule.module}): from is {rule.start}, but "
                    f"{'.'.join(parts[:end])} has {len(holder)} blocks"
                )
            return int(parts[end]) >= start
    return False


def _add_adapters(model: nn.Module, rule: ModuleRule, lora: Mapping[str, Any]) -> None:
    from collavo.modeling.adapters.dual_lora import add_adapters

    llm = getattr(model, rule.module, None)
    if not isinstance(llm, nn.Module):
        raise ConfigError(_unknown(model, rule))
    there = {adapter_of(name) for name, _ in llm.named_parameters()} - {""}
    new = tuple(name for name in rule.adapters if name not in there)
    if new:
        add_adapters(llm, new, **lora)


def _unknown(model: nn.Module, rule: ModuleRule) -> str:
    roles: Mapping[str, tuple[str, ...]] = getattr(model, "roles", {})
    known = sorted({*roles, *(name for name, _ in model.named_children())})
    modules = [*known, *(name for name, _ in model.named_modules() if name)]
    close = difflib.get_close_matches(rule.module, modules, n=3, cutoff=0.6)
    hint = f" Did you mean: {', '.join(close)}?" if close else ""
    return (
        f"TRAIN.MODULES: nothing in the model fits {rule.module!r} (mode {rule.mode}).{hint} "
        f"Modules and roles: {', '.join(known)}; parts of them go by their dotted names"
    )
