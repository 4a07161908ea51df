"""MM-Vet, LLaVA-Bench and HallusionBench in each layout, and when files are broken or missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collavo.datasets.registration.catalog import samples_of
from collavo.datasets.registration.hallusionbench import NAME as HALLUSION
from collavo.datasets.registration.layouts import layout_of
from collavo.errors import DataError, MissingFileError
from collavo.records import Sample
from tests.datasets.judged_files import BASE64, CELL, _image, _json, _parquet, _png, _tsv

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
    assert all(s.images and s.images[0].read() == _png(7) for s in samples)


def test_a_question_list_alone_has_no_answers(root: Path) -> None:
    _json(root / "mm-vet/llava-mm-vet.json", [{"question_id": 3, "image": "a.png", "text": "Q"}])
    (sample,) = samples_of("mm-vet")
    assert (sample.question_id, sample.answers) == ("v1_3", ())
    _json(root / "mm-vet/mm-vet.json", MMVET)
    with pytest.raises(DataError, match=r"holds no question 'v1_3'; take both of one release"):
        samples_of("mm-vet")


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
    seen = [s for s in samples.values() if s.images]
    assert len(seen) == 2 and all(s.images and s.images[0].read() == _png(7) for s in seen)
    if layout != "vlmevalkit":
        assert not samples["VS_chart_0_0_1"].images
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
    wanted = Sample("llavabench:0", (), "Where?", "0", answers=("There.",), category="conv")
    for field in ("sample_id", "question", "question_id", "answers", "category"):
        assert getattr(sample, field) == getattr(wanted, field)
    assert sample.extra["context"] == "A hill."
    assert sample.images and sample.images[0].read() == _png(7)


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
