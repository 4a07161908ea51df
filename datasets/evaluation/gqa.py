"""GQA's scores (Hudson and Manning, 2019, arXiv:1902.09506)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from collavo.datasets.evaluation.base import Evaluation, SampleScore, join
from collavo.datasets.evaluation.exact_match import LlavaExact
from collavo.datasets.evaluation.free_form import FreeFormEvaluator, Judged, percent
from collavo.datasets.evaluation.submission_files import write_json
from collavo.datasets.evaluation.yes_no import mean, ratio
from collavo.records import Sample
from collavo.registry import EVALUATORS

_PERCENT = ("binary", "open", "validity", "plausibility", "consistency")

COMMON_ANSWERS = ("color", "material", "shape")
"""What eval.py takes as valid for questions about what things have in common."""

WHICH_NUMBER = (
    "accuracy compares as GQA's eval.py does, to the letter. accuracy_llava first puts the answer "
    'in lower case without a period at its end, as LLaVA does: "No." answers "no". That is the '
    "figure that LLaVA's and later papers quote."
)


def _type(name: str) -> Any:
    def group(sample: Sample) -> str | None:
        return (sample.extra.get("types") or {}).get(name)

    return group


def _steps(sample: Sample) -> str | None:
    steps = sample.extra.get("steps")
    return None if steps is None else str(steps)


def _words(sample: Sample) -> str | None:
    return str(len(sample.question.split()))


@EVALUATORS.register("gqa")
class GqaEvaluator(FreeFormEvaluator):
    """GQA: accuracy in percent, binary and open, by type, steps and length; and eval.py's others.

    Only balanced questions count. Validity and plausibility need the choices file, consistency
    the answers to every entailed question. Grounding needs attention maps and is left out.
    Source: eval.py of GQA's eval.zip.
    """

    family = "gqa"
    title = "GQA"
    groupings: ClassVar[Mapping[str, Any]] = {
        "per_structural_type": _type("structural"),
        "per_semantic_type": _type("semantic"),
        "per_steps": _steps,
        "per_length": _words,
    }

    def headline(self, scored: Sequence[Judged]) -> dict[str, float]:
        return {"accuracy": percent(_balanced(scored))}

    def evaluate(
        self,
        samples: Sequence[Sample],
        answers: Mapping[str, str],
        metadata: Mapping[str, Any] | None = None,
    ) -> Evaluation:
        found = super().evaluate(samples, answers, metadata)
        if not found.headline:
            return found
        llava = {"accuracy_llava": found.scores["parsers"]["llava"]["accuracy"]}
        unbalanced = {s.sample_id for s in samples if not s.extra.get("balanced", True)}
        return replace(
            found,
            per_sample={
                key: replace(score, correct=None) if key in unbalanced else score
                for key, score in found.per_sample.items()
            },
            headline={**found.headline, **llava},
            scores={**found.scores, **llava},
            units={**found.units, **dict.fromkeys((*llava, *_PERCENT), "percent")},
        )

    def breakdowns(self, scored: Sequence[Judged]) -> dict[str, dict[str, Any]]:
        return super().breakdowns(_balanced(scored))

    def further(self, scored: Sequence[Judged]) -> dict[str, Any]:
        balanced = _balanced(scored)
        found: dict[str, Any] = {"questions": len(balanced)}
        kinds = {s.sample_id: _type("structural")(s) for s, _ in balanced}
        if any(kinds.values()):
            queries = [x for x in balanced if kinds[x[0].sample_id] == "query"]
            others = [x for x in balanced if kinds[x[0].sample_id] != "query"]
            found |= {"binary": percent(others), "open": percent(queries)}
        if any(sample.extra.get("choices") for sample, _ in balanced):
            for name, field in (("validity", "valid"), ("plausibility", "plausible")):
                found[name] = 100 * mean(_belongs(s, score, field) for s, score in balanced)
        found["consistency"] = _consistency(scored)
        found["distribution"] = _distribution(balanced)
        return {key: value for key, value in found.items() if value is not None}

    def notes(self, judged: Sequence[Judged], scores: Mapping[str, Any]) -> list[str]:
        notes = super().notes(judged, scores)
        if "accuracy" not in scores:
            return notes
        notes.append(WHICH_NUMBER)
        if "validity" not in scores:
            notes.append("validity and plausibility: no choices file (there is none for testdev)")
        if "consistency" not in scores:
            notes.append("consistency: not every entailed question is answered")
        return notes

    def submission(
        self,
        samples: Sequence[Sample],
        answers: Mapping[str, str],
        folder: Path,
        metadata: Mapping[str, Any] | None = None,
    ) -> list[Path]:
        """Writes GQA's file: a list of question ids and predictions, worded as LLaVA does.

        Source: haotian-liu/LLaVA convert_gqa_for_eval.py.
        """
        rule = LlavaExact()
        rows = [
            {"questionId": str(s.question_id), "prediction": rule.parse(text)}
            for s, text in join(samples, answers)
        ]
        name = str((metadata or {}).get("name") or "gqa").removeprefix("gqa_")
        return [write_json(folder / f"{name}_predictions.json", rows)]


def _balanced(scored: Sequence[Judged]) -> list[Judged]:
    return [x for x in scored if x[0].extra.get("balanced", True)]


def _belongs(sample: Sample, score: SampleScore, field: str) -> float:
    """Tells whether a prediction is one of the choices of its question."""
    choices = sample.extra.get("choices") or {}
    group: Sequence[str] = choices.get(field) or ()
    if "Common" in (_type("detailed")(sample) or ""):
        group = COMMON_ANSWERS
    return float(score.parsed in group)


def _consistency(scored: Sequence[Judged]) -> float | None:
    """The accuracy in percent on what a right answer entails; None where answers are missing.

    Mean over the balanced questions that are answered right and entail others.
    """
    right = {str(sample.question_id): bool(score.correct) for sample, score in scored}
    if not any(sample.extra.get("entailed") for sample, _ in scored):
        return None
    shares = []
    for sample, score in _balanced(scored):
        entailed = [e for e in sample.extra.get("entailed", ()) if e != str(sample.question_id)]
        if score.correct and entailed:
            if any(e not in right for e in entailed):
                return None
            shares.append(mean(float(right[e]) for e in entailed))
    return 100 * mean(shares)


def _distribution(balanced: Sequence[Judged]) -> float | None:
    """Chi-square between gold and predicted answers per group, on eval.py's scale; low is good."""
    gold: dict[str, Counter[str]] = {}
    predicted: dict[str, Counter[str]] = {}
    for sample, score in balanced:
        group = (sample.extra.get("groups") or {}).get("global")
        if group is not None:
            gold.setdefault(group, Counter())[sample.answers[0]] += 1
            predicted.setdefault(group, Counter())[score.parsed or ""] += 1
    if not gold:
        return None
    total = 0.0
    for group, counts in gold.items():
        chi = sum((predicted[group][a] - e) ** 2 / e for a, e in counts.items())
        total += chi * sum(counts.values())
    return ratio(total, sum(sum(counts.values()) for counts in gold.values())) / 100
