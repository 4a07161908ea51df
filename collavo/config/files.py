"""Finds and reads the YAML and JSON that a configuration is made of."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import yaml
from fvcore.common.config import CfgNode

from collavo.config.paths import configs_dir
from collavo.errors import ConfigError, MissingFileError, UserError


class _Yaml(CfgNode):
    """fvcore's `_BASE_` reading, safe YAML only, with errors that name the file."""

    @classmethod
    def _open_cfg(cls, filename: str) -> IO[str]:
        path = Path(filename)
        if not path.is_file():
            raise MissingFileError(f"no configuration file {path} (named by _BASE_)")
        return path.open(encoding="utf-8")


def find_config(name: str | Path) -> Path:
    """Finds a configuration file: as given, else among the packaged ones.

    Raises:
        MissingFileError: It is in neither place; the message suggests the nearest packaged names.
    """
    given = Path(name).expanduser()
    packaged = configs_dir()
    inside = Path(*given.parts[1:]) if given.parts[:1] == ("configs",) else given
    for path in (given, packaged / inside):
        if path.is_file():
            return path
    names = sorted(str(p.relative_to(packaged)) for p in packaged.rglob("*.yaml"))
    close = difflib.get_close_matches(str(inside), names, n=3, cutoff=0.5)
    hint = f" Did you mean: {', '.join(close)}?" if close else f" Packaged: {', '.join(names)}"
    raise MissingFileError(
        f"no configuration file {str(name)!r}: looked at {given.absolute()} "
        f"and in {packaged}.{hint}"
    )


def model_files(name: str = "") -> list[Path]:
    """Lists the files of `configs/models`: what models are put together of.

    Args:
        name: That of one model, in any case; "" for all.
    """
    files = sorted((configs_dir() / "models").glob("*.yaml"))
    return [file for file in files if not name or file.stem == name.lower()]


def read_yaml(path: Path) -> dict[str, Any]:
    """Reads a YAML file with the files that its `_BASE_` names.

    Raises:
        ConfigError: The file is not UTF-8, YAML or a mapping, or its `_BASE_` leads back to it.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        if content is None:
            return {}
        _check_base(content, path)
        loaded = _Yaml.load_yaml_with_base(str(path))
        _check_size(loaded, path)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text: {error}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = " ".join((getattr(error, "problem", None) or str(error)).split())
        raise ConfigError(f"{path}{line} is not safe YAML: {problem}") from error
    except RecursionError as error:
        raise ConfigError(
            f"{path} is nested too deeply, or its _BASE_ leads back to itself"
        ) from error
    except UserError:
        raise
    except ValueError as error:  # a date that is none, a number of thousands of digits
        raise ConfigError(f"{path} holds a value that cannot be read: {error}") from error
    except OSError as error:
        raise ConfigError(f"{path} or its _BASE_ cannot be read: {error}") from error
    except (TypeError, AssertionError) as error:
        raise ConfigError(f"{path} or its _BASE_ is not a mapping of keys: {error}") from error
    if not isinstance(loaded, dict):
        raise ConfigError(f"{path} holds {type(loaded).__name__}, not a mapping of keys to values")
    return loaded


MOST_VALUES = 100_000
"""Values of a configuration file, those behind aliases counted as often as they stand there."""


def _check_base(content: Any, path: Path) -> None:
    base = content.get("_BASE_", "") if isinstance(content, Mapping) else ""
    listed = base if isinstance(base, list) else [base]
    if not all(isinstance(name, str) for name in listed):
        raise ConfigError(f"{path}: _BASE_ is {base!r:.60}; it has to be a path or a list of paths")


def _check_size(content: Any, path: Path) -> None:
    """Refuses aliases that lead back to themselves or multiply beyond all measure."""
    count, waiting = 0, [(content, 0)]
    while waiting:
        value, depth = waiting.pop()
        count += 1
        if count > MOST_VALUES or depth > 64:
            raise ConfigError(
                f"{path} holds more than {MOST_VALUES} values or more than 64 levels: an alias "
                "leads back to itself, or aliases multiply"
            )
        inner = value.values() if isinstance(value, Mapping) else value
        if isinstance(value, Mapping | list):
            waiting += [(item, depth + 1) for item in inner]


def read_json_words(words: str | Sequence[str] | Mapping[str, Any] | None) -> dict[str, Any]:
    """Reads `--config_overrides`: JSON that the shell may have split into words.

    Raises:
        ConfigError: It is not a JSON object.
    """
    if not words:
        return {}
    if isinstance(words, Mapping):
        return dict(words)
    text = words if isinstance(words, str) else " ".join(words)
    try:
        loaded = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"--config_overrides is not JSON at character {error.pos}: {error.msg}; "
            f"got {text!r:.200}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"--config_overrides cannot be read: {error!s:.200}") from error
    if not isinstance(loaded, dict):
        raise ConfigError(f"--config_overrides must be a JSON object, got {text!r:.200}")
    return loaded


def read_words(words: Sequence[Any]) -> list[tuple[str, Any]]:
    """Reads `--overrides`: `KEY VALUE` and `KEY=VALUE`, in any mixture.

    Raises:
        ConfigError: The last key has no value, or an option stands where a key should.
    """
    pairs: list[tuple[str, Any]] = []
    rest = iter(words)
    for word in rest:
        key, equals, value = str(word).partition("=")
        if key.startswith("-"):
            raise ConfigError(f"--overrides takes KEY VALUE or KEY=VALUE, got {word!r}")
        if equals:
            pairs.append((key, value))
            continue
        try:
            pairs.append((key, next(rest)))
        except StopIteration:
            raise ConfigError(
                f"--overrides ends with the key {key!r} without a value; "
                "give KEY VALUE or KEY=VALUE"
            ) from None
    return pairs


def flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields dotted keys and their values; keys may already hold dots, as in the original."""
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from flatten(value, f"{name}.")
            if not value:
                yield name, {}
        else:
            yield name, value
