"""A checkpoint's folder of safetensors: what it holds, checked before anything is loaded."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from collavo.errors import CheckpointError
from collavo.json_files import read_object
from collavo.modeling.weights import check_folder, weight_files

if TYPE_CHECKING:
    from torch import Tensor

_REOPEN_AFTER = 64 << 20
"""Bytes after which a file is opened anew: pages of a mapping count as memory in use."""

_LISTED = 12


@dataclass(frozen=True)
class StoredTensor:
    """Where one tensor lies.

    Args:
        file: The safetensors file.
        shape: Its shape.
        dtype: safetensors' name of its dtype ("F32", "BF16").
    """

    file: Path
    shape: tuple[int, ...]
    dtype: str


class CheckpointFolder:
    """Reads a checkpoint folder of one or more safetensors files, tensor by tensor.

    Args:
        folder: It holds `config.json` and the weights.

    Raises:
        MissingFileError: The folder or a file is not there.
        CheckpointError: A shard is missing or damaged, or the weights are pickled.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        check_folder(self.folder, ("config.json",), "checkpoint")

    @cached_property
    def config(self) -> dict[str, Any]:
        """The fields of config.json."""
        return read_object(self.folder / "config.json", CheckpointError)

    @cached_property
    def files(self) -> list[Path]:
        """The safetensors files."""
        return weight_files(self.folder)

    @cached_property
    def tensors(self) -> dict[str, StoredTensor]:
        """Every tensor by name, in the files' order."""
        found: dict[str, StoredTensor] = {}
        for file in self.files:
            with _opened(file) as stream:
                for name in stream.offset_keys():
                    if name in found:
                        both = f"{found[name].file.name} and {file.name}"
                        raise CheckpointError(f"{name} is in {both}; which one counts is unclear")
                    part = stream.get_slice(name)
                    found[name] = StoredTensor(file, tuple(part.get_shape()), part.get_dtype())
        return found

    def check(self, expected: Mapping[str, tuple[int, ...]]) -> None:
        """Compares names and shapes with the expected ones.

        Raises:
            CheckpointError: Tensors are missing, unexpected or misshapen; the message lists them.
        """
        missing = [name for name in expected if name not in self.tensors]
        unexpected = [name for name in self.tensors if name not in expected]
        misshapen = [
            f"{name} is {tensor.shape}, not {expected[name]}"
            for name, tensor in self.tensors.items()
            if name in expected and tensor.shape != expected[name]
        ]
        problems = [
            f"{len(names)} {kind}: {_listed(names)}"
            for kind, names in (
                ("missing", missing),
                ("unexpected", unexpected),
                ("misshapen", misshapen),
            )
            if names
        ]
        if problems:
            raise CheckpointError(
                f"{self.folder} is not the checkpoint that its config.json describes. "
                + "; ".join(problems)
            )

    def read(self, names: Collection[str]) -> Iterator[tuple[str, Tensor]]:
        """Yields tensors, file by file in file order; each is valid until the next is asked for.

        Args:
            names: Those to read.
        """
        for file in self.files:
            wanted = [n for n, t in self.tensors.items() if t.file == file and n in names]
            while wanted:
                with _opened(file) as stream:
                    size = 0
                    while wanted and size < _REOPEN_AFTER:
                        name = wanted.pop(0)
                        tensor = stream.get_tensor(name)
                        size += tensor.nbytes
                        yield name, tensor
                        del tensor

    def read_one(self, name: str) -> Tensor:
        """Reads one tensor."""
        with _opened(self.tensors[name].file) as stream:
            return stream.get_tensor(name).clone()


def _opened(file: Path) -> Any:
    try:
        return safe_open(file, framework="pt", device="cpu")
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{file} is damaged or no safetensors file ({error}); fetch it again"
        ) from error


def _listed(names: list[str]) -> str:
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")
