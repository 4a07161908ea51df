"""Q-Bench A1's scores (Wu et al., 2023, arXiv:2309.14181)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from collavo.datasets.evaluation.choice import ChoiceEvaluator, Judged
from collavo.records import Sample
from collavo.registry import EVALUATORS


@EVALUATORS.register("qbench")
class QBenchEvaluator(ChoiceEvaluator):
    """Q-Bench A1: accuracy in percent, over all, by type of question and by concern."""

    family = "qbench"
    title = "Q-Bench A1"
    asks_judge = True
    measure = "percent"

    def breakdowns(self, judged: Judged) -> dict[str, Any]:
        return {
            "types": self.by(judged, lambda sample: sample.category),
            "concerns": self.by(judged, lambda sample: str(sample.extra.get("concern") or "")),
        }

    def notes(self, samples: Sequence[Sample]) -> list[str]:
        return [
            "The authors let a GPT match free answers and publish no script; the rule official "
            "takes a letter, the whole text of an option, or what VLMEvalKit's matcher finds. "
            "CoLLaVO's own script (the rule collavo) takes what it cannot find for the last option."
        ]

    def submission(
        self,
        samples: Sequence[Sample],
        answers: Mapping[str, str],
        folder: Path,
        metadata: Mapping[str, Any] | None = None,
    ) -> list[Path]:
        """Writes `<dataset>_results.jsonl`: each question with its raw answer as `response`."""
        lines = [
            {**sample.extra.get("row", {}), "response": answers[sample.sample_id]}
            for sample in samples
        ]
        name = samples[0].sample_id.split(":")[0] if samples else "qbench"
        path = folder / f"{name}_results.jsonl"
        folder.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
        return [path]
