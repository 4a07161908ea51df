"""MMBench: circular groups, abilities, the organisers' file, and LLaVA-1.5-13B's answers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collavo.datasets.evaluation.mmbench import MMBenchEvaluator
from collavo.datasets.registration.catalog import metadata_of, samples_of
from collavo.datasets.registration.roots import use_root
from collavo.errors import DataError
from collavo.registry import PIPELINES

HEAD = "index question hint A B C D answer category image source l2-category comment split"
IMAGE = "QUJD" * 30


def _table(root: Path, rows: list[str], name: str = "mmbench_dev_20230712.tsv") -> None:
    (root / "MMBench").mkdir(exist_ok=True)
    text = "\n".join(["\t".join(HEAD.split()), *rows]) + "\n"
    (root / "MMBench" / name).write_text(text, encoding="utf-8")


def _row(index: int, options: str, answer: str, **more: str) -> str:
    cells = {"question": "Which?", "category": "ocr", "image": IMAGE, "split": "dev"}
    cells |= {"l2-category": "coarse_perception"} | more
    cells |= dict(zip("ABCD", options.split("|"), strict=False))
    cells |= {"index": str(index), "answer": answer}
    return "\t".join(cells.get(name, "") for name in HEAD.split())


ROWS = [
    _row(1, "cat|dog|cow", "A", hint="Look."),
    _row(1_000_001, "dog|cow|cat", "C", image="1"),
    _row(2_000_001, "cow|cat|dog", "B", image="1"),
    _row(2, "yes|no", "B", **{"l2-category": "logic_reasoning", "category": "x"}),
    _row(1_000_002, "no|yes", "A", **{"l2-category": "logic_reasoning", "category": "x"}),
    # four options and three rows, as 53 questions of dev_20230712
    _row(3, "a|b|c|d", "D"), _row(1_000_003, "b|c|d|a", "C"), _row(2_000_003, "c|d|a|b", "B"),
]  # fmt: skip


def _ids(answers: dict[int, str]) -> dict[str, str]:
    return {f"mmbench:{index}": text for index, text in answers.items()}


RIGHT = {1: "A", 1_000_001: "(C)", 2_000_001: "the cat", 2: "B", 1_000_002: "A", 3: "D",
         1_000_003: "C", 2_000_003: "B."}  # fmt: skip


def test_a_question_counts_if_all_its_rotations_are_right(tmp_path: Path) -> None:
    _table(tmp_path, ROWS)
    use_root(tmp_path)
    samples = samples_of("mmbench")
    found = MMBenchEvaluator().evaluate(samples, _ids(RIGHT))
    assert dict(found.headline) == {"circular_accuracy": 1.0, "vanilla_accuracy": 1.0}
    found = MMBenchEvaluator().evaluate(samples, _ids({**RIGHT, 2_000_003: "unread", 2: "A"}))
    assert found.headline["circular_accuracy"] == pytest.approx(1 / 3)
    assert found.headline["vanilla_accuracy"] == pytest.approx(2 / 3)
    l2 = found.scores["l2_categories"]
    assert l2["coarse_perception"] == {"accuracy": 0.5, "questions": 2, "short": "CP"}
    assert l2["logic_reasoning"]["accuracy"] == 0.0
    assert found.scores["categories"]["ocr"]["accuracy"] == 0.5
    assert found.scores["splits"]["dev"]["vanilla_accuracy"] == pytest.approx(2 / 3)
    assert (found.scores["questions"], found.scores["rotations"]) == (3, 8)
    assert found.per_sample["mmbench:2000003"].correct is False
    assert found.per_sample["mmbench:3"].correct is True
    assert found.scores["parsers"]["exact"]["circular_accuracy"] == 0.0
    assert {"official", "vlmevalkit", "lmms_eval", "exact"} <= set(found.scores["parsers"])


def test_rotations_share_the_image(tmp_path: Path) -> None:
    _table(tmp_path, ROWS)
    use_root(tmp_path)
    images = [sample.images[0] for sample in samples_of("mmbench")]
    assert images[0] is not None
    assert images[0] is images[1]
    assert images[0].read() == b"ABC" * 30


def test_the_organisers_file(tmp_path: Path) -> None:
    _table(tmp_path, ROWS)
    use_root(tmp_path)
    samples = samples_of("mmbench")
    answers = _ids({**RIGHT, 1: "=1+1", 2: "a\x00b\x0bc"})
    (path,) = MMBenchEvaluator().submission(samples, answers, tmp_path / "out")
    assert path.name == "mmbench.xlsx"
    rows = _sheet(path)
    assert rows[0] == tuple("index question A B C D prediction answer split".split())
    assert rows[1] == (1, "Which?", "cat", "dog", "cow", None, "=1+1", "A", "dev")
    assert rows[4][6] == "abc"


def _sheet(path: Path) -> list[tuple[Any, ...]]:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.load_workbook(path)
    return list(book.worksheets[0].iter_rows(values_only=True))


def test_the_test_split_hides_its_answers(tmp_path: Path) -> None:
    _table(tmp_path, [_row(5, "a|b", "", split="test")], "MMBench_TEST_EN_legacy.tsv")
    use_root(tmp_path)
    samples = samples_of("mmbench_test")
    found = MMBenchEvaluator().evaluate(samples, {"mmbench_test:5": "A"})
    assert not found.headline
    assert found.per_sample["mmbench_test:5"].correct is None
    assert found.per_sample["mmbench_test:5"].parsed == "A"
    assert "organisers" in " ".join(found.notes)


def test_options_that_say_none_end_the_list_as_in_pandas(tmp_path: Path) -> None:
    _table(tmp_path, [_row(1, "cat|None|dog|cow", "A"), _row(2, "none|x|nan", "B")])
    use_root(tmp_path)
    first, second = samples_of("mmbench")
    assert first.extra["choices"] == {"A": "cat", "C": "dog", "D": "cow"}
    assert second.extra["choices"] == {"A": "none", "B": "x"}
    prompts = {s: PIPELINES.get("mmbench")(style=s).prompt(first) for s in ("collavo", "clean")}
    suffix = "\nAnswer with the option's letter from the given choices directly."
    assert prompts["collavo"] == "Which?\nA. cat" + suffix
    assert prompts["clean"] == "Which?\nA. cat\nB. None\nC. dog\nD. cow" + suffix


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (_row(1, "", "A"), "has no option"),
        ("one" + _row(1, "a|b", "A")[1:], "the index must be a whole number"),
    ],
)
def test_broken_rows_are_named(tmp_path: Path, row: str, said: str) -> None:
    _table(tmp_path, [row])
    use_root(tmp_path)
    with pytest.raises(DataError, match="line 2") as caught:
        samples_of("mmbench")
    assert said in str(caught.value)


def test_labelled_rows(write_lines: Callable[[str, list[Any]], Path], tmp_path: Path) -> None:
    row = {
        "index": 7,
        "question": "q",
        "hint": None,
        "A": "x",
        "B": "y",
        "C": None,
        "D": None,
        "answer": "B",
        "category": "ocr",
        "l2-category": "coarse_perception",
        "split": "dev",
    }
    write_lines("mmbench/annotations.jsonl", [row, {**row, "index": 1_000_007, "answer": "A"}])
    use_root(tmp_path)
    assert [s.question_id for s in samples_of("mmbench")] == [7, 1_000_007]


def test_the_published_answers_of_llava(shared: Path, tmp_path: Path) -> None:
    data, folder = shared / "data/mmbench", tmp_path / "MMBench"
    folder.mkdir()
    table = data / "derived_mmbench_dev_20230712_textonly.tsv"
    shutil.copy(table, folder / "mmbench_dev_20230712.tsv")
    use_root(tmp_path)
    samples = samples_of("mmbench")
    assert len(samples) == metadata_of("mmbench").expected["questions"]
    lines = (data / "mmbench_dev_20230712_answers_llava-v1.5-13b.jsonl").read_text("utf-8")
    rows = {row["question_id"]: row for row in map(json.loads, lines.splitlines())}
    answers = {s.sample_id: rows[s.question_id]["text"] for s in samples}
    found = MMBenchEvaluator().evaluate(samples, answers)
    assert found.headline["circular_accuracy"] == pytest.approx(796 / 1176, abs=1e-12)
    pipeline = PIPELINES.get("mmbench")(style="llava")
    suffix = "\nAnswer with the option's letter from the given choices directly."
    for sample in samples:
        assert pipeline.prompt(sample) == rows[sample.question_id]["prompt"] + suffix
    (path,) = MMBenchEvaluator().submission(samples, answers, tmp_path)
    theirs = _sheet(data / "mmbench_dev_20230712_llava-v1.5-13b_submission.xlsx")
    assert _sheet(path) == theirs


class _Judge:
    """Answers C to every question that it is asked, and keeps what that was."""

    def __init__(self) -> None:
        self.asked: dict[str, tuple[str, dict[str, str], str]] = {}

    def choose_options(self, questions: dict[str, Any], protocol: str) -> dict[str, str]:
        self.asked = questions
        return dict.fromkeys(questions, "C")


def test_a_judge_is_asked_where_it_may_change_the_score(tmp_path: Path) -> None:
    _table(tmp_path, ROWS)
    use_root(tmp_path)
    unread = {1_000_001: "hm", 2_000_001: "B", 1: "A", 1_000_002: "hm", 2: "A", 1_000_003: "hm"}
    evaluator, judge = MMBenchEvaluator(), _Judge()
    evaluator.judge = judge  # type: ignore[assignment]
    found = evaluator.evaluate(samples_of("mmbench"), _ids({**RIGHT, **unread}))
    # the second question is lost already, its other rotation is not worth a call
    assert set(judge.asked) == {"mmbench:1000001", "mmbench:1000003"}
    options = {"A": "dog", "B": "cow", "C": "cat"}
    assert judge.asked["mmbench:1000001"] == ("Which?", options, "hm")
    assert found.headline["circular_accuracy"] == pytest.approx(2 / 3)
    assert found.scores["parsers"]["official"]["circular_accuracy"] == 0.0
    assert found.scores["parsers"]["vlmevalkit with a judge"] == dict(found.headline)
    assert "language model where that reads nothing" in " ".join(found.notes)
