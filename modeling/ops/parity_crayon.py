"""Compares our Crayon Prompt with the original's, from Mask2Former's logits to the whole prompt."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from collavo.datasets.registration.coco_panoptic import CLEAN_NAMES
from collavo.errors import DataError, MissingFileError
from collavo.modeling.crayon.maps import MAX_NUMBER
from collavo.modeling.crayon.prompt import make_crayon_prompt
from collavo.modeling.llms.chat_templates import get_chat_template
from collavo.modeling.segmenters.panoptic import post_process

QUESTION = "Is there a dog in the image?\nAnswer the question using a single word or phrase."
"""The question of every case, with the short-answer suffix."""

_TENSORS = ("class_queries_logits", "masks_queries_logits", "segment_ids", "semantic", "number")
_FIELDS = ("text", "segments", "eval_prompt")


def compare(folder: str | Path) -> dict[str, bool]:
    """Runs one case and says what agrees.

    The original marks an image without any kept query by -1 all over, we by 0, and it counts on
    past the 20 instances that its table has, where we stay at 20: these count as equal.

    Args:
        folder: Holds case.safetensors (logits and the original's maps) and prompts.json.

    Returns:
        segment_ids_equal, semantic_equal, number_equal, text_equal, prompt_equal.

    Raises:
        MissingFileError: A file of the case is not there.
        DataError: A file cannot be read, or lacks a tensor or a field.
    """
    case, rows = _read_case(Path(folder))
    wanted = case["segment_ids"]
    height, width = wanted.shape[-2:]
    segments = post_process(
        case["class_queries_logits"].float(), case["masks_queries_logits"].float(), (height, width)
    )
    crayon = make_crayon_prompt(segments, CLEAN_NAMES)
    assert crayon.semantic is not None and crayon.number is not None, "mode full has maps"
    prompts = [get_chat_template("collavo").render(QUESTION, text) for text in crayon.text]
    infos = [
        [{"id": s.id, "label_id": s.label_id, "score": s.score} for s in image.segments]
        for image in segments
    ]
    ids = torch.stack([s.ids for s in segments])
    return {
        "segment_ids_equal": torch.equal(ids, wanted.clamp(min=0).to(ids.dtype))
        and _same_segments(infos, [row["segments"] for row in rows]),
        "semantic_equal": torch.equal(crayon.semantic, case["semantic"].long()),
        "number_equal": torch.equal(crayon.number, case["number"].long().clamp(max=MAX_NUMBER)),
        "text_equal": crayon.text == [row["text"] for row in rows],
        "prompt_equal": prompts == [row["eval_prompt"] for row in rows],
    }


def _same_segments(ours: list[list[dict]], theirs: list[list[dict]]) -> bool:
    """Ids and labels exactly, scores to the sixth digit (they are rounded to it)."""
    return len(ours) == len(theirs) and all(
        len(a) == len(b)
        and all(
            (x["id"], x["label_id"]) == (y["id"], y["label_id"])
            and abs(x["score"] - y["score"]) < 1.5e-6
            for x, y in zip(a, b, strict=True)
        )
        for a, b in zip(ours, theirs, strict=True)
    )


def _read_case(folder: Path) -> tuple[dict[str, torch.Tensor], list[dict]]:
    tensors, prompts = folder / "case.safetensors", folder / "prompts.json"
    for file in (tensors, prompts):
        if not file.is_file():
            raise MissingFileError(
                f"the crayon case {folder} has no {file.name}; it needs case.safetensors and "
                "prompts.json"
            )
    try:
        case, rows = load_file(tensors), json.loads(prompts.read_text(encoding="utf-8"))
    except (SafetensorError, ValueError) as error:
        raise DataError(f"the crayon case {folder} cannot be read: {error}") from error
    absent = [name for name in _TENSORS if name not in case]
    if absent:
        raise DataError(f"{tensors} lacks the tensors {', '.join(absent)}")
    if not isinstance(rows, list) or len(rows) != len(case["segment_ids"]):
        raise DataError(f"{prompts} must be a list with one entry for each image of the case")
    for position, row in enumerate(rows):
        absent = [field for field in _FIELDS if field not in row]
        if absent:
            raise DataError(f"{prompts}, entry {position}: lacks {', '.join(absent)}")
    return case, rows
