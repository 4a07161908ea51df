"""MMMU's scores (Yue et al., 2023, arXiv:2311.16502)."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from collavo.datasets.evaluation import choice_rules as rules
from collavo.datasets.evaluation.base import SampleScore, join
from collavo.datasets.evaluation.choice import LETTERS, ChoiceEvaluator, Judged, options_of
from collavo.datasets.evaluation.mmmu_open import agrees, readings
from collavo.datasets.evaluation.parsing import Parser, parser_of
from collavo.records import Sample
from collavo.registry import EVALUATORS

DOMAINS = {
    "Art and Design": ("Art", "Art_Theory", "Design", "Music"),
    "Business": ("Accounting", "Economics", "Finance", "Manage", "Marketing"),
    "Science": ("Biology", "Chemistry", "Geography", "Math", "Physics"),
    "Health and Medicine": (
        "Basic_Medical_Science", "Clinical_Medicine", "Diagnostics_and_Laboratory_Medicine",
        "Pharmacy", "Public_Health",
    ),
    "Humanities and Social Science": ("History", "Literature", "Sociology", "Psychology"),
    "Tech and Engineering": (
        "Agriculture", "Architecture_and_Engineering", "Computer_Science", "Electronics",
        "Energy_and_Power", "Materials", "Mechanical_Engineering",
    ),
}  # fmt: skip
"""The six domains and their subjects (MMMU-Benchmark/MMMU, mmmu/utils/data_utils.py)."""

SUBJECTS = tuple(
    """Accounting Agriculture Architecture_and_Engineering Art Art_Theory Basic_Medical_Science
    Biology Chemistry Clinical_Medicine Computer_Science Design Diagnostics_and_Laboratory_Medicine
    Economics Electronics Energy_and_Power Finance Geography History Literature Manage Marketing
    Materials Math Mechanical_Engineering Music Pharmacy Physics Psychology Public_Health
    Sociology""".split()
)
"""The subjects in the order in which the authors' scripts go through them."""

SEEDED = "official_seed42"
OPEN = "open"


@EVALUATORS.register("mmmu")
class MMMUEvaluator(ChoiceEvaluator):
    """MMMU: accuracy as a fraction, over all, by subject and by domain.

    Where the authors' rule reads no option it draws lots (seed 42, which depends on the order of
    all questions before). The headline counts such an answer as wrong; the rule `official_seed42`
    draws as the authors do. Source: MMMU-Benchmark/MMMU, mmmu/main_parse_and_eval.py.
    """

    family = "mmmu"
    title = "MMMU"

    def breakdowns(self, judged: Judged) -> dict[str, Any]:
        subjects = self.by(judged, lambda sample: sample.category)
        domain = {subject: name for name, listed in DOMAINS.items() for subject in listed}
        domains = self.by(judged, lambda sample: domain.get(sample.category))
        kinds = self.by(judged, lambda s: OPEN if is_open(s) else "multiple-choice")
        return {
            "domains": {name: domains[name] for name in DOMAINS if name in domains},
            "subjects": {name: subjects[name] for name in sorted(subjects)},
            "kinds": kinds,
        }

    def notes(self, samples: Sequence[Sample]) -> list[str]:
        return [
            "Where no option can be read, the authors draw lots; here that is wrong, so that the "
            f"score does not depend on luck. The rule {SEEDED!r} draws as they do."
        ]

    def read_all(
        self, pairs: Sequence[tuple[Sample, str]], parser: str
    ) -> list[tuple[Sample, SampleScore]]:
        judged = super().read_all(pairs, parser)
        return _with_lots(judged) if _is_seeded(parser) else judged

    def score_of(self, sample: Sample, text: str, parser: Parser) -> SampleScore:
        if not is_open(sample):
            return super().score_of(sample, text, parser)
        if type(parser) is type(parser_of(self.family, "vlmevalkit")):
            return _as_choice(sample, text)
        text = text.strip() if getattr(parser, "strip", False) else text
        found = readings(text)
        parsed = "; ".join(str(value) for value in found)
        if not sample.answers:
            return SampleScore(parsed, None, None)
        return SampleScore(parsed, list(sample.answers), agrees(found, sample.answers))

    def submission(
        self,
        samples: Sequence[Sample],
        answers: Mapping[str, str],
        folder: Path,
        metadata: Mapping[str, Any] | None = None,
    ) -> list[Path]:
        """Writes `<dataset>_predictions.json`: the letter, or the raw open answer, by id."""
        predictions = {
            str(sample.question_id): answers[sample.sample_id]
            if is_open(sample)
            else score.parsed or ""
            for sample, score in self.read_all(join(samples, answers), self.parser)
        }
        name = samples[0].sample_id.split(":")[0] if samples else "mmmu"
        path = folder / f"{name}_predictions.json"
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(predictions, indent=4) + "\n", encoding="utf-8")
        return [path]


def is_open(sample: Sample) -> bool:
    """Whether the question has no options to choose from."""
    return sample.extra.get("question_type") == OPEN


def _is_seeded(parser: str) -> bool:
    return parser.strip().lower().removeprefix("mmmu.") == SEEDED


def _as_choice(sample: Sample, text: str) -> SampleScore:
    """VLMEvalKit asks of open questions whether they say the answer (A) or something else (B)."""
    if not sample.answers:
        return SampleScore(None, None, None)
    parsed = rules.can_infer(text, {"A": sample.answers[0], "B": "Other Answers"})
    return SampleScore(parsed or None, "A", parsed == "A")


def _with_lots(judged: Judged) -> list[tuple[Sample, SampleScore]]:
    """Draws an option wherever none was read, in the order of the authors' script."""
    dice = random.Random(42)
    drawn: dict[str, SampleScore] = {}
    for sample, score in sorted(judged, key=lambda pair: _place(pair[0])):
        if not is_open(sample) and score.parsed is None:
            letter = dice.choice(list(options_of(sample)) or list(LETTERS[:4]))
            right = None if score.correct is None else letter == score.reference
            drawn[sample.sample_id] = SampleScore(letter, score.reference, right)
    return [(sample, drawn.get(sample.sample_id, score)) for sample, score in judged]


def _place(sample: Sample) -> tuple[int, int, str]:
    """Where the authors' script comes to a question: by subject, then by number."""
    number = str(sample.question_id).rpartition("_")[2]
    subject = SUBJECTS.index(sample.category) if sample.category in SUBJECTS else len(SUBJECTS)
    return subject, int(number) if number.isdecimal() else 0, sample.sample_id
