"""HallusionBench's figures, from judged answers.

Source: tianyi-lab/HallusionBench, utils.py and evaluation.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

WRONG, RIGHT, UNCLEAR = "0", "1", "2"

Figures = dict[str, float | int | None]


@dataclass(frozen=True)
class Item:
    """One judged answer.

    Args:
        category: "VD" (figure needed) or "VS" (figure supplements).
        subcategory: Such as "chart".
        set_id: The set of figures.
        figure_id: The figure in it; "0" is the original, in VS none.
        question: The question's number in the set.
        visual_input: "0" no figure, "1" original, "2" modified.
        yes: Whether the right answer is yes.
        code: `WRONG`, `RIGHT` or `UNCLEAR`.
        same: Whether it agrees with the answer to figure 0; None where nobody said.
    """

    category: str
    subcategory: str
    set_id: str
    figure_id: str
    question: str
    visual_input: str
    yes: bool
    code: str
    same: bool | None = None

    @property
    def correct(self) -> bool:
        """Whether it counts as right: unclear is right where there was no figure to see."""
        unseen = self.category == "VS" and self.figure_id == "0"
        return self.code == RIGHT or (unseen and self.code == UNCLEAR)

    @property
    def pair(self) -> tuple[str, ...]:
        """What questions about one thing on several figures have in common."""
        return self.category, self.subcategory, self.set_id, self.question

    @property
    def figure(self) -> tuple[str, ...]:
        """What questions about one figure have in common."""
        return self.category, self.subcategory, self.set_id, self.figure_id


def percent(part: float, whole: float) -> float | None:
    """The authors' rounding: percent with four decimals; None where there is nothing."""
    return round(100 * part / whole, 4) if whole else None


def all_right(items: Iterable[Item], group: Callable[[Item], Any]) -> list[tuple[int, int]]:
    """Counts, for each group, right answers and all."""
    counts: dict[Any, tuple[int, int]] = {}
    for item in items:
        right, total = counts.get(group(item), (0, 0))
        counts[group(item)] = right + item.correct, total + 1
    return list(counts.values())


def accuracies(items: Sequence[Item]) -> Figures:
    """Makes aAcc over questions; qAcc over pairs, also of the easy and the hard alone; fAcc."""
    figures = all_right(
        (x for x in items if not (x.category == "VS" and x.figure_id == "0")), lambda x: x.figure
    )
    found: Figures = {"aAcc": percent(sum(x.correct for x in items), len(items))}
    for name, part in (
        ("qAcc", items),
        ("easy_aAcc", [x for x in items if x.visual_input != "2"]),
        ("hard_aAcc", [x for x in items if x.visual_input == "2"]),
    ):
        pairs = all_right(part, lambda x: x.pair)
        found[name] = percent(sum(right == total for right, total in pairs), len(pairs))
    whole = sum(right == total for right, total in figures)
    none = sum(right == 0 for right, _ in figures)
    found["fAcc"] = found["consistency_correct"] = percent(whole, len(figures))
    mixed = len(figures) - whole - none
    found["consistency_inconsistent"] = percent(mixed, len(figures))
    found["consistency_wrong"] = percent(none, len(figures))
    share = sum(right / total for right, total in figures)
    found["figure_score"] = round(share / len(figures), 4) if figures else None
    found["questions"] = len(items)
    return found


def bias(items: Sequence[Item]) -> Figures:
    """Yes/no bias: how much oftener yes is answered than right; the share of "no" among errors.

    An answer counts as yes where it is right and yes is, or wrong and no is.
    """
    wrong = [x for x in items if not x.correct]
    answered = sum(x.correct == x.yes for x in items)
    return {
        "yes_no_bias": (answered - sum(x.yes for x in items)) / len(items) if items else None,
        "false_positive_ratio": sum(not x.yes for x in wrong) / len(wrong) if wrong else None,
    }


def causes(items: Sequence[Item]) -> Figures:
    """Shares of language hallucination, visual illusion and their mixture among wrong answers.

    Needs `same`; an answer whose set has no answer on figure 0 is passed over.
    """
    original = {x.pair: x.code for x in items if x.figure_id == "0"}
    counts = {"language": 0, "visual": 0, "mixed": 0}
    for item in items:
        cause = _cause(item, original.get(item.pair))
        if cause:
            counts[cause] += 1
    total = sum(counts.values())
    return {
        "language_hallucination": percent(counts["language"], total),
        "visual_illusion": percent(counts["visual"], total),
        "mixed": percent(counts["mixed"], total),
    }


def _cause(item: Item, original: str | None) -> str:
    if item.code == RIGHT or original is None:
        return ""
    if item.category == "VD":
        if item.figure_id == "0":
            return "visual"
        return "mixed" if original == RIGHT and item.code == WRONG and item.same else "visual"
    if item.figure_id == "0":
        return "language" if item.code == WRONG else ""
    if original == WRONG:
        return "language" if item.code == WRONG and item.same else "mixed"
    modified = item.visual_input == "2"
    if original == RIGHT and item.code == WRONG and modified and item.same:
        return "language"
    return "visual"
