"""SEED-Bench's scores (Li et al., 2023, arXiv:2307.16125)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from collavo.datasets.evaluation.base import join
from collavo.datasets.evaluation.choice import ChoiceEvaluator, Judged
from collavo.records import Sample
from collavo.registry import EVALUATORS


@EVALUATORS.register("seed")
class SeedEvaluator(ChoiceEvaluator):
    """SEED-Bench: accuracy as a fraction, over all and by the id of the question type.

    Types are compared by id: the names of 3 and 4 were swapped before May 2024
    (AILab-CVC/SEED-Bench issue 28).
    """

    family = "seed"
    title = "SEED-Bench"
    asks_judge = True

    def breakdowns(self, judged: Judged) -> dict[str, Any]:
        types = self.by(judged, _type)
        names = {_type(sample): sample.category for sample, _ in judged}
        for key, figures in types.items():
            figures["name"] = names[key]
        ordered = sorted(types, key=lambda key: (len(key), key))
        return {"types": {key: types[key] for key in ordered}} if types else {}

    def notes(self, samples: Sequence[Sample]) -> list[str]:
        if any(sample.question for sample in samples):
            return []
        return ["The labels come without questions and types: a total only."]

    def submission(
        self,
        samples: Sequence[Sample],
        answers: Mapping[str, str],
        folder: Path,
        metadata: Mapping[str, Any] | None = None,
    ) -> list[Path]:
        """Writes `results.json`: one object a line with `question_id` and `prediction`."""
        judged = self.read_all(join(samples, answers), self.parser)
        lines = [
            {"question_id": s.question_id, "prediction": score.parsed or answers[s.sample_id]}
            for s, score in judged
        ]
        path = folder / "results.json"
        folder.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(line) + "\n" for line in lines)
        path.write_text(text, encoding="utf-8")
        return [path]


def _type(sample: Sample) -> str:
    return str(sample.extra.get("type_id") or sample.category)
