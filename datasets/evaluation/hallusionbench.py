"""HallusionBench's scores: by the authors' two judges, from their result file, or by rule.

Source: tianyi-lab/HallusionBench, evaluation.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from collavo.datasets.evaluation.base import Evaluation, Evaluator, SampleScore, Table, join
from collavo.datasets.evaluation.graded import CONSISTENCY, CORRECTNESS
from collavo.datasets.evaluation.hallusionbench_figures import (
    RIGHT,
    UNCLEAR,
    WRONG,
    Figures,
    Item,
    accuracies,
    bias,
    causes,
)
from collavo.datasets.evaluation.hallusionbench_rules import HallusionBenchParser
from collavo.datasets.evaluation.judge.hallusionbench import (
    consistency_protocol,
    correctness_protocol,
)
from collavo.datasets.evaluation.parsing import parser_names, parser_of
from collavo.datasets.evaluation.tally import Tally, divide
from collavo.errors import DataError
from collavo.records import Sample
from collavo.registry import EVALUATORS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

OFFICIAL, BY_RULE = "official", "yes_no"

Pairs = Sequence[tuple[Sample, str]]

_WORDS = {RIGHT: "correct", WRONG: "incorrect", UNCLEAR: "unclear"}
_HEADLINE = ("aAcc", "qAcc", "fAcc")

NO_JUDGE = (
    "The authors judge answers by GPT-4. No judge was asked (JUDGE.MODEL, --judge), so answers "
    "were read by the rule 'yes_no'; these figures are not the authors'."
)


@EVALUATORS.register("hallusionbench")
class HallusionBenchEvaluator(Evaluator):
    """HallusionBench: aAcc, qAcc, fAcc and what else the authors print, in percent.

    With a judge (or the authors' result file) the rule is "official"; else "yes_no", which `parser`
    then says.
    """

    family = "hallusionbench"

    def evaluate(
        self,
        samples: Sequence[Sample],
        answers: Mapping[str, str],
        metadata: Mapping[str, Any] | None = None,
    ) -> Evaluation:
        pairs = join(samples, answers)
        notes = []
        codes: Mapping[str, tuple[str, bool | None]] = {}
        if self.parser == OFFICIAL:
            codes = self._codes(pairs)
            if not codes:
                self.parser = BY_RULE
                notes.append(NO_JUDGE)
        known = [(sample, text) for sample, text in pairs if sample.answers]
        if len(known) < len(pairs):
            notes.append(f"{len(pairs) - len(known)} questions have no label and are not scored.")
        if codes:
            items = {s.sample_id: _item(s, *codes[s.sample_id]) for s, _ in known}
            scores = _official(list(items.values()))
            per_sample = {
                s.sample_id: _judged(s, _WORDS[codes[s.sample_id][0]], items) for s, _ in pairs
            }
        else:
            rule = _rule(self.parser)
            scores = _by_rule(known, rule)
            items = {s.sample_id: _read(s, text, rule) for s, text in known}
            per_sample = {s.sample_id: _judged(s, rule.parse(text), items) for s, text in pairs}
        scores["parsers"] = {
            name: {k: _by_rule(known, _rule(name)).get(k) for k in _HEADLINE}
            for name in parser_names("hallusionbench")
        }
        if codes:
            scores["parsers"] = {
                OFFICIAL: {k: scores[k] for k in _HEADLINE},
                **scores["parsers"],
            }
        headline = {k: scores[k] for k in _HEADLINE if scores.get(k) is not None}
        units = dict.fromkeys((*_HEADLINE, "easy_aAcc", "hard_aAcc"), "percent")
        units |= {"yes_no_bias": "fraction", "false_positive_ratio": "fraction"}
        return Evaluation(scores, headline, units, per_sample, notes, _tables(scores))

    def together(self, sample: Sample) -> str:
        """Names the set of figures: its questions are judged together."""
        merged = self.parser != OFFICIAL and _rule(self.parser).merged
        keys = ("category", "subcategory", "set_id")[merged:]
        return "/".join(str(sample.extra[k]) for k in keys)

    def tally(
        self, samples: Sequence[Sample], answers: Mapping[str, str], evaluation: Evaluation
    ) -> Tally | None:
        rule = None if self.parser == OFFICIAL else _rule(self.parser)
        official = rule is None or rule.official
        start = 1 if rule is not None and rule.merged else 0
        counted = [s for s in samples if s.answers and (official or not _unseen(s))]
        groups: dict[tuple[str, ...], list[Sample]] = {}
        for sample in counted:
            item = _item(sample, RIGHT)
            keys = [("aAcc", sample.sample_id), ("qAcc", *item.pair[start:])]
            if not (official and item.category == "VS" and item.figure_id == "0"):
                keys.append(("fAcc", *item.figure[start:]))
            for key in keys:
                groups.setdefault(key, []).append(sample)
        rows = np.zeros((len(groups), 2 * len(_HEADLINE)))
        for row, (key, members) in zip(rows, groups.items(), strict=True):
            column = 2 * _HEADLINE.index(key[0])
            right = all(evaluation.per_sample[s.sample_id].correct for s in members)
            row[column : column + 2] = right, 1

        def headline(sums: Array) -> dict[str, Array]:
            values = {
                name: 100 * divide(sums[..., 2 * k], sums[..., 2 * k + 1])
                for k, name in enumerate(_HEADLINE)
            }
            return {k: np.round(v, 4) for k, v in values.items()} if official else values

        return Tally([members[0].sample_id for members in groups.values()], rows, headline)

    def _codes(self, pairs: Pairs) -> dict[str, tuple[str, bool | None]]:
        """The judgements of the answers' file, else the judge's; none where there is neither."""
        stored = {s.sample_id: self.judged.get(s.sample_id, {}) for s, _ in pairs}
        if any(CORRECTNESS in row for row in stored.values()):
            missing = [i for i, row in stored.items() if CORRECTNESS not in row]
            if missing:
                raise DataError(
                    f"{len(missing)} answers have no {CORRECTNESS!r} (first: {missing[0]}), though "
                    "others have one"
                )
            return {
                i: (row[CORRECTNESS], row[CONSISTENCY] == "1" if CONSISTENCY in row else None)
                for i, row in stored.items()
            }
        return self._asked(pairs) if self.judge is not None else {}

    def _asked(self, pairs: Pairs) -> dict[str, tuple[str, bool | None]]:
        """Asks both judges; the second not about answers to figure 0, where it decides nothing."""
        assert self.judge is not None, "checked by the caller"
        first = {_pair(s): text for s, text in pairs if s.extra["figure_id"] == "0"}
        asked = {}
        for sample, text in pairs:
            details = sample.extra.get("details")
            if not isinstance(details, str):
                raise DataError(
                    f"{sample.sample_id} has no gt_answer_details to judge by; take the authors' "
                    "HallusionBench.json"
                )
            name = sample.sample_id
            asked[f"{name}, correctness"] = correctness_protocol(
                name, sample.question, details, text
            )
            if sample.extra["figure_id"] != "0" and _pair(sample) in first:
                asked[f"{name}, consistency"] = consistency_protocol(
                    name, text, first[_pair(sample)]
                )
        found = self.judge.map("HallusionBench", asked)
        return {
            s.sample_id: (
                found[f"{s.sample_id}, correctness"],
                found[f"{s.sample_id}, consistency"] == "1"
                if f"{s.sample_id}, consistency" in found
                else None,
            )
            for s, _ in pairs
        }


def _rule(name: str) -> HallusionBenchParser:
    parser = parser_of("hallusionbench", name)
    assert isinstance(parser, HallusionBenchParser), "registered under this evaluator's name"
    return parser


def _unseen(sample: Sample) -> bool:
    return bool(sample.extra["visual_input"] == "0")


def _pair(sample: Sample) -> tuple[Any, ...]:
    extra = sample.extra
    return extra["category"], extra["subcategory"], extra["set_id"], extra["question"]


def _item(sample: Sample, code: str, same: bool | None = None) -> Item:
    extra = sample.extra
    return Item(
        category=extra["category"],
        subcategory=extra["subcategory"],
        set_id=extra["set_id"],
        figure_id=extra["figure_id"],
        question=extra["question"],
        visual_input=extra["visual_input"],
        yes=sample.answers == ("yes",),
        code=code,
        same=same,
    )


def _read(sample: Sample, text: str, rule: HallusionBenchParser) -> Item:
    parsed = rule.parse(text)
    code = RIGHT if (parsed,) == sample.answers else WRONG
    # Only the authors' figures know an unclear answer; elsewhere it is wrong.
    return _item(sample, UNCLEAR if rule.official and parsed == "other" else code)


def _judged(sample: Sample, parsed: str, items: Mapping[str, Item]) -> SampleScore:
    item = items.get(sample.sample_id)
    if item is None:
        return SampleScore(parsed, None, None)
    return SampleScore(parsed, sample.answers[0], item.correct)


def _official(items: Sequence[Item]) -> dict[str, Any]:
    """The authors' figures over all questions, and by category."""
    scores: dict[str, Any] = {**accuracies(items), **bias(items)}
    if any(item.same is not None for item in items):
        scores |= causes(items)
    for name in ("VD", "VS"):
        scores[name] = accuracies([item for item in items if item.category == name])
    scores["subcategories"] = {
        name: accuracies([i for i in items if f"{i.category}/{i.subcategory}" == name])
        for name in dict.fromkeys(f"{i.category}/{i.subcategory}" for i in items)
    }
    return scores


def _by_rule(pairs: Pairs, rule: HallusionBenchParser) -> dict[str, Any]:
    """The figures of a rule, over the questions that its toolkit asks."""
    asked = [
        _read(s, text, rule) for s, text in pairs if not (rule.with_figures_only and _unseen(s))
    ]
    if rule.official:
        return _official(asked)
    groups = {"": asked}
    for item in asked:
        groups.setdefault(item.category, []).append(item)
        groups.setdefault(item.subcategory, []).append(item)
    found = {name: _plain(items, rule.merged) for name, items in groups.items()}
    return {**found.pop(""), "subcategories": found}


def _plain(items: Sequence[Item], merged: bool) -> Figures:
    """aAcc, qAcc and fAcc as the toolkits make them; groups may leave out the category."""
    start = 1 if merged else 0
    found: Figures = {"aAcc": _percent(sum(x.code == RIGHT for x in items), len(items))}
    for name, keys in (
        ("qAcc", [x.pair[start:] for x in items]),
        ("fAcc", [x.figure[start:] for x in items]),
    ):
        right: dict[tuple[str, ...], bool] = {}
        for key, item in zip(keys, items, strict=True):
            right[key] = right.get(key, True) and item.code == RIGHT
        found[name] = _percent(sum(right.values()), len(right))
    found["questions"] = len(items)
    return found


def _percent(part: int, whole: int) -> float | None:
    """Percent as the toolkits give it, which do not round."""
    return 100 * part / whole if whole else None


def _tables(scores: Mapping[str, Any]) -> list[Table]:
    names = ("aAcc", "qAcc", "fAcc", "easy_aAcc", "hard_aAcc")
    rows: list[list[str | float | int | None]] = [["all", *(scores.get(n) for n in names)]]
    groups = {n: scores[n] for n in ("VD", "VS") if n in scores} | scores["subcategories"]
    rows += [[name, *(group.get(n) for n in names)] for name, group in groups.items()]
    return [Table("HallusionBench, percent", ("questions", *names), rows)]
