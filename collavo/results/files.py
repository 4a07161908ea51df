"""Writes a report: results.json, results.md and results.csv, whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from collavo.results.report import INTERVAL, PUBLISHED, Report, flatten


def write_report(folder: Path, report: Report) -> None:
    """Writes the three files into the run folder."""
    data = plain(report.as_dict())
    write_text(folder / "results.json", json.dumps(data, indent=2, ensure_ascii=False) + "\n")
    write_text(folder / "results.md", markdown(report))
    write_text(folder / "results.csv", comma_separated(report))


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes JSON lines, one at a time, so that long files take no memory."""
    _write(path, (json.dumps(plain(row), ensure_ascii=False) + "\n" for row in rows))


def write_text(path: Path, text: str) -> None:
    """Writes a text file."""
    _write(path, [text])


def _write(path: Path, pieces: Iterable[str]) -> None:
    """Writes under another name and moves the file to its place, so that it is never seen half."""
    temporary = path.with_name(path.name + ".new")
    with open(temporary, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(pieces)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def plain(value: Any) -> Any:
    """Turns mappings, sequences and numbers of any library into what JSON holds; NaN into None."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(v) for v in value]
    if hasattr(value, "item") and not isinstance(value, (str, bytes)):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def markdown(report: Report) -> str:
    """Words a report as Markdown."""
    lines = [f"# {report.dataset}", ""]
    lines += [f"> **{sentence}**" for sentence in report.flags.sentences()]
    counts = report.counts
    lines += ["", report.model_line()] if report.model_line() else []
    lines += ["", f"{counts.answered} of {counts.expected} answered, {counts.failed} failed.", ""]
    if report.evaluation is not None:
        columns = ("figure", "value", "unit", INTERVAL)
        shown = len(columns) if report.intervals else len(columns) - 1
        lines += markdown_table(columns[:shown], [row[:shown] for row in report.headline_rows()])
        notes = (*report.notes, *filter(None, [report.interval_note(), report.reuse_note()]))
        lines += [f"- {note}" for note in notes] + [""]
    for title, heads, cells in report.shown_tables():
        lines += [f"## {title}", ""] + markdown_table(heads, cells)
    if report.evaluation is not None and report.comparison():
        lines += ["## Published figures", ""] + markdown_table(PUBLISHED, report.published_rows())
    if report.failures:
        lines += ["## Failed samples", ""]
        lines += markdown_table(("sample", "error"), report.failures)
    return "\n".join(lines).rstrip() + "\n"


def comma_separated(report: Report) -> str:
    """Words the scores as CSV: metric, value, unit; with intervals also low, high."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("metric", "value", "unit", *(("low", "high") if report.intervals else ())))
    if report.evaluation is not None:
        rows = dict(flatten(report.evaluation.scores))
        rows = {**{k: v for k, v in report.evaluation.headline.items()}, **rows}
        for metric, value in rows.items():
            interval = report.intervals.get(metric)
            ends = (interval.low, interval.high) if interval else ("", "")
            row = (metric, plain(value), report.unit(metric), *ends)
            writer.writerow(row if report.intervals else row[:3])
    return text.getvalue()


def cell(value: Any, decimals: int = 2) -> str:
    """Words one cell of a table."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.{decimals}f}"
    return str(value)


def markdown_table(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> list[str]:
    """Words a table as lines of Markdown, an empty one at the end."""
    columns = list(columns)
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    for row in rows:
        cells = [cell(v).replace("|", "\\|").replace("\n", " ") for v in row]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]
