"""Draws the curves of a training as a PNG."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

SMOOTHING = 0.9
"""Weight of the past in the exponential mean that is drawn over the single steps."""


def read_metrics(file: Path) -> list[dict[str, Any]]:
    """Reads the lines of metrics.jsonl; a line that a crash has cut in half is left out."""
    rows: list[dict[str, Any]] = []
    if not file.is_file():
        return rows
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows


def draw_curves(rows: Sequence[Mapping[str, Any]], target: Path, title: str) -> None:
    """Draws loss and learning rate over the steps; steps of each adapter in a colour of their own.

    Args:
        rows: What `metrics.jsonl` holds, with `step`, `loss`, `lr` and `kind`.
        target: The PNG to write.
        title: Stands above.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    steps = [row for row in rows if row.get("loss") is not None]
    figure = Figure(figsize=(9, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.add_subplot()
    for number, kind in enumerate(sorted({str(row.get("kind", "")) for row in steps})):
        mine = [row for row in steps if str(row.get("kind", "")) == kind]
        x = [row["step"] for row in mine]
        y = [row["loss"] for row in mine]
        color = f"C{number}"
        axis.plot(x, y, color=color, alpha=0.25, linewidth=0.8)
        axis.plot(x, list(smoothed(y)), color=color, label=f"loss{f', {kind}' if kind else ''}")
    axis.set_xlabel("step")
    axis.set_ylabel("cross entropy")
    axis.set_title(title)
    axis.grid(alpha=0.3)
    if steps and min(row["loss"] for row in steps) > 0:
        axis.set_yscale("log")
    rates = axis.twinx()
    rates.plot(
        [row["step"] for row in steps],
        [row["lr"] for row in steps],
        color="0.6",
        linestyle=":",
        label="learning rate",
    )
    rates.set_ylabel("learning rate")
    lines = [*axis.get_lines()[1::2], *rates.get_lines()]
    if lines:
        axis.legend(lines, [str(line.get_label()) for line in lines], loc="upper right")
    new = target.with_suffix(".new.png")
    figure.savefig(new, dpi=110)
    new.replace(target)


def smoothed(values: Iterable[float]) -> Iterable[float]:
    """Yields the exponential mean of the values so far, corrected for its beginning."""
    mean, weight = 0.0, 0.0
    for value in values:
        mean = SMOOTHING * mean + (1 - SMOOTHING) * value
        weight = SMOOTHING * weight + (1 - SMOOTHING)
        yield mean / weight
