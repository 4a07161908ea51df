"""Processes that end with the one that started them, even where that one is killed."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor

_PR_SET_PDEATHSIG = 1  # linux/prctl.h

_watched = False


def end_with_parent(expected: int = 0) -> None:
    """Ends this process as soon as its parent is gone.

    Linux sends the signal itself; elsewhere a thread watches. Calling it again does nothing.

    Args:
        expected: The parent's process id where it is known; else it is a launcher's.
    """
    global _watched
    if _watched:
        return
    _watched = True
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    gone = parent != expected if expected else parent == 1 and not _launches(parent)
    if gone:  # before the call
        os._exit(1)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def _launches(pid: int) -> bool:
    """Whether a process is a launcher, as the first process of a container may be."""
    try:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
            words = file.read()
        return any(word in words for word in ("accelerate", "torchrun", "torch."))
    except OSError:
        return True  # nothing is known of it


def process_pool(workers: int) -> ProcessPoolExecutor:
    """Returns so many new processes for work that needs cores.

    They are not forked: the caller may have threads (torch's), which a forked process would lack.
    """
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, spawn, end_with_parent, (os.getpid(),))
