"""Writes safetensors files one tensor at a time, so that no file is ever held in memory."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import torch
from torch import Tensor

DTYPE_NAMES = {torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16"}
"""safetensors' names of dtypes."""

TORCH_DTYPES = {name: dtype for dtype, name in DTYPE_NAMES.items()}

INDEX = "model.safetensors.index.json"


@dataclass(frozen=True)
class Outgoing:
    """One tensor to write.

    Args:
        name: Its name in the file.
        shape: Its shape.
        dtype: Its dtype in the file.
        make: Makes it when its turn comes.
    """

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    make: Callable[[], Tensor]

    @property
    def nbytes(self) -> int:
        """Its size in the file."""
        return prod(self.shape) * self.dtype.itemsize


def write_file(path: Path, tensors: Sequence[Outgoing]) -> None:
    """Writes one safetensors file; it gets its name only once it is complete."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for t in tensors:
        header[t.name] = {
            "dtype": DTYPE_NAMES[t.dtype],
            "shape": list(t.shape),
            "data_offsets": [offset, offset + t.nbytes],
        }
        offset += t.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for t in tensors:
            value = t.make().detach().to("cpu", t.dtype).contiguous()
            if tuple(value.shape) != t.shape:
                raise ValueError(f"{t.name} came as {tuple(value.shape)}, not {t.shape}")
            stream.write(value.reshape(-1).view(torch.uint8).numpy().data)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)


def write_shards(folder: Path, shards: Sequence[Sequence[Outgoing]]) -> None:
    """Writes `model.safetensors`, or numbered shards with their index where there are several."""
    folder.mkdir(parents=True, exist_ok=True)
    if len(shards) == 1:
        write_file(folder / "model.safetensors", shards[0])
        return
    weight_map: dict[str, str] = {}
    for i, shard in enumerate(shards):
        file = f"model-{i + 1:05d}-of-{len(shards):05d}.safetensors"
        write_file(folder / file, shard)
        weight_map |= {t.name: file for t in shard}
    total = sum(t.nbytes for shard in shards for t in shard)
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def cut_shards(tensors: Sequence[Outgoing], limit: int) -> list[list[Outgoing]]:
    """Cuts tensors into shards of at most `limit` bytes each, in order."""
    shards: list[list[Outgoing]] = [[]]
    size = 0
    for t in tensors:
        if shards[-1] and size + t.nbytes > limit:
            shards.append([])
            size = 0
        shards[-1].append(t)
        size += t.nbytes
    return shards
