"""`list`: what is registered, with one line of description each, without importing torch."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass

from collavo import registry
from collavo.errors import EXIT_OK

KINDS = {
    "pipelines": registry.PIPELINES,
    "evaluators": registry.EVALUATORS,
    "parsers": registry.PARSERS,
    "models": registry.ARCHITECTURES,
    "segmenters": registry.SEGMENTERS,
    "vision_encoders": registry.VISION_ENCODERS,
    "projectors": registry.PROJECTORS,
    "llms": registry.LLMS,
    "losses": registry.LOSSES,
}


@dataclass(frozen=True)
class Row:
    """One listed name."""

    name: str
    description: str
    aliases: tuple[str, ...] = ()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `list`."""
    parser.add_argument("kind", choices=("datasets", *KINDS), help="what to list")
    parser.add_argument("--json", action="store_true", help="print one JSON list")


def run(args: argparse.Namespace) -> int:
    """Prints the names of one kind."""
    rows = rows_of(args.kind)
    if args.json:
        print(json.dumps([_json(row) for row in rows], ensure_ascii=False, indent=2))
    else:
        _print_table(args.kind, rows)
    return EXIT_OK


def rows_of(kind: str) -> list[Row]:
    """Lists the names of one kind, sorted; datasets only where their metadata names a pipeline."""
    if kind == "datasets":
        from collavo.datasets.registration.catalog import dataset_names, metadata_of

        return [Row(name, metadata_of(name).get("description", "")) for name in dataset_names()]
    return [Row(e.name, e.description, e.aliases) for e in KINDS[kind].entries()]


def _json(row: Row) -> dict[str, object]:
    listed: dict[str, object] = {"name": row.name, "description": row.description}
    if row.aliases:
        listed["aliases"] = list(row.aliases)
    return listed


def _print_table(kind: str, rows: list[Row]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"{len(rows)} {kind.replace('_', ' ')}", title_justify="left")
    table.add_column("name", no_wrap=True)
    table.add_column("description")
    aliases = any(row.aliases for row in rows)
    if aliases:
        table.add_column("aliases")
    for row in rows:
        cells = [row.name, row.description, *([", ".join(row.aliases)] if aliases else [])]
        table.add_row(*(Text(cell) for cell in cells))
    Console().print(table)
