"""Prints comparisons and correlations on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from collavo.results.comparison import Comparison, Flip
from collavo.results.correlation import FEWEST, Correlation
from collavo.results.pairing import changes_answers
from collavo.results.report import INTERVAL
from collavo.results.table import print_table
from collavo.results.units import shown, shown_interval, shown_unit
from collavo.terminal import console as stdout

if TYPE_CHECKING:
    from rich.console import Console

SETTINGS_SHOWN = 20
_LONGEST = 60


def print_comparison(found: Comparison, console: Console, flips: int) -> None:
    """Prints one dataset's comparison.

    Args:
        found: The comparison.
        console: Where to.
        flips: How many fixed and how many broken samples to show.
    """
    rows = [
        (
            *(x.figure, shown(x.first, x.unit), shown(x.second, x.unit)),
            *(shown(x.difference, x.unit), shown_interval(x.interval, x.unit), shown_unit(x.unit)),
        )
        for x in found.figures
    ]
    title = f"{found.dataset}: {found.samples} samples, {found.clusters} images"
    columns = ("figure", "first", "second", "difference", f"{INTERVAL} of it", "unit")
    print_table(console, title, columns, rows)
    for sentence in _tests(found):
        console.print(sentence)
    console.print(
        f"{len(found.fixed)} samples fixed, {len(found.broken)} broken; "
        f"{found.changed} answers differ as text",
    )
    for what, listed in (("Fixed", found.fixed), ("Broken", found.broken)):
        if listed[:flips]:
            more = f" ({flips} of {len(listed)})" if len(listed) > flips else ""
            heads = ("sample", "question", "reference", "first", "second")
            print_table(console, f"{what}{more}", heads, [_row(x) for x in listed[:flips]])
    _print_settings(found, console)
    for note in found.notes:
        console.print(f"note: {note}")


def print_correlations(found: Sequence[Correlation], console: Console | None = None) -> None:
    """Prints one row for each pair of figures."""
    console = console or stdout()
    columns = ("figure", "with", "runs", "Pearson r", "p", "Spearman rho", "p ")
    rows = [
        (x.first, x.second, x.runs, x.pearson, x.pearson_p, x.spearman, x.spearman_p) for x in found
    ]
    print_table(console, "Correlation over runs", columns, rows, decimals=4)
    if any(x.pearson is None for x in found):
        console.print(
            f"note: no coefficient for fewer than {FEWEST} runs, or where a figure is constant",
        )


def _tests(found: Comparison) -> list[str]:
    sentences = []
    many = f", Holm {found.corrected.get('sign_flip', 0):.4g}" if found.corrected else ""
    if found.p is not None:
        sentences.append(f"sign flips by image: p {found.p:.4g}{many}")
    if found.test is not None:
        many = f", Holm {found.corrected.get('mcnemar', 0):.4g}" if found.corrected else ""
        sentences.append(
            f"McNemar ({found.test.method}): p {found.test.p:.4g}{many}; "
            "it takes the questions on one image as independent"
        )
    return sentences


def _print_settings(found: Comparison, console: Console) -> None:
    """Prints what differs; first, and in a table of its own, what can change answers."""
    for title, changing in (
        ("What differs and can change answers", True),
        ("What differs besides", False),
    ):
        differ = [row for row in found.settings if changes_answers(row[0]) is changing]
        rows = [(key, _cut(a), _cut(b)) for key, a, b in differ[:SETTINGS_SHOWN]]
        if rows:
            print_table(console, title, ("item", "first", "second"), rows)
        if len(differ) > len(rows):
            console.print(f"... and {len(differ) - len(rows)} more")


def _row(flip: Flip) -> tuple[str, ...]:
    values = (flip.sample_id, flip.question, flip.reference, flip.first, flip.second)
    return tuple(_cut(value) for value in values)


def _cut(value: Any) -> str:
    text = "-" if value is None else " ".join(str(value).split())
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
