"""AI2D's scores (Kembhavi et al., 2016, arXiv:1603.07396)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from collavo.datasets.evaluation.choice import ChoiceEvaluator, Judged
from collavo.records import Sample
from collavo.registry import EVALUATORS


@EVALUATORS.register("ai2d")
class AI2DEvaluator(ChoiceEvaluator):
    """AI2D: accuracy in percent, also apart for diagrams with drawn letters.

    AI2D's authors publish no reader of generated answers; the headline is lmms-eval's, the other
    toolkits' stand beside it. CoLLaVO's paper read the first capital letter ("collavo").
    """

    family = "ai2d"
    title = "AI2D"
    asks_judge = True
    measure = "percent"

    def breakdowns(self, judged: Judged) -> dict[str, Any]:
        return {"images": self.by(judged, lambda sample: sample.category)}

    def notes(self, samples: Sequence[Sample]) -> list[str]:
        return [
            "AI2D's authors publish no reader of generated answers: the rule official is that of "
            "lmms-eval; CoLLaVO's own figure comes from the rule collavo."
        ]
