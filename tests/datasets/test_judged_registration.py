"""MM-Vet, LLaVA-Bench, MathVista and HallusionBench in each layout, and when files are broken."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from collavo.datasets.registration.catalog import metadata_of, samples_of
from collavo.datasets.registration.hallusionbench import NAME as HALLUSION
from collavo.datasets.registration.layouts import layout_of, use_layout
from collavo.datasets.registration.roots import use_root
from collavo.errors import DataError, MissingFileError
from collavo.records import Sample


def _png(shade: int = 0) -> bytes:
    file = BytesIO()
    Image.new("RGB", (8, 8), (shade, 0, 0)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    use_root(tmp_path)
    use_layout("auto")
    return tmp_path


def _json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def _image(path: Path, shade: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_png(shade))


def _parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


def _tsv(path: Path, rows: list[dict[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["\t".join(rows[0]), *("\t".join(row.values()) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


CELL = {"bytes": _png(7), "path": "v1_0.png"}
BASE64 = base64.b64encode(_png(7)).decode()

MMVET = {
    "v1_0": {
        "imagename": "v1_0.png", "question": "What is x?", "answer": "-1<AND>-5",
        "capability": ["math", "ocr"], "imagesource": "web",
    },
    "v1_1": {
        "imagename": "v1_0.png", "question": "Who?", "answer": "me", "capability": ["rec"],
        "imagesource": "web",
    },
}  # fmt: skip


def _mmvet_json(root: Path) -> None:
    _json(root / "mm-vet/mm-vet.json", MMVET)
    _image(root / "mm-vet/images/v1_0.png", 7)


def _mmvet_list(root: Path) -> None:
    _mmvet_json(root)
    rows = [
        {"question_id": k, "image": "v1_0.png", "text": q, "category": "conv"}
        for k, q in ((0, "What is x?"), (1, "Who?"))
    ]
    _json(root / "mm-vet/llava-mm-vet.json", rows)


def _mmvet_hub(root: Path) -> None:
    rows = [
        {
            "question_id": key, "image": CELL, "question": row["question"],
            "answer": row["answer"], "image_source": "web",
            "capability": ",".join(row["capability"]),
        }
        for key, row in MMVET.items()
    ]  # fmt: skip
    _parquet(root / "MMVet/data/test-00000-of-00001-0123456789abcdef.parquet", rows)


def _mmvet_table(root: Path) -> None:
    rows = [
        {
            "index": str(k), "image": BASE64 if k == 0 else "0", "question": row["question"],
            "answer": row["answer"], "category": ",".join(row["capability"]),
        }
        for k, row in enumerate(MMVET.values())
    ]  # fmt: skip
    _tsv(root / "MMVet.tsv", rows)


@pytest.mark.parametrize(
    ("write", "layout"),
    [
        (_mmvet_list, "original"), (_mmvet_json, "authors"), (_mmvet_hub, "hf"),
        (_mmvet_table, "vlmevalkit"),
    ],
)  # fmt: skip
def test_mmvet_in_each_layout(root: Path, write: Callable[[Path], None], layout: str) -> None:
    write(root)
    samples = samples_of("mm-vet")
    assert layout_of("mm-vet") == layout
    assert [s.sample_id for s in samples] == ["mm-vet:v1_0", "mm-vet:v1_1"]
    assert [s.question_id for s in samples] == ["v1_0", "v1_1"]
    assert [s.answers for s in samples] == [("-1<AND>-5",), ("me",)]
    assert [s.extra["capability"] for s in samples] == [("ocr", "math"), ("rec",)]
    assert all(s.image is not None and s.image.read() == _png(7) for s in samples)


def test_a_question_list_alone_has_no_answers(root: Path) -> None:
    _json(root / "mm-vet/llava-mm-vet.json", [{"question_id": 3, "image": "a.png", "text": "Q"}])
    (sample,) = samples_of("mm-vet")
    assert (sample.question_id, sample.answers) == ("v1_3", ())
    _json(root / "mm-vet/mm-vet.json", MMVET)
    with pytest.raises(DataError, match=r"holds no question 'v1_3'; take both of one release"):
        samples_of("mm-vet")


PROBLEM = {
    "pid": "7", "question": "How much?", "image": "images/7.jpg", "choices": None, "unit": "$",
    "precision": 1.0, "answer": "1.2", "question_type": "free_form", "answer_type": "float",
    "metadata": {"split": "testmini", "task": "t", "skills": ["a", "b"], "language": "english"},
}  # fmt: skip
FLOAT_QUERY = (
    "Hint: Please answer the question requiring a floating-point number with one decimal place and "
    "provide the final value, e.g., 1.2, 1.3, 1.4, at the end.\nQuestion: How much? (Unit: $)"
)


def _mathvista_json(root: Path) -> None:
    _json(root / "MathVista/data/testmini.json", {"7": PROBLEM})
    _image(root / "MathVista/images/7.jpg", 7)


def _mathvista_hub(root: Path, images: bool = False) -> None:
    row = {**PROBLEM, "query": FLOAT_QUERY, "decoded_image": CELL}
    name = "testmini-00000-of-00001-725687bf7a18d64b.parquet"
    _parquet(root / "MathVista" / ("" if images else "data") / name, [row])


def _mathvista_original(root: Path) -> None:
    _mathvista_hub(root, images=True)
    _image(root / "MathVista/images/7.jpg", 7)


def _mathvista_table(root: Path) -> None:
    row = {
        "index": "7", "image": BASE64, "question": '"' + FLOAT_QUERY + '"', "answer": "1.2",
        "question_type": "free_form", "answer_type": "float", "choices": "[]",
        "task": "t", "skills": "\"['a', 'b']\"", "language": "english",
    }  # fmt: skip
    _tsv(root / "MathVista_MINI.tsv", [row])


@pytest.mark.parametrize(
    ("write", "layout"),
    [
        (_mathvista_original, "original"), (_mathvista_json, "authors"), (_mathvista_hub, "hf"),
        (_mathvista_table, "vlmevalkit"),
    ],
)  # fmt: skip
def test_mathvista_in_each_layout(root: Path, write: Callable[[Path], None], layout: str) -> None:
    write(root)
    (sample,) = samples_of("mathvista_testmini")
    assert layout_of("mathvista_testmini") == layout
    assert (sample.sample_id, sample.question_id) == ("mathvista_testmini:7", "7")
    assert sample.extra["query"] == FLOAT_QUERY
    assert (sample.answers, sample.extra["precision"]) == (("1.2",), 1)
    assert list(sample.extra["metadata"]["skills"]) == ["a", "b"]
    assert sample.image is not None and sample.image.read() == _png(7)


def test_mathvista_test_hides_its_answers(root: Path) -> None:
    row = {**PROBLEM, "answer": "", "decoded_image": CELL}
    for part in range(2):
        name = f"test-0000{part}-of-00002-6b81bd7f7e2065e6.parquet"
        _parquet(root / "MathVista/data" / name, [{**row, "pid": str(part)}])
    samples = samples_of("mathvista_test")
    assert [(s.sample_id, s.answers) for s in samples] == [
        ("mathvista_test:0", ()), ("mathvista_test:1", ()),
    ]  # fmt: skip
    assert metadata_of("mathvista_test").published == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"choices": "red"}, "field 'choices' must be a list of texts"),
        ({"question_type": "multi_choice"}, "a question of choices has none"),
        ({"question_type": None}, "no field 'question_type'"),
        ({"answer": ["1"]}, "field 'answer' must be text"),
        ({"metadata": "x"}, "field 'metadata' must be an object"),
        ({"image": "../../etc/passwd"}, "must stay below it"),
    ],
)
def test_broken_problems_are_named(root: Path, change: dict[str, Any], message: str) -> None:
    _json(root / "MathVista/testmini.json", {"7": {**PROBLEM, **change}})
    with pytest.raises(DataError, match=message) as caught:
        samples_of("mathvista_testmini")
    assert "problem '7'" in str(caught.value)


def _row(category: str, visual: str, figure: str, truth: str, file: str | None) -> dict[str, Any]:
    return {
        "category": category, "subcategory": "chart", "visual_input": visual, "set_id": "0",
        "figure_id": figure, "sample_note": "n", "question_id": "1", "question": "Is it?",
        "gt_answer_details": "It is.", "gt_answer": truth, "filename": file,
    }  # fmt: skip


FIGURES = [
    _row("VS", "0", "0", "1", None),
    _row("VS", "1", "1", "0", "./VS/chart/0_1.png"),
    _row("VD", "2", "1", "1", "./VD/chart/0_1.png"),
]


def _hallusion_json(root: Path) -> None:
    _json(root / "HallusionBench/HallusionBench.json", FIGURES)
    _image(root / "HallusionBench/hallusion_bench/VS/chart/0_1.PNG", 7)
    _image(root / "HallusionBench/hallusion_bench/VD/chart/0_1.png", 7)


def _hallusion_hub(root: Path) -> None:
    folder = root / "HallusionBench/data"
    _parquet(folder / "image-00000-of-00001.parquet", [{**r, "image": CELL} for r in FIGURES[1:]])
    _parquet(folder / "non_image-00000-of-00001.parquet", [{**FIGURES[0], "image": CELL}])


def _hallusion_table(root: Path) -> None:
    rows = [
        {
            "index": f"image_{r['category']}_chart_0_{r['figure_id']}_1", "image": BASE64,
            "question": r["question"], "answer": "Yes" if r["gt_answer"] == "1" else "No",
            "category": r["category"], "l2-category": "chart",
        }
        for r in FIGURES[1:]
    ]  # fmt: skip
    _tsv(root / "HallusionBench/HallusionBench.tsv", rows)


@pytest.mark.parametrize(
    ("write", "layout"),
    [(_hallusion_json, "authors"), (_hallusion_hub, "hf"), (_hallusion_table, "vlmevalkit")],
)
def test_hallusionbench_in_each_layout(
    root: Path, write: Callable[[Path], None], layout: str
) -> None:
    write(root)
    samples = {s.question_id: s for s in samples_of(HALLUSION)}
    assert layout_of(HALLUSION) == layout
    assert samples["VS_chart_0_1_1"].answers == ("no",)
    assert samples["VD_chart_0_1_1"].answers == ("yes",)
    assert samples["VD_chart_0_1_1"].sample_id == "hallusionbench:VD_chart_0_1_1"
    seen = [s for s in samples.values() if s.image is not None]
    assert len(seen) == 2 and all(s.image is not None and s.image.read() == _png(7) for s in seen)
    if layout != "vlmevalkit":
        assert samples["VS_chart_0_0_1"].image is None
        assert samples["VS_chart_0_0_1"].extra["visual_input"] == "0"


def test_broken_figures_are_named(root: Path) -> None:
    for change, message in (
        ({"gt_answer": "2"}, "the answer must be 1 .yes. or 0 .no., got '2'"),
        ({"set_id": None}, "category, subcategory, set_id, figure_id and question_id"),
        ({"filename": 5}, "field 'filename' must be text"),
    ):
        _json(root / "HallusionBench/HallusionBench.json", [{**FIGURES[1], **change}])
        with pytest.raises(DataError, match=message):
            samples_of(HALLUSION)


def _wild_lines(root: Path) -> None:
    folder = root / "llava-bench-in-the-wild"
    _json(folder / "questions.jsonl", [
        {"question_id": 0, "image": "001.jpg", "category": "conv", "text": "Where?"}
    ])  # fmt: skip
    _json(folder / "context.jsonl", [{"id": "001", "image": "001.jpg", "caption": "A hill."}])
    _json(folder / "answers_gpt4.jsonl", [{"question_id": 0, "text": "There.", "answer_id": "x"}])
    _image(folder / "images/001.jpg", 7)


def _wild_hub(root: Path) -> None:
    row = {
        "question_id": 0, "question": "Where?", "image": CELL, "category": "conv",
        "caption": "A hill.", "gpt_answer": "There.", "image_id": "001.jpg",
    }  # fmt: skip
    _parquet(root / "llava-bench-in-the-wild/data/train-00000-of-00001.parquet", [row])


def _wild_table(root: Path) -> None:
    row = {
        "index": "0", "image": BASE64, "question": "Where?", "category": "conv",
        "caption": "A hill.", "gpt4_ans": "There.",
    }  # fmt: skip
    _tsv(root / "LLaVABench.tsv", [row])


@pytest.mark.parametrize(
    ("write", "layout"),
    [(_wild_lines, "authors"), (_wild_hub, "hf"), (_wild_table, "vlmevalkit")],
)
def test_llavabench_in_each_layout(root: Path, write: Callable[[Path], None], layout: str) -> None:
    write(root)
    (sample,) = samples_of("llavabench")
    assert layout_of("llavabench") == layout
    wanted = Sample("llavabench:0", None, "Where?", "0", answers=("There.",), category="conv")
    for field in ("sample_id", "question", "question_id", "answers", "category"):
        assert getattr(sample, field) == getattr(wanted, field)
    assert sample.extra["context"] == "A hill."
    assert sample.image is not None and sample.image.read() == _png(7)


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("mm-vet", ("llava-mm-vet.json", "mm-vet.json", "test-*.parquet", "MMVet.tsv")),
        ("llavabench", ("questions.jsonl", "answers_gpt4.jsonl", "train-*.parquet")),
        ("mathvista_testmini", ("testmini-00000-of-*.parquet", "testmini.json")),
        ("mathvista_test", ("test-00000-of-*.parquet", "test.json")),
        ("hallusionbench", ("HallusionBench.json", "non_image-*.parquet", "HallusionBench.tsv")),
    ],
)
def test_what_is_missing_is_named(root: Path, name: str, files: tuple[str, ...]) -> None:
    with pytest.raises(MissingFileError) as caught:
        samples_of(name)
    assert all(file in str(caught.value) for file in files)
