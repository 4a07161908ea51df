"""Options that say None, NA, null: kept in every benchmark's table, and told of everywhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from collavo.cli.main import main
from collavo.datasets.registration.catalog import notes_of, samples_of
from collavo.datasets.registration.roots import use_root
from tests.datasets.test_mmbench import IMAGE

TABLES = {
    "ai2d": ("AI2D_TEST.tsv", {"category": "x"}),
    "mmmu_val": ("MMMU_DEV_VAL.tsv", {"id": "validation_Art_1", "split": "validation"}),
    "scienceqa_test": ("ScienceQA_TEST.tsv", {"category": "x"}),
    "qbench_dev": ("Q-Bench1_VAL.tsv", {"category": "x"}),
    "aokvqa_val": ("A-OKVQA.tsv", {"split": "val"}),
    "seed": ("SEEDBench_IMG.tsv", {"category": "Scene Understanding"}),
}
WORDS = ("None", "NA", "N/A", "null", "nan", "NaN", "none")


def table(root: Path, file: str, rows: list[dict[str, str]]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = ["\t".join(names), *("\t".join(row.get(n, "") for n in names) for row in rows)]
    (root / file).write_text("\n".join(lines) + "\n", encoding="utf-8")
    use_root(root)


def row(number: int, options: list[str], answer: str, **more: str) -> dict[str, str]:
    cells = dict(zip("ABCDEF", options, strict=False))
    about = {"index": str(number), "image": IMAGE, "question": f"Which {number}?"}
    return {**about, **cells, "answer": answer, **more}


@pytest.mark.parametrize("name", TABLES)
def test_in_the_middle_and_at_the_end(tmp_path: Path, name: str) -> None:
    file, more = TABLES[name]
    rows = []
    for k, word in enumerate(WORDS):
        rows.append(row(2 * k, ["red", word, "green"], "C", **more))
        rows.append(row(2 * k + 1, ["red", "green", word], "C", **more))
    if name == "mmmu_val":
        rows = [{**r, "id": f"validation_Art_{k}"} for k, r in enumerate(rows)]
    table(tmp_path, file, rows)
    samples = samples_of(name)
    assert len(samples) == len(rows)
    for k, word in enumerate(WORDS):
        middle, end = samples[2 * k : 2 * k + 2]
        assert (middle.options, middle.answers) == (("red", word, "green"), ("C",))
        assert (end.options, end.answers) == (("red", "green", word), ("C",))
    (said,) = [note for note in notes_of(name) if "listed as it stands" in note]
    assert f"({len(rows)} rows, first " in said and "line 2" in said


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("answer", ["D", "F", "9", "something"])
def test_an_answer_beyond_the_options_is_its_rows_fault(
    tmp_path: Path, name: str, answer: str
) -> None:
    file, more = TABLES[name]
    table(
        tmp_path, file, [row(0, ["a", "b", "c"], answer, **more), row(1, ["a", "b"], "B", **more)]
    )
    first, second = samples_of(name)
    assert (first.answers, second.answers) == ((), ("B",))
    assert any("none of the row's options" in note for note in notes_of(name))


def test_notes_stand_in_check_and_in_results(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row(0, ["red", "None", "green"], "C"), row(1, ["red", "blue"], "A")]
    table(tmp_path, "own.tsv", rows)
    name = f"tsv:{tmp_path}/own.tsv"
    main(["check", name, "--quick", "--json"])
    (found,) = json.loads(capsys.readouterr().out.strip().splitlines()[-1])["datasets"]
    assert any("listed as it stands" in note for note in found["notes"])
    answers = tmp_path / "answers.jsonl"
    said = [{"question_id": k, "pred": p} for k, p in enumerate("CB")]
    answers.write_text("".join(json.dumps(line) + "\n" for line in said))
    assert main(["score", "--dataset", name, "--predictions", str(answers)]) == 0
    out = capsys.readouterr().out
    results = json.loads(out.strip().splitlines()[-1])
    assert "note: an option that says" in out
    assert any("listed as it stands" in note for note in results["notes"])
