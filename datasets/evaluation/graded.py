"""What files of answers hold of earlier judgements, as the benchmarks' own scripts write them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_FIGURE = ("category", "subcategory", "set_id", "figure_id", "question_id")
"""The five fields that together name a question of HallusionBench."""

CORRECTNESS = "gpt4v_output_gpt_check"
CONSISTENCY = "same"
"""HallusionBench's two judgements of an answer (evaluation.py of tianyi-lab/HallusionBench)."""

GRADES = "score"
"""MM-Vet's grades of an answer, one a run (mm-vet_evaluator.py of yuweihao/MM-Vet)."""

REVIEW = "tuple"
"""LLaVA-Bench's two scores (eval_gpt_review_bench.py of haotian-liu/LLaVA)."""

EXTRACTION = "extraction"
"""MathVista's extracted answer (extract_answer.py of lupantech/MathVista)."""

_JUDGES = ("model", "content")


def judged_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """Picks the fields of a row that hold judgements, by their names and forms; else nothing."""
    found: dict[str, Any] = {}
    if _numbers(values.get(GRADES)):
        found = {GRADES: list(values[GRADES])}
        found |= {name: values[name] for name in _JUDGES if isinstance(values.get(name), list)}
    if _numbers(values.get(REVIEW)) and len(values[REVIEW]) == 2:
        found[REVIEW] = tuple(values[REVIEW])
    if isinstance(values.get(EXTRACTION), str | int | float):
        found[EXTRACTION] = values[EXTRACTION]
    for name in (CORRECTNESS, CONSISTENCY):
        if str(values.get(name)) in ("0", "1", "2"):
            found[name] = str(values[name])
    return found


def composite_id(values: Mapping[str, Any]) -> str:
    """Joins the five fields that name a question of HallusionBench; "" for other rows."""
    parts = [values.get(name) for name in _FIGURE]
    if any(isinstance(p, bool) or not isinstance(p, str | int) or p == "" for p in parts):
        return ""
    return "_".join(str(part) for part in parts)


def _numbers(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and bool(value)
        and all(isinstance(x, int | float) and not isinstance(x, bool) for x in value)
    )
