"""Scores of the object-level probes: overall, by class, the best and the worst 20 classes.

Source: CoLLaVO, arXiv:2402.11248, figure 2.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from collavo.datasets.evaluation.base import Evaluation, Evaluator, SampleScore, Table, join
from collavo.datasets.evaluation.box_iou import RIGHT
from collavo.datasets.evaluation.box_rules import BoxRule
from collavo.datasets.evaluation.class_names import THINGS, ClassParser
from collavo.datasets.evaluation.parsing import Parser, parser_names, parser_of
from collavo.datasets.evaluation.yes_no import mean
from collavo.records import Sample
from collavo.registry import EVALUATORS

EXTREMES = 20
"""How many of the best and of the worst classes the paper shows."""

Judged = Sequence[tuple[Sample, SampleScore]]


class ProbeEvaluator(Evaluator):
    """What the probes share: right or wrong by class, in percent.

    `accuracy` is over all questions; `class_accuracy`, the mean over classes, is what the paper's
    averages over objects are closest to.
    """

    family: ClassVar[str]
    """Whose parsers read the answers."""

    title: ClassVar[str]

    def evaluate(
        self,
        samples: Sequence[Sample],
        answers: Mapping[str, str],
        metadata: Mapping[str, Any] | None = None,
    ) -> Evaluation:
        pairs = join(samples, answers)
        judged = self._judge(pairs, self.parser)
        headline = _headline(judged)
        classes = self._classes(judged)
        ranked = sorted(classes, key=lambda name: (-classes[name]["accuracy"], name))
        ends = {"top": ranked[:EXTREMES], "bottom": ranked[-EXTREMES:][::-1]}
        scores: dict[str, Any] = {**headline, **self.further(judged), "questions": len(judged)}
        for end, names in ends.items():
            scores[f"{end}_{EXTREMES}"] = mean(classes[name]["accuracy"] for name in names)
        scores["classes"] = classes
        scores["parsers"] = {
            name: _headline(judged if name == self.parser else self._judge(pairs, name))
            for name in parser_names(self.family)
        }
        columns = list(next(iter(classes.values()), {"accuracy": 0}))
        return Evaluation(
            scores=scores,
            headline=headline,
            units={
                name: "percent"
                for name in scores
                if name not in ("questions", "classes", "parsers")
            },
            per_sample={sample.sample_id: score for sample, score in judged},
            notes=[
                f"Answers are read by the rule {self.parser!r}; {len(classes)} classes. The "
                "wording of the questions is partly ours: the paper does not print all of it."
            ],
            tables=[
                Table(
                    f"{self.title}: the {end} {len(names)} of {len(classes)} classes",
                    ("class", *columns),
                    [[name, *(classes[name][c] for c in columns)] for name in names],
                )
                for end, names in ends.items()
            ],
        )

    def _judge(
        self, pairs: Sequence[tuple[Sample, str]], parser: str
    ) -> list[tuple[Sample, SampleScore]]:
        rule = self.rule(parser_of(self.family, parser), pairs)
        return [(sample, self.judge_one(sample, text, rule)) for sample, text in pairs]

    def rule(self, rule: Parser, pairs: Sequence[tuple[Sample, str]]) -> Parser:
        """Returns the parser as this dataset needs it."""
        return rule

    @abstractmethod
    def judge_one(self, sample: Sample, text: str, rule: Parser) -> SampleScore:
        """Judges one answer."""

    def figures(self, judged: Judged) -> dict[str, Any]:
        """Returns the figures of one class."""
        return {"accuracy": _percent(judged), "questions": len(judged)}

    def further(self, judged: Judged) -> dict[str, float]:
        """Returns further figures over all classes, in percent."""
        return {}

    def _classes(self, judged: Judged) -> dict[str, dict[str, Any]]:
        groups: dict[str, list[tuple[Sample, SampleScore]]] = {}
        for item in judged:
            groups.setdefault(item[0].category, []).append(item)
        return {name: self.figures(groups[name]) for name in sorted(groups)}


@EVALUATORS.register("class2binary")
class Class2BinaryEvaluator(ProbeEvaluator):
    """Class2Binary: yes or no for each class, also apart for classes present and absent."""

    family = "pope"
    title = "Class2Binary"

    def judge_one(self, sample: Sample, text: str, rule: Parser) -> SampleScore:
        parsed, label = rule.parse(text), sample.answers[0]
        return SampleScore(parsed, label, parsed == label)

    def figures(self, judged: Judged) -> dict[str, Any]:
        return {
            "accuracy": _percent(judged),
            **self.further(judged),
            "questions": len(judged),
        }

    def further(self, judged: Judged) -> dict[str, float]:
        found = {}
        for name, label in (("present", "yes"), ("absent", "no")):
            found[name] = _percent([x for x in judged if x[1].reference == label])
        return found


@EVALUATORS.register("box2class")
class Box2ClassEvaluator(ProbeEvaluator):
    """Box2Class: right where the class is the one that the answer names first."""

    family = "box2class"
    title = "Box2Class"

    def rule(self, rule: Parser, pairs: Sequence[tuple[Sample, str]]) -> Parser:
        classes = {sample.category for sample, _ in pairs}
        if classes <= set(THINGS):
            return rule
        # another taxonomy: what is there, so that no class of COCO's is read into an answer
        assert isinstance(rule, ClassParser), "the rules of this family read classes"
        return type(rule)(sorted(classes))

    def judge_one(self, sample: Sample, text: str, rule: Parser) -> SampleScore:
        parsed = rule.parse(text)
        return SampleScore(parsed, sample.category, parsed == sample.category)


@EVALUATORS.register("class2box")
class Class2BoxEvaluator(ProbeEvaluator):
    """Class2Box: right where the box and any object of the class have an IoU of 0.5 or more.

    `single` is over the images with one object of the class, where the question has one answer.
    """

    family = "box_iou"
    title = "Class2Box"

    def judge_one(self, sample: Sample, text: str, rule: Parser) -> SampleScore:
        assert isinstance(rule, BoxRule), "the rules of this family read boxes"
        best = max(
            rule.iou(text, replace(sample, extra={**sample.extra, "box": box}))
            for box in sample.extra["boxes"]
        )
        return SampleScore(rule.parse(text), list(sample.answers), best >= RIGHT)

    def further(self, judged: Judged) -> dict[str, float]:
        single = [x for x in judged if len(x[0].extra["boxes"]) == 1]
        return {"single": _percent(single)} if single else {}


def _headline(judged: Judged) -> dict[str, float]:
    classes: dict[str, list[tuple[Sample, SampleScore]]] = {}
    for item in judged:
        classes.setdefault(item[0].category, []).append(item)
    return {
        "accuracy": _percent(judged),
        "class_accuracy": mean(_percent(group) for group in classes.values()),
    }


def _percent(judged: Judged) -> float:
    return 100 * mean(float(score.correct or 0) for _, score in judged)
