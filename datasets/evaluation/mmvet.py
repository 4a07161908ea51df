"""MM-Vet's scores: the mean grade, by ability and by set of abilities, over several gradings.

Source: yuweihao/MM-Vet, mm-vet_evaluator.py (export_result).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from collavo.datasets.evaluation.base import Evaluation, Evaluator, SampleScore, Table, join
from collavo.datasets.evaluation.graded import GRADES
from collavo.datasets.evaluation.judge.mmvet import MODEL, Grade, grade_protocol
from collavo.datasets.evaluation.mmvet_files import write_grades, write_scores
from collavo.datasets.evaluation.submission_files import write_json
from collavo.errors import DataError
from collavo.records import Sample
from collavo.registry import EVALUATORS

Grades = Mapping[str, Sequence[Grade]]
"""The gradings of each sample, by sample id."""

NOT_GRADED = (
    "MM-Vet is graded by a language model, and none was asked: set JUDGE.MODEL (--judge), score a "
    "grade file of the authors' script, or send the submission file to their evaluator."
)


@EVALUATORS.register("mm-vet", "mmvet")
class MMVetEvaluator(Evaluator):
    """MM-Vet: grades by a judge or from the authors' grade file; means in percent, one decimal."""

    def evaluate(
        self,
        samples: Sequence[Sample],
        answers: Mapping[str, str],
        metadata: Mapping[str, Any] | None = None,
    ) -> Evaluation:
        pairs = join(samples, answers)
        grades = self._grades(pairs)
        per_sample = {s.sample_id: _judged(s, text, grades) for s, text in pairs}
        if not grades:
            return Evaluation({}, {}, {}, per_sample, [NOT_GRADED])
        scores = scores_of([sample for sample, _ in pairs], grades)
        headline = {"total": scores["total"]}
        units = {name: "percent" for name in (*headline, "std", *scores["capabilities"])}
        units |= dict.fromkeys(scores["integrations"], "percent")
        return Evaluation(
            scores, headline, units, per_sample, self._notes(grades), [_table(scores)]
        )

    def submission(
        self,
        samples: Sequence[Sample],
        answers: Mapping[str, str],
        folder: Path,
        metadata: Mapping[str, Any] | None = None,
    ) -> list[Path]:
        """Writes `mm-vet.json` for the authors' evaluator, and with grades also what it writes."""
        files = []
        if not self.judged:  # a grade file holds no answers
            texts = {str(sample.question_id): answers[sample.sample_id] for sample in samples}
            files.append(write_json(folder / "mm-vet.json", texts))
        grades = self._grades(join(samples, answers))
        if grades:
            scores = scores_of(samples, grades)
            files.append(write_grades(folder, samples, grades))
            files += write_scores(folder, scores, next(iter(grades.values()))[0].model)
        return files

    def _grades(self, pairs: Sequence[tuple[Sample, str]]) -> Grades:
        """The grades of the answers' file, else the judge's; none where there is neither."""
        if self.judged:
            return self._stored(pairs)
        if self.judge is None:
            return {}
        unknown = [sample.sample_id for sample, _ in pairs if not sample.answers]
        if unknown:
            raise DataError(
                f"{len(unknown)} questions have no answer to grade by (first: {unknown[0]}): "
                "put mm-vet.json beside the question list"
            )
        runs = range(self.judge.runs)
        found = self.judge.map(
            "MM-Vet",
            {
                f"{s.sample_id}, run {run + 1}": grade_protocol(
                    s.sample_id, s.question, s.answers[0], text, run
                )
                for run in runs
                for s, text in pairs
            },
        )
        return {
            s.sample_id: [found[f"{s.sample_id}, run {run + 1}"] for run in runs] for s, _ in pairs
        }

    def _stored(self, pairs: Sequence[tuple[Sample, str]]) -> Grades:
        found: dict[str, list[Grade]] = {}
        for sample, _ in pairs:
            row = self.judged.get(sample.sample_id, {})
            if GRADES not in row:
                raise DataError(f"{sample.sample_id} has no grades, though others have some")
            grades = [float(x) for x in row[GRADES]]
            if not all(0 <= x <= 1 for x in grades):
                raise DataError(f"{sample.sample_id}: grades must be from 0 to 1, got {grades}")
            words, models = row.get("content", ()), row.get("model", ())
            found[sample.sample_id] = [
                Grade(g, _at(words, k, str(g)), _at(models, k, "unknown"))
                for k, g in enumerate(grades)
            ]
        counts = {len(grades) for grades in found.values()}
        if len(counts) > 1:
            raise DataError(f"the grade file holds from {min(counts)} to {max(counts)} gradings")
        return found

    def _notes(self, grades: Grades) -> list[str]:
        every = list(grades.values())
        models = sorted({grade.model for gradings in every for grade in gradings})
        notes = [f"Graded {len(every[0])} times by {', '.join(models)}."]
        if MODEL not in models:
            notes.append(f"The authors grade by {MODEL}; other judges give other figures.")
        return notes


def scores_of(samples: Sequence[Sample], grades: Grades) -> dict[str, Any]:
    """Computes the authors' figures, in percent with their rounding.

    Returns:
        total, std (of the runs' totals), runs, capabilities, integrations (questions that need
        exactly this set, the most frequent first), and unrounded: total and capabilities.
    """
    runs = len(next(iter(grades.values())))
    groups: dict[str, list[Sample]] = {"total": list(samples)}
    sets: dict[str, list[Sample]] = {}
    for sample in samples:
        for name in sample.extra["capability"]:
            groups.setdefault(name, []).append(sample)
        sets.setdefault("_".join(sample.extra["capability"]), []).append(sample)
    sets = dict(sorted(sets.items(), key=lambda item: -len(item[1])))
    abilities = sorted((n for n in groups if n != "total"), key=lambda n: -len(groups[n]))
    totals = _by_run(groups["total"], grades, runs)
    exact = {name: _mean(_by_run(groups[name], grades, runs)) for name in ("total", *abilities)}
    middle = _mean(totals)
    return {
        "total": _rounded(middle),
        "std": _rounded(math.sqrt(_mean([(x - middle) ** 2 for x in totals]))),
        "runs": [_rounded(x) for x in totals],
        "capabilities": {name: _rounded(exact[name]) for name in abilities},
        "integrations": {
            name: _rounded(_mean(_by_run(members, grades, runs))) for name, members in sets.items()
        },
        "unrounded": exact,
        "questions": len(samples),
    }


def _by_run(samples: Sequence[Sample], grades: Grades, runs: int) -> list[float]:
    """The mean grade of each run, in percent."""
    return [
        sum(grades[s.sample_id][run].score for s in samples) / len(samples) * 100
        for run in range(runs)
    ]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _rounded(value: float) -> float:
    """Rounds to one decimal as numpy does: times ten, to the nearest even, by ten."""
    return round(value * 10) / 10


def _at(values: Sequence[Any], index: int, default: str) -> str:
    return str(values[index]) if index < len(values) else default


def _judged(sample: Sample, text: str, grades: Grades) -> SampleScore:
    gradings = grades.get(sample.sample_id)
    score = _mean([grade.score for grade in gradings]) if gradings else None
    return SampleScore(text.strip(), sample.answers[0] if sample.answers else None, score)


def _table(scores: Mapping[str, Any]) -> Table:
    rows = [[f"{name}, also with others", v] for name, v in scores["capabilities"].items()]
    rows += [[name.replace("_", " + "), value] for name, value in scores["integrations"].items()]
    rows.append(["total", scores["total"]])
    return Table(f"MM-Vet, percent, {len(scores['runs'])} gradings", ("abilities", "score"), rows)
