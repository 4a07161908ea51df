"""Draws the curves of a training as a PNG: losses, also by source, evaluations, learning rate."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Series = tuple[list[int], list[float]]
"""Steps, and a figure at each."""

SMOOTHING = 0.9
"""What a step further away weighs, in the exponential mean that is drawn over single steps."""

SOURCE = "loss/"
"""What the figures of metrics.jsonl that are one source's own loss begin with."""

RATE = "learning rate"

_RAW = 0.2
"""Opacity of the single steps below their mean."""


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


def draw_curves(
    rows: Sequence[Mapping[str, Any]],
    target: Path,
    title: str,
    evaluations: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Draws what a training reported over its steps, a panel for each kind of figure.

    The loss, steps of each adapter in a colour of their own; the loss of each source, where there
    are several; the headline figures of each dataset that was evaluated in between; the learning
    rate. Single steps are faint, their mean is not.

    Args:
        rows: What `metrics.jsonl` holds, with `step`, `loss`, `lr` and `kind`.
        target: The PNG to write.
        title: Stands above.
        evaluations: What `evaluations.jsonl` holds, with `step`, `dataset` and `headline`.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    losses = _series(rows, lambda row: {str(row.get("kind", "")): row.get("loss")})
    sources = _series(
        rows, lambda row: {k[len(SOURCE) :]: row[k] for k in row if k.startswith(SOURCE)}
    )
    kinds = {kind or "all steps": found for kind, found in losses.items()}
    panels = [("loss", kinds, 3.2), ("loss of each source", sources, 2.6)]
    for dataset in dict.fromkeys(str(row["dataset"]) for row in evaluations):
        mine = [row for row in evaluations if str(row["dataset"]) == dataset]
        # each in a panel of its own: some count points, some fractions
        panels.append((dataset, _series(mine, lambda row: row.get("headline") or {}), 1.6))
    panels.append((RATE, _series(rows, lambda row: {RATE: row.get("lr")}), 1.2))
    panels = [panel for panel in panels if panel[1] or panel[0] in ("loss", RATE)]
    heights = [height for _, _, height in panels]
    figure = Figure(figsize=(9, sum(heights) + 1), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=heights)
    for (name, series, _), axis in zip(panels, axes[:, 0], strict=True):
        if name.startswith("loss"):
            _draw_losses(axis, series)
        else:
            for label, (x, y) in series.items():
                axis.plot(x, y, "-" if name == RATE else "o-", label=label, markersize=4)
        axis.set_ylabel(name.replace("$", r"\$"))
        axis.grid(alpha=0.3)
        if name != RATE and axis.get_legend_handles_labels()[1]:
            axis.legend(loc="best", fontsize="small")
    last = axes[-1, 0]
    last.set_xlabel("step")
    last.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    last.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
    figure.suptitle(title.replace("$", r"\$"))
    new = target.with_suffix(".new.png")
    figure.savefig(new, dpi=110)
    new.replace(target)


def _series(
    rows: Iterable[Mapping[str, Any]], values: Callable[[Mapping[str, Any]], Mapping[str, Any]]
) -> dict[str, Series]:
    """Collects figures by name: their steps, rising, and values; the last where a step repeats."""
    found: dict[str, dict[int, float]] = {}
    for row in rows:
        for name, value in values(row).items():
            if isinstance(value, (int, float)) and math.isfinite(value):
                # a dollar begins a formula, and what begins with _ stands in no legend
                label = str(name).replace("$", r"\$")
                label = f" {label}" if label.startswith("_") else label
                found.setdefault(label, {})[int(row["step"])] = float(value)
    ordered = {name: sorted(found[name].items()) for name in sorted(found)}
    return {name: ([s for s, _ in at], [v for _, v in at]) for name, at in ordered.items()}


def _draw_losses(axis: Axes, series: Mapping[str, Series]) -> None:
    """Draws single steps and their mean; over a decade or more on a logarithmic axis."""
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    for number, (name, (steps, values)) in enumerate(series.items()):
        color = f"C{number % 10}"
        axis.plot(steps, values, color=color, alpha=_RAW, linewidth=0.8)
        axis.plot(steps, smoothed(values), color=color, label=name)
    every = [value for _, values in series.values() for value in values]
    if every and min(every) > 0 and max(every) > 10 * min(every):
        axis.set_yscale("log")
        # 1, 2, 5, 10 ... in plain numbers: powers of ten alone leave an axis without any
        axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        plain = ScalarFormatter()
        plain.set_scientific(False)
        axis.yaxis.set_major_formatter(plain)
        axis.yaxis.set_minor_formatter(NullFormatter())


def smoothed(values: Sequence[float]) -> list[float]:
    """Returns the exponential mean around each value, corrected for both biases of the usual one.

    The weights of past and coming values fall alike (`SMOOTHING` a step): a mean of the past alone
    lies above a falling loss all the way. And they are divided by their sum, so that the first
    means do not lean to a 0 that they would start from (Adam's correction: Kingma and Ba, 2015,
    arXiv:1412.6980, section 3).
    """
    past, coming = _decayed(values), _decayed(values[::-1])[::-1]
    found = []
    for value, (before, weight), (after, other) in zip(values, past, coming, strict=True):
        found.append((before + after - value) / (weight + other - 1))  # itself stands in both
    return found


def _decayed(values: Sequence[float]) -> list[tuple[float, float]]:
    """The sum of the values so far, older ones weighing less, and the sum of the weights."""
    total, weight = 0.0, 0.0
    found = []
    for value in values:
        total, weight = SMOOTHING * total + value, SMOOTHING * weight + 1
        found.append((total, weight))
    return found
