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


def test_more_instances_than_the_table_has(tmp_path):
    """Of 25 tiles of one class the original would number the last ones past 20."""
    classes = torch.full((1, 25, 134), -20.0)
    classes[..., 47] = 20.0
    masks = torch.full((1, 25, 40, 40), -30.0)
    for tile in range(25):
        row, column = divmod(tile, 5)
        masks[0, tile, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = 30.0
    ids = torch.arange(1, 26, dtype=torch.int32).view(5, 5)
    ids = ids.repeat_interleave(2, 0).repeat_interleave(2, 1)[None]
    tensors = {"class_queries_logits": classes, "masks_queries_logits": masks}
    maps = {"segment_ids": ids, "semantic": torch.full_like(ids, 48), "number": ids.clone()}
    save_file({**tensors, **maps}, tmp_path / "case.safetensors")
    phrases = [
        f"(#{n + 1} apple) [{n % 5 / 5:.2f}, {n // 5 / 5:.2f}, "
        f"{(n % 5 + 1) / 5:.2f}, {(n // 5 + 1) / 5:.2f}]"
        for n in range(25)
    ]
    text = f"The image includes {', '.join(phrases)}."
    row = {
        "text": text,
        "segments": [{"id": n + 1, "label_id": 47, "score": 1.0} for n in range(25)],
        "eval_prompt": (
            "AI assistant should give helpful and detailed answers to user after fully "
            f"understanding an image. <image> [UNUSED_TOKEN_146]user\n{text} Is there a dog in "
            "the image?\nAnswer the question using a single word or phrase."
            "[UNUSED_TOKEN_145]\n[UNUSED_TOKEN_146]assistant\n"
        ),
    }
    (tmp_path / "prompts.json").write_text(json.dumps([row]))
    assert compare(tmp_path) == dict.fromkeys(KEYS, True)


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
