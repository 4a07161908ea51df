"""Builds the frozen configuration from defaults, files and overrides."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fvcore.common.config import CfgNode

from collavo.config import legacy
from collavo.config.defaults import BLOCKS, KEYS
from collavo.config.files import (
    find_config,
    flatten,
    model_files,
    read_json_words,
    read_words,
    read_yaml,
)
from collavo.config.keys import Key, section_names
from collavo.config.paths import configs_dir
from collavo.errors import ConfigError

_KEYS: dict[str, Key] = {key.name: key for key in KEYS}
_SECTIONS = section_names(KEYS)
_DEAD_SECTIONS = {
    ".".join(name.split(".")[:i])
    for name in legacy.DEPRECATED
    for i in range(1, name.count(".") + 1)
}


def default_cfg() -> CfgNode:
    """Returns a new, unfrozen configuration of all defaults."""
    tree: dict[str, Any] = {}
    for key in KEYS:
        *sections, leaf = key.name.split(".")
        node = tree
        for section in sections:
            node = node.setdefault(section, {})
        node[leaf] = key.default
    cfg = CfgNode(tree)
    for name in sorted(legacy.DEPRECATED):
        cfg.register_deprecated_key(name)
    return cfg


def get_cfg(
    conf_files: Sequence[str | Path] | str | Path = (),
    overrides: Sequence[Any] = (),
    config_overrides: str | Sequence[str] | Mapping[str, Any] | None = None,
    benchmark: str | None = None,
) -> CfgNode:
    """Builds the configuration: defaults, benchmark, model, files, JSON, overrides; later ones win.

    Args:
        conf_files: YAML files, found from the working folder, else among the packaged ones.
        overrides: `KEY VALUE` and `KEY=VALUE` words.
        config_overrides: A JSON object, or the words of one.
        benchmark: Takes `configs/benchmarks/<benchmark>.yaml` in, where there is one, and lets the
            benchmark's own section (POPE.INPUT.IMAGE_SIZE) hold for the whole configuration.

    Returns:
        A frozen fvcore `CfgNode`.

    Raises:
        ConfigError: An unknown key, or a value of the wrong type; names the nearest keys.
        MissingFileError: A configuration file is not there.
    """
    given: list[tuple[list[tuple[str, Any]], str]] = []
    for name in [conf_files] if isinstance(conf_files, (str, Path)) else conf_files:
        path = find_config(name)
        given.append((list(flatten(read_yaml(path))), str(path)))
    given.append((list(flatten(read_json_words(config_overrides))), "--config_overrides"))
    given.append((read_words(overrides), "--overrides"))
    files = [configs_dir() / "benchmarks" / f"{benchmark}.yaml"] if benchmark else []
    files += model_files(_model_of(given))
    cfg = default_cfg()
    ignored: list[str] = []
    for file in files:
        if file.is_file():
            ignored += _merge(cfg, flatten(read_yaml(file)), str(file))
    for pairs, source in given:
        ignored += _merge(cfg, pairs, source)
    legacy.warn(ignored)
    _settle(cfg, block_of(benchmark))
    cfg.freeze()
    return cfg


def _model_of(given: Iterable[tuple[list[tuple[str, Any]], str]]) -> str:
    """The MODEL.NAME that stands last, by which a file of configs/models is found."""
    names = [value for pairs, _ in given for key, value in pairs if key == "MODEL.NAME"]
    return str(names[-1]) if names else str(_KEYS["MODEL.NAME"].default)


def changed(cfg: CfgNode, keys: Mapping[str, Any], source: str) -> CfgNode:
    """Returns a copy of a configuration with other values of some keys, checked as any.

    Args:
        cfg: The configuration; left as it is.
        keys: Values by whole name ("GENERATION.NUM_BEAMS").
        source: Who sets them, for messages.

    Raises:
        ConfigError: There is no such key, or its value cannot be that.
    """
    copy = cfg.clone()
    copy.defrost()
    _merge(copy, keys.items(), source)
    copy.freeze()
    return copy


def dump(cfg: CfgNode) -> str:
    """Writes a configuration as YAML that `get_cfg` reads back to the same values."""
    return cfg.dump(sort_keys=True, allow_unicode=True)


def block_of(benchmark: str | None) -> str:
    """Returns the section of a benchmark ("mm-vet" -> "MMVET"), or "" where it has none."""
    name = re.sub(r"[^A-Z0-9]", "", (benchmark or "").upper())
    return name if name in BLOCKS else ""


def _merge(cfg: CfgNode, pairs: Iterable[tuple[str, Any]], source: str) -> list[str]:
    """Sets `pairs` in `cfg` and returns the deprecated keys among them."""
    ignored = []
    for given, value in pairs:
        name = legacy.RENAMED.get(given, given)
        if name in legacy.DEPRECATED:
            ignored.append(name)
        elif value == {} and name in _SECTIONS | _DEAD_SECTIONS:
            continue
        else:
            if isinstance(value, str):
                value = legacy.MEANT.get((given, value), value)
            *sections, leaf = name.split(".")
            checked = _read(name, value, source)
            node = cfg
            for section in sections:
                node = node[section]
            node[leaf] = checked
    return ignored


def _read(name: str, value: Any, source: str) -> Any:
    """Returns the value of the key `name` in its own type, or raises what is wrong with it."""
    if name not in _KEYS:
        raise ConfigError(f"{source}: {_unknown(name, value)}")
    key = _KEYS[name]
    try:
        return key.read(value)
    except ConfigError as error:
        near = ", ".join(n for n in _nearest(name) if n != name)
        raise ConfigError(
            f"{source}: {name} cannot be {value!r}: {error}. Allowed: {key.allowed}. "
            f"Default: {key.default!r}." + (f" Keys near it: {near}." if near else "")
        ) from None


def _unknown(name: str, value: Any) -> str:
    if name in _SECTIONS:
        inside = [k for k in _KEYS if k.startswith(name + ".")]
        seed = " The random seed is RANDOM_SEED." if name == "SEED" else ""
        return (
            f"{name} is a section and cannot be {value!r}; set one of its keys: "
            f"{', '.join(inside)}.{seed}"
        )
    close = _nearest(name)
    hint = f" Did you mean: {', '.join(close)}?" if close else " See docs/config.md for all keys."
    return f"unknown key {name!r} (value {value!r}).{hint}"


def _nearest(name: str) -> list[str]:
    """Lists at most three keys whose whole or last name is like `name`'s."""
    upper = name.upper()
    leaf = upper.rsplit(".", 1)[-1]
    plain = [k for k in _KEYS if k.split(".")[0] not in BLOCKS or upper.split(".")[0] in BLOCKS]
    found = [k for k in plain if k == upper]
    found += difflib.get_close_matches(upper, plain, n=3, cutoff=0.75)
    found += [k for k in plain if k.rsplit(".", 1)[-1] == leaf]
    leaves = {k.rsplit(".", 1)[-1] for k in plain}
    for close in difflib.get_close_matches(leaf, sorted(leaves), n=3, cutoff=0.75):
        found += [k for k in plain if k.rsplit(".", 1)[-1] == close]
    found += difflib.get_close_matches(upper, plain, n=3, cutoff=0.6)
    return list(dict.fromkeys(found))[:3]


def _settle(cfg: CfgNode, block: str) -> None:
    """Makes the consequences of one key for another explicit, before the configuration freezes."""
    if block:
        section = cfg[block]
        if section.INPUT.IMAGE_SIZE:
            cfg.INPUT.IMAGE_SIZE = section.INPUT.IMAGE_SIZE
        if section.DATALOADER.NUM_WORKERS >= 0:
            cfg.DATALOADER.NUM_WORKERS = section.DATALOADER.NUM_WORKERS
    if not cfg.LLM.LOAD_LLM:
        cfg.EVAL.DRY_RUN = True
    if cfg.RESUME_FROM and not cfg.WEIGHT:
        raise ConfigError(
            f"RESUME_FROM is {cfg.RESUME_FROM!r} but WEIGHT is False: "
            "say WEIGHT True to load it, or leave RESUME_FROM empty"
        )
