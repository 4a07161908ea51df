"""ChartQA and OCRBench: every layout gives the same samples."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collavo.datasets.registration.catalog import metadata_of, samples_of
from collavo.datasets.registration.roots import use_root
from collavo.errors import MissingFileError
from collavo.records import Sample
from collavo.registry import EVALUATORS

Write = Callable[[str, Any], Path]
Parquet = Callable[[str, list[dict[str, Any]]], Path]


def _essence(sample: Sample) -> tuple[Any, ...]:
    return sample.question, sample.answers, sample.category


def test_chartqa_in_every_layout(
    write_tree: Write, write_parquet: Parquet, png: bytes, tmp_path: Path
) -> None:
    write_tree(
        "original/ChartQA/test/test_human.json",
        [{"imgname": "1.png", "query": "How many?", "label": "14"}],
    )
    write_tree(
        "original/ChartQA/test/test_augmented.json",
        [{"imgname": "1.png", "query": "Which?", "label": "5%"}] * 2,
    )
    rows = [
        ("human_test", "How many?", "14"),
        ("augmented_test", "Which?", "5%"),
        ("augmented_test", "Which?", "5%"),
    ]
    image = {"bytes": png, "path": None}
    write_parquet(
        "hub/ChartQA/data/test-00000-of-00001.parquet",
        [{"type": t, "question": q, "answer": a, "image": image} for t, q, a in rows],
    )
    listed = [
        {"id": k, "type": t, "image": "test/png/1.png", "question": q, "answer": a}
        for k, (t, q, a) in enumerate(rows)
    ]
    write_tree("rows/chartqa/annotations.jsonl", listed)
    write_tree(
        "table/ChartQA_TEST.tsv",
        "index\timage_path\tquestion\tanswer\tsplit\n"
        + "".join(
            f"{k}\t1.png\t{q}\t['{a}']\ttest_{t[:5]}{t[5:-5] if len(t) > 10 else ''}\n"
            for k, (t, q, a) in enumerate(rows)
        ),
    )
    wanted = [("How many?", ("14",), "human")] + [("Which?", ("5%",), "augmented")] * 2
    for name in ("original", "hub", "rows", "table"):
        use_root(tmp_path / name)
        samples = samples_of("chartqa_test")
        assert [_essence(s) for s in samples] == wanted, name
    use_root(tmp_path / "original")
    assert [s.question_id for s in samples_of("chartqa_test")] == [
        "human/0",
        "augmented/0",
        "augmented/1",
    ]
    (tmp_path / "original/ChartQA/test/test_augmented.json").unlink()
    with pytest.raises(MissingFileError, match="test_augmented.json is missing"):
        samples_of("chartqa_test")


def test_ocrbench_in_every_layout(
    write_tree: Write, write_parquet: Parquet, png: bytes, tmp_path: Path
) -> None:
    kind = "Handwritten Mathematical Expression Recognition"
    row = {
        "dataset_name": "HME100k",
        "id": 3,
        "image_path": "HME100k/1.jpg",
        "question": "Write it.",
        "answers": "[ x ]",
        "type": kind,
    }
    write_tree("original/OCRBench/OCRBench/OCRBench.json", [row])
    write_parquet(
        "hub/OCRBench/data/test-00000-of-00001.parquet",
        [
            {
                "dataset": "HME100k",
                "question": "Write it.",
                "question_type": kind,
                "answer": ["[ x ]"],
                "image": {"bytes": png, "path": None},
            }
        ],
    )
    write_tree(
        "table/OCRBench.tsv",
        f"index\timage_path\tquestion\tanswer\tcategory\n0\t1.jpg\tWrite it.\t['[ x ]']\t{kind}\n",
    )
    for name in ("original", "hub", "table"):
        use_root(tmp_path / name)
        (sample,) = samples_of("ocrbench")
        assert _essence(sample) == ("Write it.", ("[ x ]",), kind), name
        evaluator = EVALUATORS.get("ocrbench")()
        assert evaluator.evaluate([sample], {sample.sample_id: "[x]"}).headline["final_score"] == 1


def test_real_chartqa(shared: Path, tmp_path: Path) -> None:
    folder = tmp_path / "ChartQA" / "test"
    folder.mkdir(parents=True)
    for split in ("human", "augmented"):
        derived = shared / "data" / "chartqa" / f"derived_test_{split}.json"
        (folder / f"test_{split}.json").symlink_to(derived)
    use_root(tmp_path)
    samples = samples_of("chartqa_test")
    assert len(samples) == 2500
    assert (
        len({s.extra["image"] for s in samples})
        == metadata_of("chartqa_test").get("expected")["images"]
    )
    found = EVALUATORS.get("chartqa")().evaluate(
        samples, {s.sample_id: s.answers[0] for s in samples}
    )
    # a reference "nan" or "inf" would not even equal itself; there is none
    assert found.headline["mean"] == 100
