"""Sample logs of lmms-eval and tables of VLMEvalKit, as those toolkits write them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from collavo.datasets.evaluation.matching import Matching, match
from collavo.datasets.evaluation.predictions import read_predictions
from collavo.datasets.miniature.build import miniature_root
from collavo.datasets.registration.catalog import samples_of
from collavo.datasets.registration.roots import use_root
from collavo.records import Sample
from collavo.results.files import write_lines

SHORT = "\nAnswer the question using a single word or phrase."


def sample(number: int, question: str, image: str, category: str = "", key: Any = None) -> Sample:
    return Sample(
        f"set:{number}", (), question, number if key is None else key,
        category=category, extra={"image": image},
    )  # fmt: skip


def log(number: int, answer: str, question: str, **metrics: Any) -> dict[str, Any]:
    """One row as save_results_samples writes it: without the document."""
    return {
        "doc_id": number,
        "target": "yes",
        "filtered_resps": [answer],
        "doc_hash": "0a1b",
        **metrics,
        "input": question + SHORT,
    }


def matched(tmp_path: Path, samples: Sequence[Sample], rows: list[dict[str, Any]]) -> Matching:
    random.Random(3).shuffle(rows)
    write_lines(tmp_path / "log.jsonl", rows)
    return match(samples, read_predictions(tmp_path / "log.jsonl"))


def test_ids_in_the_records_of_metrics(tmp_path: Path) -> None:
    samples = [sample(n, "Is it?", f"{n}.jpg") for n in range(4)]
    for name in ("question_id", "index", "id"):
        rows = [log(n, f"a{n}", "Is it?", my_metric={name: n, "score": 1.0}) for n in range(4)]
        found = matched(tmp_path, samples, rows)
        assert found.complete
        assert found.answers == {f"set:{n}": f"a{n}" for n in range(4)}


def test_numbers_decide_where_the_questions_agree(tmp_path: Path) -> None:
    """GQA's log holds no id at all: the same question is asked about many images."""
    questions = ["Is it overcast?", "Who is there?", "Is it overcast?", "Is it overcast?"]
    samples = [sample(n, q, f"{n}.jpg", key=f"q{n}") for n, q in enumerate(questions)]
    rows = [log(n, f"a{n}", q, exact_match=1.0) for n, q in enumerate(questions)]
    found = matched(tmp_path, samples, rows)
    assert found.complete
    assert found.answers == {f"set:{n}": f"a{n}" for n in range(4)}
    part = matched(tmp_path, samples, rows[1:3])
    assert sorted(part.answers) == sorted(f"set:{row['doc_id']}" for row in rows[1:3])


def test_numbers_do_not_decide_where_a_question_differs(tmp_path: Path) -> None:
    questions = ["Is it overcast?", "Who is there?", "Is it overcast?"]
    samples = [sample(n, q, f"{n}.jpg", key=f"q{n}") for n, q in enumerate(questions)]
    other = ["Is it overcast?", "Is it overcast?", "Who is there?"]
    found = matched(tmp_path, samples, [log(n, f"a{n}", q) for n, q in enumerate(other)])
    assert found.answers == {"set:1": "a2"}, "the one that its wording decides"
    assert len(found.unknown) == 2 and len(found.missing) == 2
    # more rows than samples: another split
    rows = [log(n, f"a{n}", "Is it overcast?") for n in range(9)]
    assert len(matched(tmp_path, samples, rows).unknown) == 9


def test_equal_answers_of_a_log_need_no_order(tmp_path: Path) -> None:
    """POPE's log has ids that repeat in each split, and no split."""
    samples = [
        sample(n, "Is there a dog?", "1.jpg", split, key=7)
        for n, split in enumerate(("random", "popular"))
    ]
    samples += [sample(2, "Is there a cat?", "1.jpg", "random", key=8)]
    rows = [log(5, "Yes", "Is there a dog?", m={"question_id": "7"}) for _ in range(2)]
    rows += [log(6, "No", "Is there a cat?", m={"question_id": "8"})]
    assert matched(tmp_path, samples, list(rows)).complete
    rows[0]["filtered_resps"] = ["No"]
    found = matched(tmp_path, samples, list(rows))
    assert found.answers == {"set:2": "No"} and len(found.unknown) == 2


def test_popes_log_scores_like_its_answers(tmp_path: Path) -> None:
    use_root(miniature_root())
    samples = samples_of("pope_test")
    dice = random.Random(1)
    said = {(s.extra["image"], s.question): dice.choice(("Yes", "No")) for s in samples}
    rows = [
        log(
            *(n, said[s.extra["image"], s.question], s.question),
            pope_accuracy={"question_id": str(s.question_id), "score": 1.0},
        )
        for n, s in enumerate(reversed(samples))
    ]
    found = matched(tmp_path, samples, rows)
    assert found.complete
    assert all(found.answers[s.sample_id] == said[s.extra["image"], s.question] for s in samples)


def test_a_formula_in_a_table_is_its_text(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet: Any = book.active
    sheet.append(["index", "question", "answer", "prediction", "split"])
    for number, text in enumerate(("=1+1", "A", None, "2.0", 3, "_x000D_x")):
        sheet.append([number, f"q{number}", "B", text, "test"])
    book.save(tmp_path / "m_SET.xlsx")
    found = read_predictions(tmp_path / "m_SET.xlsx")
    assert [p.answer for p in found] == ["=1+1", "A", "", "2.0", "3", "_x000D_x"]
    assert [p.question_id for p in found] == [str(n) for n in range(6)]


@pytest.mark.parametrize("quoted", [False, True])
def test_tables_with_tabs(tmp_path: Path, quoted: bool) -> None:
    """VLMEvalKit also writes its predictions as TSV."""
    text = '"two\nlines\tand ""marks"""' if quoted else "plain"
    lines = ["index\tquestion\tprediction\tsplit", f"4\tq\t{text}\ttest", "5\tq\t\ttest"]
    (tmp_path / "m_SET.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = read_predictions(tmp_path / "m_SET.tsv")
    wanted = 'two\nlines\tand "marks"' if quoted else "plain"
    assert [(p.question_id, p.answer) for p in found] == [("4", wanted), ("5", "")]
