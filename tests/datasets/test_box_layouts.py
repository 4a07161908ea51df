"""Every layout of RefCOCO gives the same boxes; a pickle runs no code."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collavo.datasets.evaluation.box_rules import true_box
from collavo.datasets.registration.catalog import metadata_of, samples_of
from collavo.datasets.registration.roots import use_root
from collavo.errors import DataError, MissingFileError

Write = Callable[[str, Any], Path]
Parquet = Callable[[str, list[dict[str, Any]]], Path]


def test_refcoco_in_every_layout(
    write_tree: Write, write_parquet: Parquet, png: bytes, tmp_path: Path
) -> None:
    box, size = [10, 10, 20, 20], {"width": 40, "height": 20}
    image = "COCO_train2014_000000000001.jpg"
    row = {"img_path": image, "expression": "left dog", "bbox": box, "sent_id": 7, **size}
    write_tree("rows/RefCOCO/REC_refcoco_unc_val.jsonl", [row])
    qwen = {"image": f"data/coco/train2014/{image}", "sent": "left dog", "bbox": box, **size}
    write_tree("qwen/RefCOCO/refcoco_val.jsonl", [qwen])
    labelled = {"id": 7, "image": image, "expression": "left dog", "bbox_xyxy": box, **size}
    write_tree("labelled/refcoco/annotations.jsonl", [labelled])
    write_tree(
        "refer/RefCOCO/refcoco/instances.json",
        {
            "images": [{"id": 1, "file_name": image, **size}],
            "annotations": [{"id": 5, "image_id": 1, "bbox": [10, 10, 10, 10]}],
        },
    )
    refs = [
        {
            "ref_id": 1,
            "ann_id": 5,
            "image_id": 1,
            "split": split,
            "sentences": [{"sent": "left dog", "sent_id": 7}],
        }
        for split in ("val", "train")
    ]
    pickled = tmp_path / "refer/RefCOCO/refcoco/refs(unc).p"
    pickled.write_bytes(pickle.dumps(refs, protocol=0))
    cell = {"bytes": png, "path": None}
    write_parquet(
        "hub/RefCOCO/data/val-00000-of-00001.parquet",
        [
            {
                "question_id": "5",
                "image": cell,
                "answer": ["left dog", "dog"],
                "bbox": [10.0, 10.0, 10.0, 10.0],
                "file_name": image,
            }
        ],
    )
    write_tree(
        "table/RefCOCO.tsv",
        "index\timage_path\tquestion\tanswer\tcategory\twidth\theight\n"
        "0\ta.jpg\tleft dog\t[0.25, 0.5, 0.5, 1.0]\tRefCOCO val\t40\t20\n"
        "1\ta.jpg\tother\t[0.25, 0.5, 0.5, 1.0]\tRefCOCO+ val\t40\t20\n",
    )
    for name in ("rows", "qwen", "labelled", "refer", "hub", "table"):
        use_root(tmp_path / name)
        samples = samples_of("refcoco_val")
        assert samples[0].question == "left dog", name
        assert true_box(samples[0]) == pytest.approx((0.25, 0.5, 0.5, 1.0)), name
        assert len(samples) == (2 if name == "hub" else 1)
    for other in ("rows", "refer", "hub"):
        use_root(tmp_path / other)
        with pytest.raises(MissingFileError, match="refcocop_val is missing"):
            samples_of("refcocop_val")
    use_root(tmp_path / "refer")
    pickled.write_bytes(pickle.dumps([Path("x")]))
    with pytest.raises(DataError, match="pathlib"):
        samples_of("refcoco_val")


def test_real_refcoco(shared: Path) -> None:
    use_root(shared / "data")
    for name in ("refcoco_testB", "refcocog_val"):
        samples = samples_of(name)
        expected = metadata_of(name).get("expected")
        assert len(samples) == expected["questions"]
        assert len({s.extra["image"] for s in samples}) == expected["images"]
