"""Multiple choice: how an evaluator reads letters, counts groups and reports every parser."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from collavo.datasets.evaluation.base import Evaluation, Evaluator, SampleScore, Table, join
from collavo.datasets.evaluation.choice_rules import Options, can_infer
from collavo.datasets.evaluation.parsing import Parser, parser_names, parser_of
from collavo.datasets.evaluation.tally import Tally, mean_tally
from collavo.datasets.evaluation.yes_no import mean
from collavo.records import Sample
from collavo.registry import PARSERS

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

Judged = Sequence[tuple[Sample, SampleScore]]
"""Samples whose answer is known, with how their answers were judged."""

Groups = Mapping[str, Mapping[str, float | int]]
"""`accuracy` and `questions` of each group."""


class ChoiceParser(Parser):
    """Reads which option an answer chooses.

    Args:
        strip: Whether white space around the answer is removed first.
    """

    strip: ClassVar[bool] = False

    @staticmethod
    @abstractmethod
    def rule(text: str, options: Options, /) -> str:
        """Returns the letter that the raw answer chooses, "" where it reads none."""

    def parse(self, text: str, options: Options | None = None) -> str:
        """Returns the letter of the option that `text` chooses, "" where none can be read.

        Args:
            text: The raw answer.
            options: The question's options by letter.
        """
        return type(self).rule(text.strip() if self.strip else text, options or {})


def options_of(sample: Sample) -> dict[str, str]:
    """The options of a sample by letter: those that its file gives letters, else in order."""
    named = sample.extra.get("choices")
    if isinstance(named, Mapping):
        return {str(letter): str(text) for letter, text in named.items()}
    return dict(zip(LETTERS, sample.options, strict=False))


class ChoiceEvaluator(Evaluator):
    """What the multiple-choice benchmarks share: one letter an answer, accuracy by groups."""

    one_reference = True

    family: ClassVar[str]
    """Whose parsers read the answers; they are registered as `<rules>.<name>`."""
    title: ClassVar[str]
    """The benchmark's name, for tables and notes."""
    asks_judge: ClassVar[bool] = False
    """Whether a language model reads what no rule does, where one is given."""
    measure: ClassVar[str] = "fraction"
    """"fraction" or "percent", as the authors print it."""

    def evaluate(
        self,
        samples: Sequence[Sample],
        answers: Mapping[str, str],
        metadata: Mapping[str, Any] | None = None,
    ) -> Evaluation:
        pairs = join(samples, answers)
        judged = self.read_all(pairs, self.parser)
        asks = self.judge is not None and self.asks_judge
        if asks:
            judged = self._with_judge(judged, answers)
        known = [(s, score) for s, score in judged if score.correct is not None]
        read_by = f"the rule {self.parser!r}"
        if asks:
            read_by = "the rule 'vlmevalkit', and by a language model where that reads nothing"
        notes = [*self.notes(samples), f"Answers are read by {read_by}."]
        if len(known) < len(judged):
            notes.append(
                f"{len(judged) - len(known)} questions have no answer in the dataset and are not "
                "scored; send the submission file to the benchmark's organisers."
            )
        per_sample = {sample.sample_id: score for sample, score in judged}
        if not known:
            return Evaluation({}, {}, {}, per_sample, notes)
        headline = self.headline(known)
        scores: dict[str, Any] = {**headline, "questions": len(known), **self.breakdowns(known)}
        scores["parsers"] = {
            name: self.headline([x for x in self.read_all(pairs, rule) if x[1].correct is not None])
            for rule in parser_names(self.family)
            for name in (rule, *_aliases(self.family, rule))
        }
        if asks:
            scores["parsers"]["vlmevalkit with a judge"] = headline
        return Evaluation(
            scores=scores,
            headline=headline,
            units=dict.fromkeys((*headline, "accuracy"), self.measure),
            per_sample=per_sample,
            notes=notes,
            tables=self.tables(scores),
        )

    def read_all(
        self, pairs: Sequence[tuple[Sample, str]], parser: str
    ) -> list[tuple[Sample, SampleScore]]:
        """Judges all answers as one of the parsers reads them."""
        rule = parser_of(self.family, parser)
        return [(sample, self.score_of(sample, text, rule)) for sample, text in pairs]

    def _with_judge(
        self, judged: Judged, answers: Mapping[str, str]
    ) -> list[tuple[Sample, SampleScore]]:
        """Reads answers by VLMEvalKit's matcher, and asks the judge where that reads nothing."""
        assert self.judge is not None, "checked by who calls this"
        read = {s.sample_id: can_infer(answers[s.sample_id], options_of(s)) for s, _ in judged}
        known = [(s, _score(s, read[s.sample_id])) for s, _ in judged]
        wanted = [s for s in self.worth_asking(known) if options_of(s)]
        found = self.judge.choose_options(
            {s.sample_id: (s.question, options_of(s), answers[s.sample_id]) for s in wanted},
            self.family,
        )
        return [(s, _score(s, found.get(s.sample_id, read[s.sample_id]))) for s, _ in judged]

    def worth_asking(self, judged: Judged) -> list[Sample]:
        """Returns the samples whose answers were not read and that may change a figure."""
        return [s for s, score in judged if score.parsed is None and score.correct is not None]

    def score_of(self, sample: Sample, text: str, parser: Parser) -> SampleScore:
        """Judges one answer; the reference is a letter."""
        assert isinstance(parser, ChoiceParser), "registered under the name of a choice evaluator"
        return _score(sample, parser.parse(text, options_of(sample)))

    def means(self, judged: Judged) -> Mapping[str, Judged]:
        """Returns by the name of each headline figure the judgements whose mean it is."""
        return {"accuracy": judged}

    def headline(self, judged: Judged) -> dict[str, float]:
        """Returns the figures that papers quote."""
        return {name: self.scale * accuracy(part) for name, part in self.means(judged).items()}

    def tally(
        self,
        samples: Sequence[Sample],
        answers: Mapping[str, str],
        evaluation: Evaluation,
    ) -> Tally:
        judged = [(s, evaluation.per_sample[s.sample_id]) for s in samples]
        known = [x for x in judged if x[1].correct is not None]
        return mean_tally(
            {
                name: (self.scale, {s.sample_id: float(x.correct or 0) for s, x in part})
                for name, part in self.means(known).items()
            }
        )

    @property
    def scale(self) -> float:
        """What a fraction is multiplied with."""
        return 100.0 if self.measure == "percent" else 1.0

    @abstractmethod
    def breakdowns(self, judged: Judged) -> dict[str, Any]:
        """Returns the authors' further figures; a mapping of `Groups` becomes a table."""

    def notes(self, samples: Sequence[Sample]) -> list[str]:
        """Returns sentences about the data."""
        return []

    def tables(self, scores: Mapping[str, Any]) -> list[Table]:
        """Returns one table of all groups."""
        rows: list[list[str | float | int | None]] = []
        for kind, groups in scores.items():
            if kind != "parsers" and isinstance(groups, Mapping):
                rows += [
                    [kind, group, figures.get("questions"), figures.get("accuracy")]
                    for group, figures in groups.items()
                    if isinstance(figures, Mapping)
                ]
        rows.append(["all", "", scores["questions"], next(iter(scores.values()))])
        return [Table(self.title, ("by", "group", "questions", "accuracy"), rows)]

    def by(self, judged: Judged, key: Callable[[Sample], str | None]) -> dict[str, dict[str, Any]]:
        """Groups by what `key` returns; None and "" leave a sample out."""
        return groups_of(judged, key, self.scale)


def _score(sample: Sample, letter: str) -> SampleScore:
    """Compares a letter, or "" for none, with that of the right option."""
    if not sample.answers:
        return SampleScore(letter or None, None, None)
    return SampleScore(letter or None, sample.answers[0], letter == sample.answers[0])


def _aliases(rules: str, name: str) -> list[str]:
    """The other names of a parser: several toolkits may read by one rule."""
    entry = next(e for e in PARSERS.entries() if e.name == f"{rules}.{name}")
    return [alias.removeprefix(f"{rules}.") for alias in entry.aliases]


def accuracy(judged: Judged) -> float:
    """The share of right answers, as a fraction."""
    return mean(float(score.correct or 0) for _, score in judged)


def groups_of(
    judged: Judged, key: Callable[[Sample], str | None], scale: float = 1.0
) -> dict[str, dict[str, Any]]:
    """Counts the groups of samples that have the same key, in order of first appearance."""
    found: dict[str, list[tuple[Sample, SampleScore]]] = {}
    for sample, score in judged:
        name = key(sample)
        if name:
            found.setdefault(name, []).append((sample, score))
    return {
        name: {"accuracy": scale * accuracy(group), "questions": len(group)}
        for name, group in found.items()
    }
