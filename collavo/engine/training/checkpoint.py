"""Checkpoints of a training: whole or not there, checked by reading them back, pickle-free.

With one process or DDP a checkpoint is independent of the number of processes: trained weights and
optimiser state by parameter name in safetensors. Under DeepSpeed and FSDP each process holds a
part, and the files are those frameworks' own.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from collavo.engine.training.randomness import read_random, write_random
from collavo.engine.training.setup import Setup
from collavo.engine.training.trainable import Trained
from collavo.errors import CheckpointError, UserError
from collavo.json_files import read_object

logger = logging.getLogger(__name__)

LATEST = "latest"
STATE = "state.json"
WEIGHTS = "weights.safetensors"
OPTIMIZER = "optimizer.safetensors"
RUNNING = "running.safetensors"
SHARDED = "sharded"
_PREFIX = "step-"
_OF_THE_DISK = ("No space left", "quota", "Read-only file system", "Permission denied", "too large")
"""What safetensors and torch say where Python would raise an OSError."""


@dataclass(frozen=True)
class State:
    """What a checkpoint says of itself.

    Args:
        step: Finished steps.
        config: What the course of the training depends on.
        world: Processes that it was saved by.
        kind: What distributed the model.
        bad_steps: Steps that were skipped so far.
        extra: The task's own counters.
    """

    step: int
    config: Mapping[str, Any]
    world: int
    kind: str
    bad_steps: int = 0
    extra: Mapping[str, Any] | None = None


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: Of the run; they lie below it in `checkpoints`.
        setup: The processes.
        keep: How many are kept.
        running: Statistics that the trained modules keep in buffers.
    """

    def __init__(
        self, folder: Path, setup: Setup, keep: int, running: Mapping[str, Tensor] | None = None
    ) -> None:
        self.folder = folder / "checkpoints"
        self._setup, self._keep = setup, keep
        self._running = dict(running or {})

    def latest(self) -> Path | None:
        """The newest whole checkpoint, None if there is none."""
        link = self.folder / LATEST
        if (link / STATE).is_file():
            return link.resolve()
        found = self._all()
        return found[-1] if found else None

    def save(
        self,
        state: State,
        trained: Sequence[Trained],
        optimizer: Any,
        probe: Callable[[], Tensor] | None = None,
    ) -> Path:
        """Writes a checkpoint, reads it back, and makes it the latest.

        Args:
            state: What to say of it.
            trained: The trained parameters.
            optimizer: As accelerate has prepared it.
            probe: Gives the model's outputs on a fixed input; they have to be the same before and
                after what was written is put into the model.

        Raises:
            UserError: It cannot be written; checkpoints from before stay as they are.
            CheckpointError: What was read back is not what was written.
        """
        target = self.folder / f"{_PREFIX}{state.step:08d}"
        new = self.folder / f".{target.name}.new"
        setup = self._setup
        fault = ""
        try:
            if setup.is_main:
                shutil.rmtree(new, ignore_errors=True)
                new.mkdir(parents=True)
            setup.accelerator.wait_for_everyone()
            write_random(new, setup.rank)
            if setup.is_sharded:
                setup.accelerator.save_state(str(new / SHARDED))
            elif setup.is_main:
                self._write(new, trained, optimizer, probe)
        except (OSError, SafetensorError, RuntimeError) as error:
            if not _is_of_the_disk(error):
                raise
            fault = str(error)
        if setup.accelerator.reduce(torch.tensor(float(bool(fault)), device=setup.device)) > 0:
            if setup.is_main:
                shutil.rmtree(new, ignore_errors=True)
            raise UserError(
                f"the checkpoint of step {state.step} cannot be written to {self.folder} "
                f"({fault or 'another process says why'}): make room there, then run the same "
                f"command again; it goes on from {self.latest() or 'the beginning'}"
            )
        if setup.is_main:
            self._publish(new, target, state)
        setup.accelerator.wait_for_everyone()
        return target

    def load(self, path: Path, trained: Sequence[Trained], optimizer: Any) -> None:
        """Puts a checkpoint into the model, the optimiser and the random number generators.

        Raises:
            CheckpointError: It is not whole, or of other parameters.
        """
        if self._setup.is_sharded:
            self._setup.accelerator.load_state(str(path / SHARDED))
        else:
            put_weights(path, trained)
            put_moments(path, trained, optimizer)
            if self._running:
                _put_running(path, self._running)
        if not read_random(path, self._setup.rank):
            logger.warning(
                "%s holds no random numbers for process %d: it was saved by fewer; those of "
                "dropout will differ from an unbroken run's",
                *(path, self._setup.rank),
            )

    def _write(
        self,
        folder: Path,
        trained: Sequence[Trained],
        optimizer: Any,
        probe: Callable[[], Tensor] | None,
    ) -> None:
        weights = {t.name: t.parameter.detach().cpu().contiguous() for t in trained}
        save_file(weights, folder / WEIGHTS)
        save_file(moments(trained, optimizer), folder / OPTIMIZER)
        if self._running:
            kept = {name: t.detach().cpu().contiguous() for name, t in self._running.items()}
            save_file(kept, folder / RUNNING)
        before = probe() if probe is not None else None
        put_weights(folder, trained, same=True)
        if probe is not None and before is not None and not torch.equal(before, probe()):
            raise CheckpointError(f"{folder}: the model that was read back gives other outputs")
        empty = [
            t.name for t in trained if ".lora_A." in t.name and not bool(t.parameter.detach().any())
        ]
        if empty:
            raise CheckpointError(f"{folder}: the adapter {empty[0]} is all zeros")

    def _publish(self, new: Path, target: Path, state: State) -> None:
        """Makes a written folder the latest checkpoint, in one step, and drops old ones."""
        text = json.dumps({"format": 1, **vars(state)}, indent=1, sort_keys=True) + "\n"
        try:
            (new / STATE).write_text(text, encoding="utf-8")
            _sync(new)
            shutil.rmtree(target, ignore_errors=True)
            os.replace(new, target)
            link = self.folder / f".{LATEST}.new"
            link.unlink(missing_ok=True)
            link.symlink_to(target.name)
            os.replace(link, self.folder / LATEST)
        except OSError as error:
            raise UserError(
                f"the checkpoint of step {state.step} cannot be written to {self.folder} "
                f"({error.strerror}): make room there, then run the same command again"
            ) from error
        for old in self._all()[: -self._keep]:
            shutil.rmtree(old, ignore_errors=True)

    def _all(self) -> list[Path]:
        return sorted(p for p in self.folder.glob(f"{_PREFIX}*") if (p / STATE).is_file())


def read_state(path: Path) -> State:
    """Reads what a checkpoint says of itself.

    Raises:
        CheckpointError: It is no checkpoint of this format.
    """
    try:
        fields = read_object(path / STATE, CheckpointError)
        if fields.pop("format") != 1:
            raise CheckpointError(f"{path} is a checkpoint of another version of the toolkit")
        return State(**fields)
    except UserError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is no checkpoint of a training: {error}") from error


def put_weights(path: Path, trained: Sequence[Trained], same: bool = False) -> None:
    """Copies stored weights into the trained parameters.

    Args:
        path: The checkpoint.
        trained: The parameters; the stored names and shapes must be exactly theirs.
        same: Whether they must have these values already.

    Raises:
        CheckpointError: They differ in names, shapes or (with `same`) values.
    """
    stored = _read(path / WEIGHTS)
    wanted = {t.name: tuple(t.parameter.shape) for t in trained}
    found = {name: tuple(tensor.shape) for name, tensor in stored.items()}
    if found != wanted:
        odd = sorted(n for n in found.keys() | wanted.keys() if found.get(n) != wanted.get(n))
        raise CheckpointError(
            f"{path} does not hold what is trained: {len(odd)} parameters differ, such as "
            f"{odd[0]} (stored {found.get(odd[0])}, trained {wanted.get(odd[0])})"
        )
    with torch.no_grad():
        for item in trained:
            tensor = stored[item.name].to(item.parameter.device)
            if same and not torch.equal(tensor, item.parameter):
                raise CheckpointError(f"{path}: {item.name} was not read back as it was written")
            item.parameter.copy_(tensor)


def _put_running(path: Path, running: Mapping[str, Tensor]) -> None:
    stored = _read(path / RUNNING)
    if stored.keys() != running.keys():
        odd = sorted(stored.keys() ^ running.keys())
        raise CheckpointError(f"{path / RUNNING} does not hold what is trained, such as {odd[0]}")
    for name, buffer in running.items():
        buffer.copy_(stored[name])


def moments(trained: Sequence[Trained], optimizer: Any) -> dict[str, Tensor]:
    """Lists the optimiser's state by parameter: `<name>|exp_avg`, `|exp_avg_sq`, `|step`."""
    states = optimizer.state
    return {
        f"{item.name}|{key}": value.detach().cpu().contiguous()
        for item in trained
        for key, value in states.get(item.parameter, {}).items()
    }


def put_moments(path: Path, trained: Sequence[Trained], optimizer: Any) -> None:
    """Puts the optimiser's stored state back; parameters without one have not been stepped yet."""
    stored: dict[str, dict[str, Tensor]] = {}
    for name, tensor in _read(path / OPTIMIZER).items():
        owner, _, key = name.rpartition("|")
        stored.setdefault(owner, {})[key] = tensor
    states = optimizer.state
    for item in trained:
        states.pop(item.parameter, None)
        if item.name in stored:
            device = item.parameter.device
            states[item.parameter] = {
                key: value if key == "step" else value.to(device)
                for key, value in stored[item.name].items()
            }


def _read(file: Path) -> dict[str, Tensor]:
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{file} cannot be read: {error}") from error


def _is_of_the_disk(error: Exception) -> bool:
    words = (
        "No space left",
        "Disk quota",
        "Read-only file system",
        "Permission denied",
        "File too",
    )
    return isinstance(error, OSError) or any(word in str(error) for word in words)


def _sync(folder: Path) -> None:
    """Waits until all files of a folder are on the disk."""
    for path in [*folder.rglob("*"), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
