"""`list`: what is registered, with one line of description each, without importing torch.

Of datasets it also says where the files of each are.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from collavo import registry
from collavo.errors import EXIT_OK
from collavo.terminal import say

if TYPE_CHECKING:
    from collavo.datasets.registration.places import Place

KINDS: dict[str, registry.Registry[Any]] = {
    "pipelines": registry.PIPELINES,
    "evaluators": registry.EVALUATORS,
    "parsers": registry.PARSERS,
    "models": registry.ARCHITECTURES,
    "segmenters": registry.SEGMENTERS,
    "vision_encoders": registry.VISION_ENCODERS,
    "image_policies": registry.IMAGE_POLICIES,
    "projectors": registry.PROJECTORS,
    "llms": registry.LLMS,
    "losses": registry.LOSSES,
}


DATASETS = "datasets"
TEMPLATES = "templates"


@dataclass(frozen=True)
class Row:
    """One listed name; of a dataset also where its files are."""

    name: str
    description: str
    aliases: tuple[str, ...] = ()
    place: Place | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `list`."""
    parser.add_argument(
        "kind", nargs="?", choices=(DATASETS, *KINDS, TEMPLATES), metavar="KIND",
        help=f"what to list: {', '.join((DATASETS, *KINDS, TEMPLATES))}; none: what there is to "
        "list",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON alone")


def run(args: argparse.Namespace) -> int:
    """Prints the names of one kind, or the kinds."""
    if args.kind is None:
        _print_kinds(args.json)
        return EXIT_OK
    if args.kind == DATASETS:
        _use_root(args)
    rows = rows_of(args.kind)
    if args.json:
        print(json.dumps([_json(row) for row in rows], ensure_ascii=False, indent=2))
    else:
        _print_table(args.kind, rows)
        if args.kind == DATASETS:
            _print_groups(rows)
    return EXIT_OK


def rows_of(kind: str) -> list[Row]:
    """Lists the names of one kind, sorted; datasets only where their metadata names a pipeline."""
    if kind == TEMPLATES:
        from collavo.modeling.llms.chat_templates import CHAT_TEMPLATES

        shown = {name: CHAT_TEMPLATES[name].render("{question}") for name in sorted(CHAT_TEMPLATES)}
        return [Row(name, text.replace("\n", "\\n")) for name, text in shown.items()]
    if kind != DATASETS:
        rows = [Row(e.name, e.description, e.aliases) for e in KINDS[kind].entries()]
        return _with_files(rows) if kind == "models" else rows
    from collavo.datasets.registration.catalog import dataset_names, metadata_of
    from collavo.datasets.registration.names import aliases_of
    from collavo.datasets.registration.places import place_of

    return [
        Row(name, metadata_of(name).get("description", ""), aliases_of(name), place_of(name))
        for name in dataset_names()
    ]


def _with_files(rows: list[Row]) -> list[Row]:
    """Adds the models that files of configs/models put together, described by their first line."""
    from collavo.config.files import model_files

    named = {row.name: row for row in rows}
    for file in model_files():
        first = file.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
        named.setdefault(file.stem, Row(file.stem, first))
    return [named[name] for name in sorted(named)]


def _use_root(args: argparse.Namespace) -> None:
    from collavo.config import get_cfg
    from collavo.datasets.registration.layouts import use_files

    cfg = get_cfg(args.conf_files, args.overrides, args.config_overrides)
    use_files(cfg)


def _print_kinds(as_json: bool) -> None:
    """Prints what can be listed, and how many there are of each."""
    from collavo.datasets.registration.catalog import dataset_names

    counts = {DATASETS: len(dataset_names())}
    counts |= {kind: len(rows_of(kind)) for kind in (*KINDS, TEMPLATES)}
    if as_json:
        print(json.dumps(counts))
        return
    say("list KIND names the registered ones of a kind:")
    for kind, count in counts.items():
        say(f"  {kind:<16} {count:>3}")


def _print_groups(rows: list[Row]) -> None:
    """Prints the groups, and where the files lie or why they do not."""
    from collavo.datasets.registration.names import ALL, GROUPS
    from collavo.datasets.registration.places import MINIATURE, MISSING
    from collavo.datasets.registration.roots import HOW_TO_SET, named_root

    for group, names in GROUPS.items():
        say(f"group {group}: {', '.join(names)}")
    say(f"group {ALL}: those whose files are there")
    place = named_root()
    if place is not None:
        say(f"root: {place.path} (from {place.source})")
    elif any(row.place is not None and row.place.kind == MINIATURE for row in rows):
        say(f"no dataset root is set, so the built-in miniature serves; {HOW_TO_SET}")
    missing = sum(row.place is not None and row.place.kind == MISSING for row in rows)
    if missing:
        say(f"{missing} are missing: check NAME says what was looked for, and where")


def _json(row: Row) -> dict[str, object]:
    listed: dict[str, object] = {"name": row.name, "description": row.description}
    if row.aliases:
        listed["aliases"] = list(row.aliases)
    if row.place is not None:
        listed["files"] = {k: v for k, v in asdict(row.place).items() if v}
    return listed


def _print_table(kind: str, rows: list[Row]) -> None:
    from rich.table import Table
    from rich.text import Text

    from collavo.terminal import console as stdout

    table = Table(title=f"{len(rows)} {kind.replace('_', ' ')}", title_justify="left")
    table.add_column("name", no_wrap=True)
    columns: dict[str, list[str]] = {"description": [row.description for row in rows]}
    if any(row.aliases for row in rows):
        columns["aliases"] = [", ".join(row.aliases) for row in rows]
    if any(row.place for row in rows):
        columns["files"] = [row.place.words if row.place else "" for row in rows]
    for column in columns:
        table.add_column(column)
    for number, row in enumerate(rows):
        table.add_row(Text(row.name), *(Text(cells[number]) for cells in columns.values()))
    stdout().print(table)
