"""MME's figures against the authors' procedure, worded anew: lines of a file, two by two."""

from __future__ import annotations

import random

import pytest

from collavo.datasets.evaluation.mme import MmeEvaluator
from collavo.datasets.registration.mme_tree import COGNITION, PERCEPTION, TASKS
from collavo.errors import DataError
from collavo.records import Sample

ANSWERS = [
    "Yes", "No", "yes", "no", "YES.", "No, it is not", "", "none", "I see yes", "   no", "other",
    "\n\n\nNo", "not sure", "Y", "know", "eyes", "yes" * 5000, "No\t\x00", "🐶", "\uff2e\uff4f",
]  # fmt: skip


def _samples(images: int = 3, tasks: tuple[str, ...] = TASKS) -> list[Sample]:
    return [
        Sample(
            sample_id=f"mme:{task}/{image}/{label}",
            images=(),
            question=f"Is it {label}? Please answer yes or no.",
            question_id=f"{task}/{image}.jpg",
            answers=(label,),
            category=task,
            extra={"image": f"{task}/{image}.jpg"},
        )
        for task in tasks
        for image in range(images)
        for label in ("yes", "no")
    ]


def _read(answer: str) -> str:
    answer = answer.lower()
    if answer in ("yes", "no"):
        return answer
    for word in ("yes", "no"):
        if word in answer[:4]:
            return word
    return "other"


def _authors(lines: list[tuple[str, str]]) -> dict[str, float]:
    """The authors' figures of one task from its (label, answer) lines in the file's order."""
    right = [label == _read(answer) for label, answer in lines]
    both = [right[i] + right[i + 1] == 2 for i in range(0, len(right), 2)]
    accuracy, plus = sum(right) / len(right), sum(both) / len(both)
    return {
        "accuracy": accuracy * 100,
        "accuracy_plus": plus * 100,
        "score": accuracy * 100 + plus * 100,
        "other": sum(_read(answer) == "other" for _, answer in lines),
    }


@pytest.mark.parametrize("seed", range(5))
def test_every_figure_is_the_authors_in_any_order(seed: int) -> None:
    dice = random.Random(seed)
    samples = _samples()
    answers = {sample.sample_id: dice.choice(ANSWERS) for sample in samples}
    shuffled = dict(dice.sample(list(answers.items()), len(answers)))
    found = MmeEvaluator().evaluate(dice.sample(samples, len(samples)), shuffled)
    want = {
        task: _authors(
            [(s.answers[0], answers[s.sample_id]) for s in samples if s.category == task]
        )
        for task in TASKS
    }
    for task, figures in want.items():
        for name, value in figures.items():
            assert found.scores["tasks"][task][name] == pytest.approx(value, abs=1e-12)
    for headline, tasks in (("perception", PERCEPTION), ("cognition", COGNITION)):
        total = sum(want[task]["score"] for task in tasks)
        assert found.headline[headline] == pytest.approx(total, abs=1e-9)
    assert found.headline["total"] == found.headline["perception"] + found.headline["cognition"]
    for sample in samples:
        assert found.per_sample[sample.sample_id].parsed == _read(answers[sample.sample_id])


def test_all_right_is_2800_and_other_is_always_wrong() -> None:
    samples = _samples()
    right = {s.sample_id: s.answers[0].upper() for s in samples}
    assert dict(MmeEvaluator().evaluate(samples, right).headline) == {
        "perception": 2000.0, "cognition": 800.0, "total": 2800.0,
    }  # fmt: skip
    wrong = MmeEvaluator().evaluate(samples, dict.fromkeys(right, "maybe"))
    assert wrong.headline["total"] == 0.0
    assert wrong.scores["tasks"]["OCR"]["precision"] == 0.0
    assert MmeEvaluator().evaluate([], {}).headline["total"] == 0.0


def test_precision_and_recall_leave_out_unreadable_answers() -> None:
    samples = _samples(images=2, tasks=("OCR",))
    texts = ("yes", "yes", "maybe", "no")  # labels: yes, no, yes, no
    answers = dict(zip((s.sample_id for s in samples), texts, strict=True))
    scores = MmeEvaluator().evaluate(samples, answers).scores["tasks"]["OCR"]
    assert (scores["precision"], scores["recall"], scores["other"]) == (0.5, 1.0, 1)
    assert (scores["accuracy"], scores["accuracy_plus"]) == (50.0, 0.0)


def test_the_parser_can_be_chosen_and_all_are_reported() -> None:
    samples = _samples(images=1, tasks=("OCR",))
    answers = dict(zip((s.sample_id for s in samples), ("Y", "It is no"), strict=True))
    totals = {"official": 0.0, "lmms_eval": 50.0, "vlmevalkit": 50.0}
    for name, total in totals.items():
        found = MmeEvaluator(name).evaluate(samples, answers)
        assert found.headline["total"] == total
        assert {n: f["total"] for n, f in found.scores["parsers"].items()} == totals


def test_a_part_says_what_is_not_in_the_sums() -> None:
    samples = _samples(images=2, tasks=("OCR", "count"))[1:]
    found = MmeEvaluator().evaluate(samples, {s.sample_id: s.answers[0] for s in samples})
    assert found.scores["tasks"]["OCR"]["accuracy_plus"] == 50.0
    notes = " ".join(found.notes)
    assert "Scored on 7 questions; the whole of MME has 2374" in notes
    assert "existence, position, color" in notes
    assert "1 images have one question answered" in notes


def test_more_than_two_questions_about_an_image_are_refused() -> None:
    samples = _samples(images=1, tasks=("OCR",))
    third = Sample(**{**vars(samples[0]), "sample_id": "mme:third"})
    answers = {s.sample_id: "yes" for s in (*samples, third)}
    with pytest.raises(DataError, match="MME asks two questions about each image; OCR has more"):
        MmeEvaluator().evaluate([*samples, third], answers)


def test_a_category_that_is_no_task_is_refused() -> None:
    sample = Sample("x:1", (), "q", 1, answers=("yes",), category="cats")
    with pytest.raises(DataError, match="'cats' is no task of MME; its tasks: existence, count"):
        MmeEvaluator().evaluate([sample], {"x:1": "yes"})
