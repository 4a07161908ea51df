"""VQA's soft accuracy: TextVQA, VizWiz, VQAv2, OK-VQA and any set with several references."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from collavo.datasets.evaluation import evalai
from collavo.datasets.evaluation.base import join
from collavo.datasets.evaluation.free_form import (
    AnswerRule,
    FreeFormEvaluator,
    Judged,
    text_field,
)
from collavo.datasets.evaluation.submission_files import write_json
from collavo.records import Sample
from collavo.registry import EVALUATORS, PARSERS


class _SoftRule(AnswerRule):
    """One toolkit's normaliser and accuracy."""

    soft = True
    accuracy: ClassVar[Callable[[str, Sequence[str]], float]]

    def score(self, text: str, sample: Sample) -> float:
        return type(self).accuracy(text, sample.answers)


@PARSERS.register("vqa_accuracy.official", "vqa_accuracy.m4c", "vqa_accuracy.collavo")
@PARSERS.register("vqav2.m4c", "vqav2.llava")
class M4c(_SoftRule):
    """The m4c evaluator, which is LLaVA's, CoLLaVO's and lmms-eval's for TextVQA and VizWiz."""

    accuracy = evalai.soft_accuracy

    def parse(self, text: str) -> str:
        return evalai.normalize(text)


@PARSERS.register("vqav2.official", "vqav2.authors")
@PARSERS.register("vqa_accuracy.vqa")
class VqaEval(_SoftRule):
    """VQA's own code: nothing is normalised where all references are the same."""

    accuracy = evalai.soft_accuracy_official

    def parse(self, text: str) -> str:
        return evalai.normalize_official(text)

    def judge(self, text: str, sample: Sample) -> Any:
        judged = super().judge(text, sample)
        if len({evalai.one_line(answer) for answer in sample.answers}) == 1:
            return type(judged)(evalai.one_line(text), judged.reference, judged.correct)
        return judged


@PARSERS.register("vqav2.lmms_eval")
class LmmsEvalVqav2(_SoftRule):
    """The VQAv2 of lmms-eval: VQA's normaliser, also where all references are the same."""

    accuracy = evalai.soft_accuracy_lmms_eval

    def parse(self, text: str) -> str:
        return evalai.normalize_official(text)


@PARSERS.register("vqa_accuracy.vlmevalkit")
@PARSERS.register("vqav2.vlmevalkit")
class VlmEvalKitVqa(_SoftRule):
    """VLMEvalKit's: a period behind a digit stays, and "'s" is no word of its own."""

    accuracy = evalai.soft_accuracy_vlmevalkit

    def parse(self, text: str) -> str:
        return evalai.normalize_vlmevalkit(text)


@EVALUATORS.register("vqa_accuracy", "vqa", "textvqa")
class VqaAccuracyEvaluator(FreeFormEvaluator):
    """Soft accuracy in percent, as the m4c evaluator has it; writes EvalAI's file.

    Source: facebookresearch/mmf m4c_evaluator.py; haotian-liu/LLaVA eval_textvqa.py.
    """

    family = "vqa_accuracy"
    title = "VQA accuracy"
    groupings: ClassVar[Mapping[str, Any]] = {
        "per_answer_type": text_field("answer_type"),
    }

    submission_key: ClassVar[str] = "question_id"

    def submission(
        self,
        samples: Sequence[Sample],
        answers: Mapping[str, str],
        folder: Path,
        metadata: Mapping[str, Any] | None = None,
    ) -> list[Path]:
        """Writes EvalAI's file: a list of ids and normalised answers.

        Source: haotian-liu/LLaVA convert_{vqav2,vizwiz}_for_submission.py.
        """
        rows = [
            {self.submission_key: self.submission_id(s), "answer": evalai.normalize(text)}
            for s, text in join(samples, answers)
        ]
        name = str((metadata or {}).get("name") or self.family)
        return [write_json(folder / f"{name}_evalai.json", rows)]

    def submission_id(self, sample: Sample) -> str | int:
        """Returns how the server calls a sample."""
        return sample.question_id


@EVALUATORS.register("vizwiz")
class VizWizEvaluator(VqaAccuracyEvaluator):
    """VizWiz: soft accuracy in percent, by answer type and answerability; EvalAI's file by image.

    Source: haotian-liu/LLaVA convert_vizwiz_for_submission.py.
    """

    submission_key = "image"
    groupings: ClassVar[Mapping[str, Any]] = {
        "per_answer_type": text_field("answer_type"),
        "per_answerable": text_field("answerable"),
    }

    def submission_id(self, sample: Sample) -> str | int:
        return str(sample.extra.get("image") or sample.question_id)


@EVALUATORS.register("vqav2", "okvqa")
class Vqav2Evaluator(VqaAccuracyEvaluator):
    """VQAv2 and OK-VQA: VQA's own accuracy in percent, per question type and answer type.

    `official` holds the figures as VQA's code prints them, rounded to two decimals.
    Source: GT-Vision-Lab/VQA vqaEval.py.
    """

    family = "vqav2"
    title = "VQA accuracy"
    groupings: ClassVar[Mapping[str, Any]] = {
        "per_question_type": text_field("question_type"),
        "per_answer_type": text_field("answer_type"),
    }

    def further(self, scored: Sequence[Judged]) -> dict[str, Any]:
        parts = self.breakdowns(scored)
        rounded = {
            name: {key: round(x["accuracy"], 2) for key, x in parts.get(part, {}).items()}
            for name, part in (
                ("perQuestionType", "per_question_type"),
                ("perAnswerType", "per_answer_type"),
            )
        }
        return {"official": {"overall": round(self.headline(scored)["accuracy"], 2), **rounded}}
