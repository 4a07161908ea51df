"""Answers in free form: rules that score a text against references, and the evaluator over them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from collavo.datasets.evaluation.base import Evaluation, Evaluator, SampleScore, Table, join
from collavo.datasets.evaluation.parsing import Parser, parser_names, parser_of
from collavo.datasets.evaluation.yes_no import mean
from collavo.records import Sample

HIDDEN = (
    "The answers of this split are hidden: nothing is scored. Send the submission file to the "
    "benchmark's server."
)


class AnswerRule(Parser):
    """Reads an answer and scores it against a sample's references."""

    soft: ClassVar[bool] = False
    """Whether scores may lie between 0 and 1; else an answer is right or wrong."""

    def parse(self, text: str) -> str:
        return text

    @abstractmethod
    def score(self, text: str, sample: Sample) -> float:
        """Returns how right the raw `text` is, in [0, 1]; the sample has references."""

    def judge(self, text: str, sample: Sample) -> SampleScore:
        """Returns how `text` was read and scored; a hidden answer is neither right nor wrong."""
        answers = list(sample.answers)
        if not answers:
            return SampleScore(self.parse(text), None, None)
        reference = answers[0] if len(answers) == 1 else answers
        score = self.score(text, sample)
        return SampleScore(self.parse(text), reference, score if self.soft else score == 1)


Judged = tuple[Sample, SampleScore]
Grouping = Callable[[Sample], "str | None"]


class FreeFormEvaluator(Evaluator):
    """The mean score in percent, overall and by group, under each rule of a family."""

    family: ClassVar[str]
    """What its rules are registered under: `<family>.official`, ..."""

    title: ClassVar[str] = "Accuracy"

    groupings: ClassVar[Mapping[str, Grouping]] = {"per_category": lambda s: s.category or None}
    """The authors' breakdowns: name -> the group of a sample, None for none."""

    def evaluate(
        self,
        samples: Sequence[Sample],
        answers: Mapping[str, str],
        metadata: Mapping[str, Any] | None = None,
    ) -> Evaluation:
        pairs = join(samples, answers)
        judged = self.judge_all(pairs, self.parser)
        scored = [item for item in judged if item[1].correct is not None]
        headline = self.headline(scored) if scored else {}
        scores: dict[str, Any] = {**headline, "questions": len(scored)}
        scores |= self.breakdowns(scored) | (self.further(scored) if scored else {})
        if scored:
            scores["parsers"] = {
                name: self.headline([x for x in others if x[1].correct is not None])
                for name in parser_names(self.family)
                for others in [judged if name == self.parser else self.judge_all(pairs, name)]
            }
        return Evaluation(
            scores=scores,
            headline=headline,
            units=self.units(headline),
            per_sample={sample.sample_id: score for sample, score in judged},
            notes=self.notes(judged, scores),
            tables=[self.table(scores)] if scored else [],
        )

    def judge_all(self, pairs: Sequence[tuple[Sample, str]], parser: str) -> list[Judged]:
        """Scores each answer by the rule `parser`."""
        rule = parser_of(self.family, parser)
        assert isinstance(rule, AnswerRule), "the rules of this family are answer rules"
        return [(sample, rule.judge(text, sample)) for sample, text in pairs]

    def headline(self, scored: Sequence[Judged]) -> dict[str, float]:
        """Returns the figures that papers quote."""
        return {"accuracy": percent(scored)}

    def units(self, headline: Mapping[str, float]) -> dict[str, str]:
        """Returns the unit of each figure."""
        return dict.fromkeys((*headline, "accuracy"), "percent")

    def breakdowns(self, scored: Sequence[Judged]) -> dict[str, dict[str, Any]]:
        """Returns the figures of each group of each grouping that has any."""
        found = {}
        for name, group in self.groupings.items():
            groups = grouped(scored, group)
            if groups:
                found[name] = {
                    key: {"accuracy": percent(items), "questions": len(items)}
                    for key, items in groups.items()
                }
        return found

    def further(self, scored: Sequence[Judged]) -> dict[str, Any]:
        """Returns what else the authors print."""
        return {}

    def notes(self, judged: Sequence[Judged], scores: Mapping[str, Any]) -> list[str]:
        """Returns sentences for the reader."""
        hidden = sum(score.correct is None for _, score in judged)
        if judged and hidden == len(judged):
            return [HIDDEN]
        notes = [f"Answers are scored by the rule {self.parser!r}."]
        if hidden:
            notes.append(f"{hidden} questions have no answer in this file and are not scored.")
        return notes

    def table(self, scores: Mapping[str, Any]) -> Table:
        """Returns the figures as one table."""
        rows: list[list[str | float | int | None]] = []
        for name in self.groupings:
            for key, figures in scores.get(name, {}).items():
                rows.append([name.replace("_", " "), key, *_figures(figures)])
        rows.append(["all", "", scores["questions"], scores["accuracy"]])
        return Table(self.title, ("by", "group", "questions", "accuracy"), rows)


def _figures(figures: Mapping[str, Any]) -> list[Any]:
    return [figures["questions"], figures["accuracy"]]


def percent(scored: Iterable[Judged]) -> float:
    """The mean score in percent; 0 of nothing."""
    return 100 * mean(float(score.correct or 0) for _, score in scored)


def grouped(scored: Iterable[Judged], group: Grouping) -> dict[str, list[Judged]]:
    """Sorts judged samples into groups, by name; those without a group are left out."""
    found: dict[str, list[Judged]] = {}
    for item in scored:
        key = group(item[0])
        if key is not None:
            found.setdefault(key, []).append(item)
    return {key: found[key] for key in sorted(found, key=_natural)}


def _natural(key: str) -> tuple[bool, int, str]:
    """Orders numbers as numbers, before words."""
    return (not key.isdecimal(), int(key) if key.isdecimal() else 0, key)


def text_field(name: str) -> Grouping:
    """Groups samples by one of their own fields."""

    def group(sample: Sample) -> str | None:
        value = sample.extra.get(name)
        return None if value is None or value == "" else str(value)

    return group
