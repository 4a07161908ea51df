"""The crayon parity case: the golden one, others of its kind, and broken ones."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from collavo.errors import DataError, MissingFileError
from collavo.modeling.ops.parity_crayon import compare

KEYS = ["segment_ids_equal", "semantic_equal", "number_equal", "text_equal", "prompt_equal"]


@pytest.fixture
def case(golden, tmp_path):
    return shutil.copytree(golden / "crayon_a", tmp_path / "case")


def test_the_golden_case(golden):
    assert compare(golden / "crayon_a") == dict.fromkeys(KEYS, True)


def test_rows_in_another_number_and_order(case):
    tensors = load_file(case / "case.safetensors")
    rows = json.loads((case / "prompts.json").read_text())
    order = [3, 1, 3, 0]
    save_file({k: v[order].contiguous() for k, v in tensors.items()}, case / "case.safetensors")
    (case / "prompts.json").write_text(json.dumps([rows[i] for i in order]))
    assert compare(case) == dict.fromkeys(KEYS, True)


def test_an_image_without_objects_may_be_marked_by_zeros(case):
    change(case, "segment_ids", lambda t: t.clamp_(min=0))
    assert compare(case) == dict.fromkeys(KEYS, True)


def change(case, name, edit) -> None:
    tensors = load_file(case / "case.safetensors")
    edit(tensors[name])
    save_file(tensors, case / "case.safetensors")


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("segment_ids", "segment_ids_equal"),
        ("semantic", "semantic_equal"),
        ("number", "number_equal"),
    ],
)
def test_one_wrong_cell_is_seen(case, name, key):
    change(case, name, lambda t: t[1, 20, 20].add_(1))
    assert compare(case) == {k: k != key for k in KEYS}


def test_one_wrong_letter_is_seen(case):
    rows = json.loads((case / "prompts.json").read_text())
    rows[0]["text"] += " "
    rows[1]["eval_prompt"] = rows[1]["eval_prompt"].replace("user\n", "user")
    rows[2]["segments"][0]["score"] -= 1e-4
    (case / "prompts.json").write_text(json.dumps(rows))
    wrong = {"segment_ids_equal", "text_equal", "prompt_equal"}
    assert compare(case) == {k: k not in wrong for k in KEYS}


def test_broken_cases(case, tmp_path):
    with pytest.raises(MissingFileError, match=r"has no case.safetensors"):
        compare(tmp_path)
    (case / "prompts.json").write_text("[]")
    with pytest.raises(DataError, match="one entry for each image"):
        compare(case)
    (case / "prompts.json").write_text(json.dumps([{"text": ""}] * 4))
    with pytest.raises(DataError, match="entry 0: lacks segments, eval_prompt"):
        compare(case)
    save_file({"semantic": torch.zeros(1)}, case / "case.safetensors")
    with pytest.raises(DataError, match="lacks the tensors class_queries_logits"):
        compare(case)
    (case / "case.safetensors").write_bytes(b"no")
    with pytest.raises(DataError, match="cannot be read"):
        compare(case)
