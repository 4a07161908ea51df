"""Compares the model with numbers of the original implementation on a stored case."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from collavo.errors import CheckpointError, MissingFileError
from collavo.records import CrayonPrompt

if TYPE_CHECKING:
    from torch import Tensor

    from collavo.modeling.architectures.collavo import CoLLaVO

NEEDED = (
    "input_ids",
    "attention_mask",
    "image_uint8",
    "crayon_semantic",
    "crayon_number",
    "valid",
    "last_logits",
    "text_logits",
    "mean_abs_logits",
    "greedy",
    "beam3",
)


def compare(checkpoint: str | Path, case: str | Path) -> dict[str, Any]:
    """Runs a case in float32 on the CPU, through the ordinary loader, forward and generation.

    Args:
        checkpoint: A folder in the published format.
        case: A safetensors file with the tensors of `NEEDED`.

    Returns:
        The largest absolute differences of the logits at the last position, at the last text
        positions, and of their mean absolute value wherever the row is not padding; and whether
        greedy tokens and those of 3 beams are equal.

    Raises:
        MissingFileError: A file is not there.
        CheckpointError: The checkpoint or the case is not of its format.
    """
    from collavo.modeling.architectures.collavo import CoLLaVO

    tensors = read_case(Path(case))
    model = CoLLaVO.from_pretrained(
        checkpoint, dtype=torch.float32, device="cpu", attn="sdpa", stop="original"
    )
    crayon = CrayonPrompt(
        tensors["crayon_semantic"].long(),
        tensors["crayon_number"].long(),
        [None] * len(tensors["input_ids"]),
    )
    with torch.no_grad():
        visuals = model.squares(tensors["image_uint8"])
        logits = model(tensors["input_ids"], visuals, crayon, tensors["attention_mask"]).logits
    assert logits is not None, "asked for all logits"
    text, valid = tensors["text_logits"], tensors["valid"].bool()
    mean = (logits.abs().mean(-1) - tensors["mean_abs_logits"]).abs()[valid]
    return {
        "max_abs_diff_last_logits": _largest(logits[:, -1] - tensors["last_logits"]),
        "max_abs_diff_text_logits": _largest(logits[:, -text.shape[1] :] - text),
        "max_abs_diff_mean_abs_logits": _largest(mean),
        "greedy_equal": _tokens_equal(model, tensors, crayon, "greedy", 1),
        "beam3_equal": _tokens_equal(model, tensors, crayon, "beam3", 3),
    }


def read_case(path: Path) -> dict[str, Tensor]:
    """Reads a case and checks that it is complete.

    Raises:
        MissingFileError: There is no such file.
        CheckpointError: It is no safetensors file, or lacks a tensor.
    """
    if not path.is_file():
        raise MissingFileError(f"no case at {path}; give the path of a case.safetensors")
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise CheckpointError(f"{path} is no safetensors file: {error}") from error
    lacking = [name for name in NEEDED if name not in tensors]
    if lacking:
        raise CheckpointError(f"{path} lacks {', '.join(lacking)}; it is no model case")
    return tensors


def prompts_of(tensors: dict[str, Tensor]) -> list[list[int]]:
    """Returns the case's prompts without their padding."""
    ids, mask = tensors["input_ids"], tensors["attention_mask"].bool()
    return [row[kept].tolist() for row, kept in zip(ids, mask, strict=True)]


def wanted_tokens(tensors: dict[str, Tensor], name: str, ends: set[int]) -> list[list[int]]:
    """Returns the case's new tokens of each row, up to the end of sequence."""
    rows = tensors[name][:, tensors["input_ids"].shape[1] :].tolist()
    cut = [next((i + 1 for i, t in enumerate(row) if t in ends), len(row)) for row in rows]
    return [row[:end] for row, end in zip(rows, cut, strict=True)]


def _tokens_equal(
    model: CoLLaVO, tensors: dict[str, Tensor], crayon: CrayonPrompt, name: str, beams: int
) -> bool:
    from collavo.modeling.architectures.base import Generation

    new = tensors[name].shape[1] - tensors["input_ids"].shape[1]
    generation = Generation(num_beams=beams, max_new_tokens=new, stop="original")
    with torch.no_grad():
        embeds = model.embed_images(model.squares(tensors["image_uint8"]), crayon)
        found = model.generate_ids(prompts_of(tensors), embeds, generation)
    return found == wanted_tokens(tensors, name, set(model.stop_ids(generation)))


def _largest(difference: Tensor) -> float:
    return float(difference.abs().max()) if difference.numel() else 0.0
