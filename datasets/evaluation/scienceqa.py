"""ScienceQA's scores (Lu et al., 2022, arXiv:2209.09513)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from collavo.datasets.evaluation.base import SampleScore, join
from collavo.datasets.evaluation.choice import (
    ChoiceEvaluator,
    Judged,
    accuracy,
    options_of,
)
from collavo.records import Sample
from collavo.registry import EVALUATORS

SUBJECTS = {"NAT": "natural science", "SOC": "social science", "LAN": "language science"}
GRADES = {"G1-6": range(1, 7), "G7-12": range(7, 13)}
EMPTY = -1.0
"""What the authors print for a group without questions."""


@EVALUATORS.register("scienceqa")
class ScienceQAEvaluator(ChoiceEvaluator):
    """ScienceQA: accuracy in percent, over the questions with an image, and in the authors' groups.

    `image_accuracy` is what vision papers quote (SQA-IMG). Source: lupantech/ScienceQA
    tools/evaluate_acc.py; haotian-liu/LLaVA eval_science_qa.py.
    """

    family = "scienceqa"
    title = "ScienceQA"
    measure = "percent"

    def means(self, judged: Judged) -> Mapping[str, Judged]:
        images = [x for x in judged if has_image(x[0])]
        return {"accuracy": judged} | ({"image_accuracy": images} if images else {})

    def breakdowns(self, judged: Judged) -> dict[str, Any]:
        groups = {name: _of(judged, "subject", subject) for name, subject in SUBJECTS.items()}
        groups["TXT"] = [x for x in judged if has_context(x[0])]
        groups["IMG"] = [x for x in judged if has_image(x[0])]
        groups["NO"] = [x for x in judged if not has_context(x[0]) and not has_image(x[0])]
        for name, grades in GRADES.items():
            wanted = {f"grade{number}" for number in grades}
            groups[name] = [x for x in judged if x[0].extra.get("grade") in wanted]
        return {
            "groups": {name: self._figures(group) for name, group in groups.items()},
            "topics": self.by(judged, lambda s: str(s.extra.get("topic") or "")),
        }

    def _figures(self, group: Judged) -> dict[str, float]:
        share = self.scale * accuracy(group) if group else EMPTY
        return {"accuracy": share, "questions": len(group)}

    def notes(self, samples: Sequence[Sample]) -> list[str]:
        notes = [
            "image_accuracy is over the questions with an image, the SQA-IMG of vision papers."
        ]
        known = sum(bool(sample.extra.get("subject")) for sample in samples)
        if known < len(samples):
            notes.append(
                f"Subject, grade and topic are known of {known} of {len(samples)} questions; the "
                f"groups are over those. A group without questions shows {EMPTY:g}, as the "
                "authors print it."
            )
        return notes

    def submission(
        self,
        samples: Sequence[Sample],
        answers: Mapping[str, str],
        folder: Path,
        metadata: Mapping[str, Any] | None = None,
    ) -> list[Path]:
        """Writes `scienceqa_results.json`, which the authors' evaluate_acc.py reads."""
        judged = self.read_all(join(samples, answers), self.parser)
        results = {str(s.question_id): index_of(s, score) for s, score in judged}
        outputs = {str(s.question_id): answers[s.sample_id] for s in samples}
        path = folder / "scienceqa_results.json"
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"results": results, "outputs": outputs}, indent=2) + "\n")
        return [path]


def index_of(sample: Sample, score: SampleScore) -> int:
    """The index of the chosen option, -1 where none was read."""
    letters = list(options_of(sample))
    return letters.index(score.parsed) if score.parsed in letters else -1


def has_image(sample: Sample) -> bool:
    """Whether the question has an image, whether or not its file is at hand."""
    return bool(sample.extra.get("has_image", bool(sample.images)))


def has_context(sample: Sample) -> bool:
    """Whether the question comes with a text ("hint")."""
    return bool(sample.extra.get("hint") or sample.extra.get("has_context"))


def _of(judged: Judged, field: str, value: str) -> list[tuple[Sample, SampleScore]]:
    return [x for x in judged if x[0].extra.get(field) == value]
