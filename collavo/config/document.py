"""Writes the reference of all keys: `python -m collavo.config.document docs/config.md`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from collavo.config import legacy
from collavo.config.defaults import BLOCKS, KEYS
from collavo.config.keys import Key

_HEAD = """\
# Configuration keys

Generated from `collavo/config/defaults.py` by `python -m collavo.config.document docs/config.md`;
do not edit it by hand.

Values come, later ones winning, from the defaults below, `configs/benchmarks/<benchmark>.yaml`, the
files of `--conf_files` in order, the JSON of `--config_overrides`, and the words of `--overrides`:

```
python lbk_entry.py eval --conf_files configs/collavo_eval.yaml my.yaml \\
  --config_overrides '{"LLM": {"BITS": 4}, "GENERATION.NUM_BEAMS": 1}' \\
  --overrides DATASETS.TEST pope_test,mme SAVE_DIR=results/today
```

- A file says only what differs; `_BASE_: other.yaml` (or a list) takes another in first. File
  names are found from the working folder, else among the packaged `configs/`.
- A value keeps the type of the default. `true yes on 1` and `false no off 0` are booleans, `1e-5`
  is a number, `[a, b]`, `(a, b)` and `a,b` are lists. None (`null`) unsets a key where the table
  says so.
- An unknown key, or a value of another type or outside the choices, ends the command with an error
  that names the nearest keys.
"""


def reference() -> str:
    """Returns the text of `docs/config.md`."""
    plain = [key for key in KEYS if key.name.split(".")[0] not in BLOCKS]
    sections = sorted({_section(key) for key in plain})
    parts = [_HEAD]
    for section in sections:
        parts.append(f"\n## {section or 'Top level'}\n\n")
        parts.append(_table(key for key in plain if _section(key) == section))
    parts.append("\n## One benchmark's own section\n\n")
    parts.append(f"`<BENCHMARK>` is one of {', '.join(BLOCKS)}. What is set here wins for it.\n\n")
    block = [key for key in KEYS if key.name.startswith(f"{BLOCKS[0]}.")]
    parts.append(_table(block).replace(f"`{BLOCKS[0]}.", "`<BENCHMARK>."))
    parts.append(_legacy())
    return "".join(parts)


def _section(key: Key) -> str:
    return key.name.split(".")[0] if "." in key.name else ""


def _table(keys: Iterable[Key]) -> str:
    lines = ["| key | default | takes | meaning |", "|---|---|---|---|"]
    for key in sorted(keys, key=lambda k: k.name):
        default = f"`{key.default!r}`"
        takes = key.allowed + ("; None" if key.takes_none else "")
        lines.append(f"| `{key.name}` | {default} | {takes} | {key.help} |")
    return "\n".join(lines) + "\n"


def _legacy() -> str:
    dead = sorted({legacy.general(name) for name in legacy.DEPRECATED})
    renamed = ", ".join(f"`{old}` is `{new}`" for old, new in legacy.RENAMED.items())
    meant = "\n".join(
        f"- `{key}: {value!r}` means {new!r}." for (key, value), new in legacy.MEANT.items()
    )
    return (
        "\n## The original's configuration\n\n"
        "The original's files (`collavo_eval.yaml`, `collavo_step2.yaml`) load, and give what its\n"
        "code did: 3 beams, 5 new tokens for POPE and MME and 128 elsewhere, whatever they say.\n"
        f"Of its names, {renamed}. Of its values:\n\n{meant}\n\n"
        "Keys that its code never read are accepted with one warning and have no effect:\n\n"
        + "\n".join(f"- `{name}`" for name in dead)
        + "\n"
    )


def main() -> None:
    """Writes the reference to the file given."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("file", type=Path)
    parser.parse_args().file.write_text(reference(), encoding="utf-8")


if __name__ == "__main__":
    main()
