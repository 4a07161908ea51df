"""Prints a report on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from collavo.results.files import cell
from collavo.results.report import INTERVAL, PUBLISHED, Report
from collavo.terminal import console as stdout
from collavo.terminal import one_line

if TYPE_CHECKING:
    from rich.console import Console

FAILURES_SHOWN = 10


def print_report(report: Report, console: Console | None = None) -> None:
    """Prints figures, tables, published figures beside ours, flags and failures.

    Args:
        report: The report.
        console: Where to; standard output by default.
    """
    console = console or stdout()
    names = ", ".join(report.flags.names)
    title = f"{report.dataset} [{names}]" if names else report.dataset
    if report.evaluation is not None:
        columns = ("figure", "value", "unit", INTERVAL)
        rows = report.headline_rows()
        shown = len(columns) if report.intervals else len(columns) - 1
        print_table(console, title, columns[:shown], [row[:shown] for row in rows])
    else:
        console.print(f"{title}: no score", markup=False)
    for name, heads, cells in report.shown_tables():
        print_table(console, name, heads, cells)
    if report.evaluation is not None and report.comparison():
        print_table(console, "Published figures beside ours", PUBLISHED, report.published_rows())
    for note in report.notes:
        console.print(f"note: {note}", markup=False)
    notes = filter(None, [report.interval_note(), report.reuse_note()])
    for sentence in (*notes, *report.flags.sentences()):
        console.print(f"note: {sentence}", markup=False)
    if report.model_line():
        console.print(report.model_line(), markup=False)
    counts = report.counts
    console.print(f"{counts.answered} of {counts.expected} answered, {counts.failed} failed")
    for sample_id, error in report.failures[:FAILURES_SHOWN]:
        console.print(f"failed: {sample_id}: {error}", markup=False)
    if len(report.failures) > FAILURES_SHOWN:
        console.print(f"... and {len(report.failures) - FAILURES_SHOWN} more, see results.json")


def print_summary(reports: Sequence[Report], console: Console | None = None) -> None:
    """Prints one table of the headline figures of a run over several datasets.

    Args:
        reports: One a dataset, in the run's order.
        console: Where to; standard output by default.
    """
    rows: list[tuple[Any, ...]] = []
    for report in reports:
        answered = f"{report.counts.answered} of {report.counts.expected}"
        flags = ", ".join(report.flags.names)
        for name, value, unit, _ in report.headline_rows():
            rows.append((report.dataset, name, value, unit, answered, flags))
        if report.evaluation is None:
            rows.append((report.dataset, "no score", None, "", answered, flags))
    columns = ("dataset", "figure", "value", "unit", "answered", "flags")
    lines = {line for report in reports if (line := report.model_line())}
    title = f"{len(reports)} datasets" + (f", {lines.pop()}" if len(lines) == 1 else "")
    print_table(console or stdout(), title, columns, rows)


def print_table(
    console: Console,
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    decimals: int = 2,
) -> None:
    """Prints one table.

    Args:
        console: Where to.
        title: The line above it.
        columns: The columns' names.
        rows: Cells of text or numbers.
        decimals: Of numbers that are not whole.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    listed = [list(row) for row in rows]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for k, column in enumerate(columns):
        numeric = all(isinstance(row[k], (int, float, type(None))) for row in listed)
        table.add_column(Text(one_line(column)), justify="right" if numeric else "left")
    for row in listed:
        table.add_row(*(Text(one_line(cell(value, decimals))) for value in row))
    console.print(Text(one_line(title), style="bold"))
    console.print(table)
