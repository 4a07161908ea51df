"""Yes/no questions of any dataset: accuracy, precision, recall and F1, by category and overall."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from collavo.datasets.evaluation.base import Evaluation, Evaluator, SampleScore, Table, join
from collavo.datasets.evaluation.free_form import HIDDEN
from collavo.datasets.evaluation.parsing import Parser, parser_names, parser_of
from collavo.datasets.evaluation.tally import Tally, confusion_figures
from collavo.datasets.evaluation.yes_no import Confusion
from collavo.datasets.evaluation.yes_no_parsers import (
    LmmsEvalPope,
    OfficialMme,
    OfficialPope,
    VlmEvalKitPope,
)
from collavo.records import Sample
from collavo.registry import EVALUATORS, PARSERS

_COLUMNS = ("accuracy", "precision", "recall", "f1", "yes_ratio")


@PARSERS.register("yes_no.official", "yes_no.vlmevalkit")
class OneWord(VlmEvalKitPope):
    """The answer holds exactly one of the words yes and no, else it is wrong (VLMEvalKit)."""


@PARSERS.register("yes_no.pope")
class AsPope(OfficialPope):
    """As POPE's authors: "no" if a word before the first period is No, no or not; else "yes"."""


@PARSERS.register("yes_no.mme")
class AsMme(OfficialMme):
    """As MME's authors: "yes", else "no", in the first four characters in lower case."""


@PARSERS.register("yes_no.exact", "yes_no.lmms_eval")
class WholeWord(LmmsEvalPope):
    """The whole answer, stripped and in lower case, is yes or no."""


@EVALUATORS.register("yes_no")
class YesNoEvaluator(Evaluator):
    """Yes/no answers of any dataset: figures in percent, overall and by category."""

    family = "yes_no"
    one_reference = True

    def evaluate(
        self,
        samples: Sequence[Sample],
        answers: Mapping[str, str],
        metadata: Mapping[str, Any] | None = None,
    ) -> Evaluation:
        pairs = join(samples, answers)
        parser = parser_of("yes_no", self.parser)
        per_sample = {sample.sample_id: _judged(sample, text, parser) for sample, text in pairs}
        known = [(sample, text) for sample, text in pairs if label(sample)]
        if not known:
            return Evaluation({}, {}, {}, per_sample, [HIDDEN])
        categories = list(dict.fromkeys(s.category for s, _ in known if s.category))
        groups = {
            name: _figures([x for x in known if x[0].category == name], parser)
            for name in categories
        }
        whole = _figures(known, parser)
        headline = {name: whole[name] for name in ("accuracy", "f1")}
        scores: dict[str, Any] = {**whole, "categories": groups}
        scores["parsers"] = {
            name: {key: value for key, value in figures.items() if key in headline}
            for name in parser_names("yes_no")
            for figures in [_figures(known, parser_of("yes_no", name))]
        }
        notes = [f"Answers are read by the rule {self.parser!r}."]
        if len(known) < len(pairs):
            notes.append(f"{len(pairs) - len(known)} questions have no label and are not scored.")
        rows: list[list[str | float | int | None]] = [
            [name, int(figures["questions"]), *(figures[column] for column in _COLUMNS)]
            for name, figures in [*groups.items(), ("all", whole)]
        ]
        return Evaluation(
            scores=scores,
            headline=headline,
            units=dict.fromkeys(_COLUMNS, "percent"),
            per_sample=per_sample,
            notes=notes,
            tables=[Table("Yes or no", ("category", "questions", *_COLUMNS), rows)],
        )

    def tally(
        self, samples: Sequence[Sample], answers: Mapping[str, str], evaluation: Evaluation
    ) -> Tally:
        policy = parser_of("yes_no", self.parser).unparsed_is_no
        known = [s.sample_id for s in samples if label(s)]
        judged = [evaluation.per_sample[i] for i in known]
        rows = [Confusion.of([(str(x.parsed), str(x.reference))]).row() for x in judged]
        return Tally(
            known,
            np.array(rows, dtype=np.float64).reshape(len(known), 6),
            lambda sums: {k: 100 * v for k, v in confusion_figures(sums, policy).items()},
        )


def label(sample: Sample) -> str:
    """The sample's label; "" where it is hidden or neither yes nor no."""
    word = sample.answers[0].strip().lower().rstrip(".") if sample.answers else ""
    return word if word in ("yes", "no") else ""


def _judged(sample: Sample, text: str, parser: Parser) -> SampleScore:
    parsed, wanted = parser.parse(text), label(sample)
    return SampleScore(parsed, wanted or None, parsed == wanted if wanted else None)


def _figures(pairs: Sequence[tuple[Sample, str]], parser: Parser) -> dict[str, float | int]:
    counts = Confusion.of(
        ((parser.parse(text), label(sample)) for sample, text in pairs), parser.unparsed_is_no
    )
    return {k: v * 100 if k in _COLUMNS else v for k, v in counts.figures().items()}
