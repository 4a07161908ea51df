"""What a stage of training leaves: adapters and trained parts, and which base they belong to.

    stage.json                       the base (where, content, bits), trained parts, adapters
    trained.safetensors              parameters trained as they are, by the published names
    adapters/<name>/…                each adapter in PEFT's own files

The base itself is not copied.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from collavo.errors import CheckpointError, MissingFileError
from collavo.json_files import read_object
from collavo.modeling.checkpoints.digest import file_digest
from collavo.modeling.checkpoints.folder import CheckpointFolder
from collavo.modeling.weights import builtin_weights, resolve_weights

if TYPE_CHECKING:
    from collavo.modeling.adapters.peft_format import Adapter

logger = logging.getLogger(__name__)

STAGE = "stage.json"
TRAINED = "trained.safetensors"
ADAPTERS = "adapters"
FORMAT = 1

_BUILTIN = "builtin:"
_FILES = ("adapter_config.json", "adapter_model.safetensors")


@dataclass(frozen=True)
class Base:
    """The checkpoint that a stage was trained on.

    Args:
        weights: A folder, a hub id, or "builtin:<name>".
        revision: The hub revision.
        relative: The folder as seen from the stage's, so that both can be moved together.
        bits: Bits of its linears in training.
        dtype: What it computed in.
        files: sha256 of each of its files.
        parts: Where its parts came from, of a base that was put together of parts; then `weights`
            is empty.
    """

    weights: str
    revision: str = ""
    relative: str = ""
    bits: int = 16
    dtype: str = "float32"
    files: Mapping[str, str] = field(default_factory=dict)
    parts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """One hash over all its files."""
        return hashlib.sha256(json.dumps(dict(self.files), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Stage:
    """A stage's folder.

    Args:
        folder: Where it lies.
        base: What it was trained on.
        trained: Published names of the tensors in `trained.safetensors`.
        adapters: The adapters' names.
        zero: Those of them that no step had trained when it was written.
        model: The architecture that it is a stage of.
    """

    folder: Path
    base: Base
    trained: tuple[str, ...] = ()
    adapters: tuple[str, ...] = ()
    zero: tuple[str, ...] = ()
    model: str = "collavo"

    @property
    def files(self) -> dict[str, Path]:
        """The files that decide on what the model computes, by their names in the folder."""
        names = [TRAINED] if self.trained else []
        for adapter in self.adapters:
            names += [f"{ADAPTERS}/{adapter}/{name}" for name in _FILES]
        return {name: self.folder / name for name in names}

    def base_folder(self, files: Sequence[str] = ("config.json",)) -> Path:
        """Finds the base where it was, or where it is as seen from here.

        Raises:
            MissingFileError: It is in neither place.
        """
        weights = self.base.weights
        if weights.startswith(_BUILTIN):
            return builtin_weights(weights.removeprefix(_BUILTIN))
        near = self.folder / self.base.relative
        if self.base.relative and not Path(weights).is_dir() and near.is_dir():
            weights = str(near)
        try:
            return resolve_weights(weights, self.base.revision, files, "its base")
        except MissingFileError as error:
            raise MissingFileError(
                f"{self.folder} holds trained parts of a base that is not there: {error} Or set "
                f"base.weights in {STAGE} to where it is now; its content is checked"
            ) from error

    def check_base(self, source: CheckpointFolder) -> None:
        """Checks that a checkpoint is the base, by the content of its files.

        Raises:
            CheckpointError: It is another; the files that differ are named.
        """
        self.check_files(base_files(source), str(source.folder))

    def check_files(self, found: Mapping[str, str], where: str) -> None:
        """Checks that files are the base's, by their content.

        Args:
            found: sha256 of each.
            where: What messages call them.

        Raises:
            CheckpointError: Some differ; they are named.
        """
        differing = [
            f"{name} is {_short(found.get(name))}, it was {_short(self.base.files.get(name))}"
            for name in sorted({*found, *self.base.files})
            if found.get(name) != self.base.files.get(name)
        ]
        if differing:
            raise CheckpointError(
                f"{self.folder} was trained on another base than {where}: "
                f"{'; '.join(differing)}. Set base.weights in its {STAGE} to the right one"
            )

    def compare_bits(self, bits: int) -> None:
        """Warns where adapters go on a base of other bits than they were trained on."""
        if self.adapters and self.base.bits != bits:
            logger.warning(
                "the adapters of %s were trained on a base of %d bits, but LLM.BITS is %d: answers "
                "will differ somewhat from those in training",
                *(self.folder, self.base.bits, bits),
            )

    def read_trained(self) -> dict[str, Tensor]:
        """Reads the tensors that were trained as they are, by their published names.

        Raises:
            MissingFileError: The file is not there.
            CheckpointError: It is damaged, or holds others than the stage says.
        """
        if not self.trained:
            return {}
        file = self.folder / TRAINED
        if not file.is_file():
            raise MissingFileError(f"{self.folder} lacks {TRAINED}")
        try:
            tensors = load_file(file)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{file} is damaged: {error}") from error
        if set(tensors) != set(self.trained):
            odd = sorted(set(tensors) ^ set(self.trained))
            raise CheckpointError(f"{file} and {STAGE} differ in {', '.join(odd[:5])}")
        broken = [name for name, t in tensors.items() if not bool(torch.isfinite(t).all())]
        if broken:
            raise CheckpointError(f"{file}: {broken[0]} holds numbers that are not finite")
        return tensors

    def read_adapters(self) -> list[Adapter]:
        """Reads the adapters.

        Raises:
            MissingFileError: A file is not there.
            CheckpointError: One is damaged, or is zero though it was trained.
        """
        from collavo.modeling.adapters.peft_format import read_adapter

        found = [read_adapter(self.folder / ADAPTERS / name, name) for name in self.adapters]
        for adapter in found:
            if adapter.is_zero and adapter.name not in self.zero:
                raise CheckpointError(
                    f"{self.folder}: adapter {adapter.name} is all zeros, though it was trained; "
                    "the file was not saved whole"
                )
        return found


def is_stage(folder: str | Path) -> bool:
    """Says whether a folder is one that a stage left."""
    return (Path(folder).expanduser() / STAGE).is_file()


def open_stage(folder: str | Path) -> Stage:
    """Reads a stage's `stage.json`.

    Raises:
        MissingFileError: There is none.
        CheckpointError: It is not what we write.
    """
    path = Path(folder).expanduser()
    if not is_stage(path):
        raise MissingFileError(
            f"{path} has no {STAGE}: give the folder that a stage of training left (its `export`)"
        )
    fields = read_object(path / STAGE, CheckpointError)
    try:
        base = {k: v for k, v in fields["base"].items() if k != "fingerprint"}
        lists = {k: tuple(map(str, fields[k])) for k in ("trained", "adapters", "zero")}
        if fields["format"] != FORMAT:
            raise ValueError(f"format {fields['format']}; this version reads {FORMAT}")
        return Stage(path, Base(**base), **lists, model=str(fields.get("model", "collavo")))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path / STAGE} cannot be used: {error!r:.200}") from error


def base_files(source: CheckpointFolder) -> dict[str, str]:
    """Hashes the files of a checkpoint that decide on the model."""
    beside = [source.folder / name for name in ("config.json", "tokenizer.model")]
    files = [*source.files, *(file for file in beside if file.is_file())]
    # with their folders: shards of one name may lie in several
    below = {file: file.relative_to(source.folder).as_posix() for file in files}
    return {name: file_digest(file) for file, name in below.items()}


def named_weights(folder: str | Path) -> str:
    """Returns how a base is named in `stage.json`: absolute, a hub id, or as a built-in."""
    path = Path(folder).expanduser()
    if not path.is_dir():
        return str(folder)
    whole = path.resolve()
    built_in = whole.parent == builtin_weights("").resolve()
    return _BUILTIN + whole.name if built_in else str(whole)


def _short(digest: str | None) -> str:
    return "not there" if digest is None else f"sha256 {digest[:12]}…"
