"""Multiple choice of any dataset: accuracy in percent, by category and overall."""

from __future__ import annotations

from typing import Any

from collavo.datasets.evaluation import choice_rules as rules
from collavo.datasets.evaluation.base import SampleScore
from collavo.datasets.evaluation.choice import ChoiceEvaluator, ChoiceParser, Judged, options_of
from collavo.datasets.evaluation.evalai import normalize
from collavo.datasets.evaluation.parsing import Parser
from collavo.records import Sample
from collavo.registry import EVALUATORS, PARSERS


@PARSERS.register("choice.official", "choice.vlmevalkit")
class Inferred(ChoiceParser):
    """VLMEvalKit's matcher without a judge: a lone letter, else the only option that is named."""

    rule = staticmethod(rules.can_infer)


@PARSERS.register("choice.letter_or_text")
class LetterOrText(ChoiceParser):
    """A letter at the start, or the whole text of an option."""

    rule = staticmethod(rules.letter_or_text)


@PARSERS.register("choice.lmms_eval")
class LmmsEvalExact(ChoiceParser):
    """lmms-eval's exact match: "X." at the start, else the letter without punctuation."""

    rule = staticmethod(rules.lmms_exact)


@PARSERS.register("choice.exact")
class Exact(ChoiceParser):
    """The letter alone, to the character."""

    rule = staticmethod(rules.whole_letter)


@EVALUATORS.register("choice", "multiple_choice")
class GenericChoiceEvaluator(ChoiceEvaluator):
    """Multiple choice of any dataset, in percent; questions without options as short answers."""

    family = "choice"
    title = "Multiple choice"
    measure = "percent"

    def score_of(self, sample: Sample, text: str, parser: Parser) -> SampleScore:
        if options_of(sample) or not sample.answers:
            return super().score_of(sample, text, parser)
        read = normalize(text)
        right = any(read == normalize(answer) for answer in sample.answers)
        return SampleScore(read, list(sample.answers), right)

    def breakdowns(self, judged: Judged) -> dict[str, Any]:
        kinds = {
            "categories": self.by(judged, lambda s: s.category),
            "l2_categories": self.by(judged, lambda s: _field(s, "l2-category")),
            "splits": self.by(judged, lambda s: _field(s, "split")),
        }
        return {kind: groups for kind, groups in kinds.items() if groups}


def _field(sample: Sample, name: str) -> str:
    return str(sample.extra.get(name) or "")
