"""Processes of a run: Accelerate's set-up, threads, and ends that nobody has to wait for."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import FrameType
from typing import Any

from collavo.engine.board import Board, LocalBoard, StoreBoard
from collavo.errors import ConfigError
from collavo.lifetime import end_with_parent


@dataclass(frozen=True)
class Processes:
    """This process among those of one launch.

    Args:
        rank: Its number, from 0.
        world: How many there are, over all machines.
        device: The torch device string that it computes on.
        board: What the processes share.
        launched: Whether `accelerate launch` (or torchrun) started it.
    """

    rank: int
    world: int
    device: str
    board: Board
    launched: bool = False

    @property
    def is_main(self) -> bool:
        """Whether it is the process that prints, scores and writes the results."""
        return self.rank == 0


def launched() -> bool:
    """Says whether `accelerate launch` or torchrun started this process."""
    return any(k in os.environ for k in ("LOCAL_RANK", "ACCELERATE_MIXED_PRECISION"))


def start_processes(device: str = "auto", seed: int = 0, timeout: float = 600.0) -> Processes:
    """Sets this process up: device, process group, threads, seed, death with its parent.

    Args:
        device: "auto", "cpu" or "cuda".
        seed: Seeds torch, numpy and random.
        timeout: Seconds after which an operation on the shared store gives up.

    Raises:
        ConfigError: CUDA is asked for and absent, or the launcher and Accelerate disagree on the
            number of processes.
    """
    import torch
    from accelerate import Accelerator
    from accelerate.utils import InitProcessGroupKwargs, set_seed

    from_launcher = launched()
    if from_launcher:
        end_with_parent()
    has_cuda = torch.cuda.is_available()
    if device == "cuda" and not has_cuda:
        raise ConfigError(
            "DEVICE is 'cuda', but torch sees no CUDA device here: set DEVICE cpu (or auto), or "
            "install a CUDA build of torch and check nvidia-smi"
        )
    limits = InitProcessGroupKwargs(timeout=timedelta(seconds=timeout))
    accelerator = Accelerator(cpu=device == "cpu" or not has_cuda, kwargs_handlers=[limits])
    world = check_world(accelerator.num_processes)
    set_threads(from_launcher)
    set_seed(seed)
    rank = accelerator.process_index
    board = shared_board(rank, world, timeout) if world > 1 else LocalBoard()
    return Processes(rank, world, str(accelerator.device), board, from_launcher)


def check_world(seen: int) -> int:
    """Returns how many processes the launcher started.

    Args:
        seen: How many Accelerate believes there are.

    Raises:
        ConfigError: These are not as many.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world != seen:
        raise ConfigError(
            f"the launcher started {world} processes, but Accelerate sees {seen}: each would "
            "believe that it is alone. On a machine without GPU launch with --config_file "
            "configs/accel/multi_cpu.yaml"
        )
    return world


def stop_processes(processes: Processes) -> None:
    """Leaves the process group, if there is one."""
    if processes.world > 1:
        import torch.distributed as dist

        if dist.is_initialized():
            dist.destroy_process_group()


def shared_board(rank: int, world: int, timeout: float) -> Board:
    """Returns the board on the store that the launcher's rendezvous has brought up.

    Raises:
        ConfigError: There is no process group.
    """
    import torch.distributed as dist

    if not dist.is_initialized():
        raise ConfigError(f"{world} processes were launched without a process group")
    # The store of the launcher's own rendezvous; torch has no public name for it.
    store: Any = dist.distributed_c10d._get_default_store()
    return StoreBoard(store, rank, world, timeout)


def set_threads(from_launcher: bool) -> None:
    """Gives each process its share of the cores; the launcher had set OMP_NUM_THREADS=1."""
    import torch

    if from_launcher and os.environ.get("OMP_NUM_THREADS", "1") == "1":
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        torch.set_num_threads(max(1, (cores or 1) // local))


class Watchdog:
    """Ends the process when nothing has moved for a time, wherever it hangs.

    The timer runs outside the interpreter, so that a hang inside a library that holds the
    interpreter's lock is ended as well; the stacks of all threads are printed first.

    Args:
        seconds: The time; 0 never ends the process.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def beat(self) -> None:
        """Says that the process has moved on."""
        if self.seconds > 0 and sys.__stderr__ is not None:
            faulthandler.dump_traceback_later(self.seconds, exit=True, file=sys.__stderr__)

    def stop(self) -> None:
        """Ends the watching."""
        faulthandler.cancel_dump_traceback_later()


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived; handled like Ctrl-C."""


@contextmanager
def terminate_cleanly() -> Iterator[None]:
    """Within it SIGTERM raises `Terminated`, so that files are closed and the run can resume."""

    def handle(number: int, frame: FrameType | None) -> None:
        raise Terminated("SIGTERM")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
