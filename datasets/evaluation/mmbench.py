"""MMBench's scores (Liu et al., 2023, arXiv:2307.06281): circular and vanilla accuracy."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from collavo.datasets.evaluation.base import SampleScore
from collavo.datasets.evaluation.choice import ChoiceEvaluator, Judged, accuracy, groups_of
from collavo.records import Sample
from collavo.registry import EVALUATORS

ABILITIES = {
    "coarse_perception": "CP",
    "finegrained_perception (instance-level)": "FP-S",
    "finegrained_perception (cross-instance)": "FP-C",
    "logic_reasoning": "LR",
    "relation_reasoning": "RR",
    "attribute_reasoning": "AR",
}
"""The l2-categories and the authors' names of their columns."""

PREDICTION_COLUMN = 6
"""Where LLaVA's converter inserts the answers (convert_mmbench_for_submission.py)."""

_NOT_IN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")

_LARGEST = 2**53
"""Whole numbers that a spreadsheet holds exactly are below it."""


@EVALUATORS.register("mmbench")
class MMBenchEvaluator(ChoiceEvaluator):
    """MMBench: a question counts in circular accuracy only if all its rotations are right.

    Rotations are those of one index modulo a million, however many there are. Vanilla accuracy is
    over the questions in their first order. Source: open-compass/VLMEvalKit,
    vlmeval/dataset/utils/multiple_choice.py, exact matching.
    """

    family = "mmbench"
    title = "MMBench"
    asks_judge = True

    def means(self, judged: Judged) -> Mapping[str, Judged]:
        first = [x for x in judged if _is_base(x[0])]
        return {"circular_accuracy": circular(judged), "vanilla_accuracy": first}

    def breakdowns(self, judged: Judged) -> dict[str, Any]:
        whole = circular(judged)
        splits = groups_of(whole, _split)
        for split, figures in splits.items():
            part = [x for x in whole if _split(x[0]) == split]
            first = [x for x in judged if _is_base(x[0]) and _split(x[0]) == split]
            figures |= {"vanilla_accuracy": accuracy(first), **_abilities(part)}
        counts = {"questions": len(whole), "rotations": len(judged)}
        return {**counts, "splits": splits, **_abilities(whole)}

    def worth_asking(self, judged: Judged) -> list[Sample]:
        """As VLMEvalKit, leaves out rotations of a question that another has failed already."""
        lost = {_group(s) for s, score in judged if score.parsed and score.correct is False}
        unread = super().worth_asking(judged)
        return [s for s in unread if _is_base(s) or _group(s) not in lost]

    def notes(self, samples: Sequence[Sample]) -> list[str]:
        groups = {_group(sample) for sample in samples}
        bases = {_group(sample) for sample in samples if _is_base(sample)}
        notes = [
            f"{len(bases)} questions in {len(samples)} rotations. Answers that no rule reads are "
            "wrong (exact matching); published figures are the server's, where a language model "
            "reads them, which can move the score by about a point."
        ]
        if groups - bases:
            notes.append(
                f"{len(groups - bases)} questions lack their first rotation and are not scored."
            )
        return notes

    def submission(
        self,
        samples: Sequence[Sample],
        answers: Mapping[str, str],
        folder: Path,
        metadata: Mapping[str, Any] | None = None,
    ) -> list[Path]:
        """Writes `<dataset>.xlsx` for the organisers' server, one row a rotation."""
        import openpyxl
        from openpyxl.cell.cell import Cell

        book = openpyxl.Workbook()
        sheet: Any = book.active
        columns = list(samples[0].extra.get("submitted", {})) if samples else []
        columns.insert(PREDICTION_COLUMN, "prediction")
        sheet.append(columns)
        for number, sample in enumerate(samples, start=2):
            values = {**sample.extra.get("submitted", {}), "index": sample.question_id}
            values["prediction"] = answers[sample.sample_id]
            for place, column in enumerate(columns, start=1):
                cell: Cell = sheet.cell(number, place)
                value = values.get(column)
                if value is None or (isinstance(value, int) and abs(value) < _LARGEST):
                    cell.value = value
                else:
                    cell.value = _NOT_IN_XML.sub("", str(value))
                    cell.data_type = "s"  # a text that begins with "=" is no formula
        name = samples[0].sample_id.split(":")[0] if samples else "mmbench"
        folder.mkdir(parents=True, exist_ok=True)
        book.save(folder / f"{name}.xlsx")
        return [folder / f"{name}.xlsx"]


def circular(judged: Judged) -> list[tuple[Sample, SampleScore]]:
    """Judges questions: the first rotation stands for all, right if all rotations are."""
    groups: dict[str, list[bool]] = {}
    for sample, score in judged:
        groups.setdefault(_group(sample), []).append(bool(score.correct))
    return [
        (sample, SampleScore(score.parsed, score.reference, all(groups[_group(sample)])))
        for sample, score in judged
        if _is_base(sample)
    ]


def _abilities(whole: Judged) -> dict[str, Any]:
    l2 = groups_of(whole, lambda sample: str(sample.extra.get("l2-category") or ""))
    for name, figures in l2.items():
        if name in ABILITIES:
            figures["short"] = ABILITIES[name]
    return {"l2_categories": l2, "categories": groups_of(whole, lambda s: s.category)}


def _group(sample: Sample) -> str:
    return str(sample.extra.get("group", sample.question_id))


def _is_base(sample: Sample) -> bool:
    return _group(sample) == str(sample.question_id)


def _split(sample: Sample) -> str:
    return str(sample.extra.get("split") or "none")
