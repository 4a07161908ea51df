"""Options of every benchmark: none is dropped, and a row's fault is its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collavo.datasets.registration.catalog import metadata_of, notes_of, samples_of
from collavo.datasets.registration.readers.literals import literal
from collavo.datasets.registration.roots import use_root
from collavo.errors import DataError
from collavo.records import Sample
from collavo.registry import EVALUATORS, PIPELINES

TABLES = {
    "mmbench": "MMBench/mmbench_dev_20230712.tsv",
    "seed": "SEED-Bench/SEEDBench_IMG.tsv",
    "scienceqa_test": "ScienceQA/ScienceQA_TEST.tsv",
    "ai2d": "ai2d/AI2D_TEST.tsv",
    "qbench_dev": "qbench/Q-Bench1_VAL.tsv",
    "aokvqa_val": "A-OKVQA/A-OKVQA.tsv",
    "mmmu_val": "MMMU/MMMU_DEV_VAL.tsv",
}
"""Benchmarks of which VLMEvalKit has tables with the options in columns."""

Write = Callable[..., list[Sample]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a benchmark's table of rows "A|B|C|D", answer, and reads it."""

    def _write(name: str, *rows: tuple[str, str]) -> list[Sample]:
        file = tmp_path / (TABLES[name] if name in TABLES else "own.tsv")
        file.parent.mkdir(parents=True, exist_ok=True)
        lines = ["index\tid\tquestion\tA\tB\tC\tD\tanswer\tcategory\tsplit\timage"]
        for k, (options, answer) in enumerate(rows):
            cells = (options.split("|") + ["", "", ""])[:4]
            key = f"validation_Art_{k}"
            lines.append(
                "\t".join([str(k), key, f"Which {k}?", *cells, answer, "Art", "", "A" * 80])
            )
        file.write_text("\n".join(lines) + "\n")
        use_root(tmp_path)
        return samples_of(name if name in TABLES else f"tsv:{file}")

    return _write


def _named(name: str, tmp: Path) -> str:
    return name if name in TABLES else f"tsv:{tmp}/own.tsv"


def _score(name: str, samples: list[Sample], texts: str) -> dict[str, Any]:
    metadata = metadata_of(name)
    answers = {s.sample_id: text for s, text in zip(samples, texts, strict=True)}
    evaluation = EVALUATORS.get(metadata.evaluator_type)().evaluate(samples, answers)
    return {key: score.correct for key, score in evaluation.per_sample.items()}


def _prompt(name: str, sample: Sample, style: str = "collavo") -> str:
    return PIPELINES.get(metadata_of(name).pipeline)(style=style).prompt(sample)


@pytest.mark.parametrize(
    "word", ["None", "NA", "N/A", "null", "nan", "NaN", "<NA>", "NONE", "none"]
)
@pytest.mark.parametrize("name", ["own", *(name for name in TABLES if name != "mmbench")])
def test_options_that_say_none_are_listed(
    write: Write, tmp_path: Path, name: str, word: str
) -> None:
    wanted = {0: (f"{word}|x|y|z", "D"), 1: (f"x|{word}|y|z", "B"), 2: (f"x|y|z|{word}", "C")}
    samples = write(name, *wanted.values())
    name = _named(name, tmp_path)
    for sample, (options, answer) in zip(samples, wanted.values(), strict=True):
        assert sample.options == tuple(options.split("|"))
        assert sample.answers == (answer,)
        said = _prompt(name, sample)
        assert all(text in said for text in options.split("|"))
    assert list(_score(name, samples, "DBA").values()) == [True, True, False]
    if word != "NONE":
        assert any("listed as it stands (3 rows" in what for what in notes_of(name))


@pytest.mark.parametrize("word", ["None", "NA", "N/A", "null", "nan"])
def test_mmbench_ends_its_options_as_its_authors_do(write: Write, word: str) -> None:
    rows = [(f"x|{word}|y|z", answer) for answer in "ABD"] + [(f"{word}|{word}", "A")]
    samples = write("mmbench", *rows)
    assert [s.answers for s in samples] == [("A",), ("B",), ("D",), ("A",)]
    prompts = {_prompt("mmbench", s).partition("?")[2] for s in samples[:3]}
    assert len(prompts) == 1 and "B." not in prompts.pop(), "whatever the answer is"
    assert "B. " + word in _prompt("mmbench", samples[0], "clean")
    assert any("own readers end the list" in w and "4 rows" in w for w in notes_of("mmbench"))


@pytest.mark.parametrize("name", ["own", *TABLES])
@pytest.mark.parametrize("answer", ["E", "Q", "AB", "7", "yes"])
def test_an_answer_beyond_the_options_is_its_rows_fault(
    write: Write, tmp_path: Path, name: str, answer: str
) -> None:
    samples = write(name, ("x|y|z", "C"), ("x|y|z", answer), ("x|y|z|w", "D"))
    name = _named(name, tmp_path)
    expected: Any = ("A", "B") if (name[:4], answer) == ("tsv:", "AB") else ()
    assert [s.answers for s in samples] == [("C",), expected, ("D",)]
    if expected:
        return
    (said,) = [what for what in notes_of(name) if "none of the row's options" in what]
    assert "asked and not scored (1 row, first" in said
    assert f"line 3: '{answer}' of A, B, C" in said
    assert "Which 1?" in _prompt(name, samples[1])
    assert list(_score(name, samples, "CAD").values()) == [True, None, True]


@pytest.mark.parametrize("name", ["own", *(name for name in TABLES if name != "mmbench")])
def test_options_after_an_empty_cell_keep_their_letters(
    write: Write, tmp_path: Path, name: str
) -> None:
    samples = write(name, ("x||y|z", "D"), ("x||y|z", "C"), ("x||y|z", "B"), ("x|y", "B"))
    name = _named(name, tmp_path)
    assert [s.answers for s in samples] == [("D",), ("C",), (), ("B",)]
    assert list(samples[0].extra["choices"]) == ["A", "C", "D"]
    assert any("keep their letters (3 rows" in what for what in notes_of(name))
    assert list(_score(name, samples, "DDDB").values()) == [True, False, None, True]


def _own(tmp_path: Path, options: Any, answer: Any) -> tuple[Sample, str]:
    row = {"question": "Which?", "options": options, "answer": answer}
    (tmp_path / "o.jsonl").write_text(json.dumps(row) + "\n")
    (sample,) = samples_of(f"jsonl:{tmp_path}/o.jsonl")
    return sample, " ".join(notes_of(f"jsonl:{tmp_path}/o.jsonl"))


@pytest.mark.parametrize(
    ("options", "letters"),
    [
        (["x", None, "y"], "AC"),
        (["x", "", "y"], "AC"),
        ([None, "x", "y"], "BC"),
        (["x", "y", None], "AB"),
        ({"A": "x", "B": None, "C": "y"}, "AC"),
        ("['x', nan, 'y']", "AC"),
        ("['x', None, 'y']", "AC"),
        ('["x", null, "y"]', "AC"),
        ("['x' 'z' 'y']", "ABC"),
        ("(A) x\n(B) z\n(C) y", "ABC"),
        ("x\nNone\ny", "ABC"),
        (["x", "None", "y"], "ABC"),
    ],
)
@pytest.mark.parametrize("answer", ["A", "B", "C", 2])
def test_lists_however_they_were_written(
    tmp_path: Path, options: Any, letters: str, answer: str | int
) -> None:
    sample, notes = _own(tmp_path, options, answer)
    assert "".join(sample.extra["choices"]) == letters
    assert ("without text is left out" in notes) == (letters != "ABC")
    letter = answer if isinstance(answer, str) else "ABC"[answer]
    assert sample.answers == ((letter,) if letter in letters else ())
    assert ("none of the row's options" in notes) == (letter not in letters)


def test_an_answer_may_say_none(tmp_path: Path) -> None:
    sample, _ = _own(tmp_path, ["x", "None", "N/A"], "None")
    assert sample.answers == ("B",)


@pytest.mark.parametrize("options", ["x, y, z", "['x'", "[x, y]", "{'A': x}"])
def test_texts_that_are_no_list_are_refused(tmp_path: Path, options: str) -> None:
    with pytest.raises(DataError, match="line 1: the options are one text that is no list"):
        _own(tmp_path, options, "A")


@pytest.mark.parametrize("options", ["", "nan", "None", [], None])
def test_rows_without_options_stay_possible(tmp_path: Path, options: Any) -> None:
    sample, _ = _own(tmp_path, options, "a cat")
    assert (sample.options, sample.answers) == ((), ("a cat",))


def test_null_in_the_list_of_a_benchmark_is_printed_as_its_authors_do(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    row = {"id": "validation_Art_1", "question": "Q?", "answer": "C", "question_type": "x"}
    rows = [{**row, "options": "['x', None, 'y']"}]
    (tmp_path / "MMMU/Art").mkdir(parents=True)
    pq.write_table(
        pa.Table.from_pylist(rows), tmp_path / "MMMU/Art/validation-00000-of-00001.parquet"
    )
    use_root(tmp_path)
    (sample,) = samples_of("mmmu_val")
    assert (sample.options, sample.answers) == (("x", "None", "y"), ("C",))
    assert any('listed as "None"' in what for what in notes_of("mmmu_val"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("['a', 'b']", ["a", "b"]),
        ('["a", "b\\/c"]', ["a", "b/c"]),
        ("['a' 'b'\n 'c']", ["a", "b", "c"]),
        ("[1 2.5 3]", [1, 2.5, 3]),
        ("['a', nan, None]", ["a", None, None]),
        ("[true, NaN, null]", [True, None, None]),
        ("[True, null]", [True, None]),
        ("{'A': 'x', 'B': nan}", {"A": "x", "B": None}),
        ("('a', 'b')", ("a", "b")),
        ("[['a' 'b'] ['c']]", [["a", "b"], ["c"]]),
        ("-3", -3),
        ("'a' 'b'", "ab"),
        ("(1) 2", None),
        ("12 13", None),
        ("['a\nb']", None),
        ("[a, b]", None),
        ("[", None),
        ("['it's']", None),
        ("\0", None),
        ("[" * 9999, None),
    ],
)
def test_literals(text: str, value: Any) -> None:
    assert literal(text) == value
