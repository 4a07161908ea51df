"""MathVista's scores: accuracy over all questions and by every fact that the authors name.

Source: lupantech/MathVista, evaluation/calculate_score.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from collavo.datasets.evaluation.base import Evaluation, Evaluator, SampleScore, Table, join
from collavo.datasets.evaluation.graded import EXTRACTION
from collavo.datasets.evaluation.judge.mathvista import extraction_protocol
from collavo.datasets.evaluation.mathvista_rules import OfficialMathVista, Problem
from collavo.datasets.evaluation.parsing import parser_names, parser_of
from collavo.datasets.evaluation.submission_files import write_json
from collavo.records import Sample
from collavo.registry import EVALUATORS

TYPES = ("question_type", "answer_type")
FACTS = ("language", "source", "category", "task", "context", "grade", "skills")

Judged = Sequence[tuple[Sample, SampleScore]]

AS_IT_STANDS = (
    "{count} of {total} answers are neither a choice nor a number. The authors have a language "
    "model extract the answer from them; none was asked (JUDGE.MODEL, --judge), so they were "
    "compared as they stand."
)
HIDDEN = (
    "{count} questions have no answer in the dataset and are not scored; send the submission file "
    "to the benchmark's organisers."
)


@EVALUATORS.register("mathvista")
class MathVistaEvaluator(Evaluator):
    """MathVista: extraction by rule, from the file or by a judge; accuracy in percent."""

    family = "mathvista"
    one_reference = True

    def evaluate(
        self,
        samples: Sequence[Sample],
        answers: Mapping[str, str],
        metadata: Mapping[str, Any] | None = None,
    ) -> Evaluation:
        pairs = join(samples, answers)
        extracted = self._extracted(pairs)
        chosen = _judge(pairs, self._parser(self.parser), extracted)
        known = [(s, score) for s, score in chosen if score.correct is not None]
        notes = self._notes(pairs, extracted)
        per_sample = {sample.sample_id: score for sample, score in chosen}
        if len(known) < len(chosen):
            notes.append(HIDDEN.format(count=len(chosen) - len(known)))
        if not known:
            return Evaluation({}, {}, {}, per_sample, notes)
        scores: dict[str, Any] = {"average": _accuracy(known), **_breakdowns(known)}
        headline = {"accuracy": scores["average"]["accuracy"]}
        scores["parsers"] = {
            name: {"accuracy": _accuracy(_known(pairs, self._parser(name), extracted))["accuracy"]}
            for name in parser_names("mathvista")
        }
        return Evaluation(
            scores, headline, {"accuracy": "percent"}, per_sample, notes, _tables(scores)
        )

    def submission(
        self,
        samples: Sequence[Sample],
        answers: Mapping[str, str],
        folder: Path,
        metadata: Mapping[str, Any] | None = None,
    ) -> list[Path]:
        """Writes `{pid: the authors' record with the response}`."""
        records = {
            str(s.question_id): _record(s) | {"response": answers[s.sample_id]} for s in samples
        }
        name = str((metadata or {}).get("name", "mathvista"))
        return [write_json(folder / f"{name}_output.json", records)]

    def _extracted(self, pairs: Sequence[tuple[Sample, str]]) -> dict[str, Any]:
        """Extractions by sample id: those of the answers' file, else the judge's."""
        found = {
            sample.sample_id: self.judged[sample.sample_id][EXTRACTION]
            for sample, _ in pairs
            if EXTRACTION in self.judged.get(sample.sample_id, ())
        }
        if self.judge is None:
            return found
        parser = self._parser(self.parser)
        asked = {
            s.sample_id: extraction_protocol(s.sample_id, str(s.extra["query"]), text)
            for s, text in pairs
            if s.sample_id not in found and parser.extract(text, Problem.of(s)) is None
        }
        return {**found, **self.judge.map("MathVista", asked)}

    def _parser(self, name: str) -> OfficialMathVista:
        parser = parser_of("mathvista", name)
        assert isinstance(parser, OfficialMathVista), "registered under the name of this evaluator"
        return parser

    def _notes(
        self, pairs: Sequence[tuple[Sample, str]], extracted: Mapping[str, Any]
    ) -> list[str]:
        parser = self._parser(self.parser)
        rest = [
            sample
            for sample, text in pairs
            if sample.sample_id not in extracted
            and parser.extract(text, Problem.of(sample)) is None
        ]
        if self.judge is not None:
            return [f"Answers were extracted by rule or by {self.judge.model}."]
        return [AS_IT_STANDS.format(count=len(rest), total=len(pairs))] if rest else []


def _judge(
    pairs: Sequence[tuple[Sample, str]], parser: OfficialMathVista, extracted: Mapping[str, Any]
) -> Judged:
    return [(s, _score(s, text, parser, extracted)) for s, text in pairs]


def _known(
    pairs: Sequence[tuple[Sample, str]], parser: OfficialMathVista, extracted: Mapping[str, Any]
) -> Judged:
    return _judge([pair for pair in pairs if pair[0].answers], parser, extracted)


def _score(
    sample: Sample, text: str, parser: OfficialMathVista, extracted: Mapping[str, Any]
) -> SampleScore:
    problem = Problem.of(sample)
    extraction: Any = extracted.get(sample.sample_id)
    if extraction is None:
        extraction = parser.extract(text, problem)
    if extraction is None:
        extraction = text
    prediction = parser.normalise(extraction, problem)
    if not sample.answers:
        return SampleScore(prediction, None, None)
    answer = sample.answers[0]
    return SampleScore(prediction, answer, parser.equal(prediction, answer))


def _accuracy(judged: Judged) -> dict[str, float | int]:
    correct = sum(bool(score.correct) for _, score in judged)
    total = len(judged)
    return {"accuracy": 100 * correct / total, "correct": correct, "total": total}


def _breakdowns(judged: Judged) -> dict[str, dict[str, dict[str, float | int]]]:
    """Accuracy by each fact, the best first; a question counts for each of its skills."""
    found = {}
    for fact in (*TYPES, *FACTS):
        groups: dict[str, list[tuple[Sample, SampleScore]]] = {}
        for sample, score in judged:
            for value in _values(sample, fact):
                groups.setdefault(value, []).append((sample, score))
        figures = {value: _accuracy(members) for value, members in groups.items()}
        found[fact] = dict(sorted(figures.items(), key=lambda item: -item[1]["accuracy"]))
    return found


def _values(sample: Sample, fact: str) -> list[str]:
    if fact in TYPES:
        return [str(sample.extra[fact])]
    value = sample.extra["metadata"].get(fact)
    if isinstance(value, list | tuple):
        return [str(x) for x in dict.fromkeys(value)]
    return [] if value is None else [str(value)]


def _record(sample: Sample) -> dict[str, Any]:
    """The authors' record of a problem."""
    extra = sample.extra
    return {
        "question": sample.question,
        "image": extra.get("image", ""),
        "choices": list(sample.options) or None,
        "unit": extra["unit"],
        "precision": extra["precision"],
        "answer": sample.answers[0] if sample.answers else "",
        "question_type": extra["question_type"],
        "answer_type": extra["answer_type"],
        "pid": str(sample.question_id),
        "metadata": dict(extra["metadata"]),
        "query": extra["query"],
    }


def _tables(scores: Mapping[str, Any]) -> list[Table]:
    rows: list[list[str | float | int | None]] = [["all", *scores["average"].values()]]
    for fact in ("task", "skills"):
        rows += [[f"{fact}: {name}", *group.values()] for name, group in scores[fact].items()]
    return [Table("MathVista, percent", ("questions", "accuracy", "right", "of"), rows)]
