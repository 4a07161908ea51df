"""Figures as tables show them: fractions as percent; results.json keeps the authors' units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collavo.results.statistics import Interval

FRACTION, PERCENT = "fraction", "percent"


def shown(value: Any, unit: str) -> Any:
    """Returns a figure of this unit as tables show it; what is no number as it is."""
    if unit != FRACTION or isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return 100.0 * value


def shown_unit(unit: str) -> str:
    """Returns the unit that tables show for a figure of this one."""
    return PERCENT if unit == FRACTION else unit


def shown_interval(interval: Interval | None, unit: str) -> str:
    """Words the two ends of an interval; "" for none."""
    if interval is None:
        return ""
    return f"{shown(interval.low, unit):.2f} to {shown(interval.high, unit):.2f}"


def shown_table(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], units: Mapping[str, str]
) -> tuple[list[str], list[list[Any]]]:
    """Words a table of an evaluator.

    Args:
        columns: Its columns' names.
        rows: Its cells.
        units: The unit of each column that has one, by name.

    Returns:
        The columns, with % behind those of fractions and percent, and the cells as shown.
    """
    kinds = [units.get(column, "") for column in columns]
    heads = [
        f"{column} %" if shown_unit(kind) == PERCENT and "%" not in column else column
        for column, kind in zip(columns, kinds, strict=True)
    ]
    return heads, [[shown(v, k) for v, k in zip(row, kinds, strict=True)] for row in rows]
