"""Says what a command is at where it would be silent: no newcomer has to guess whether it hangs.

A command has one pulse. What prints (log lines, `say`, bars) touches it; where nothing did for a
while, it says on standard error what is under way, and for how long. COLLAVO_PULSE=off keeps it
silent.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

QUIET = 2.5
"""Seconds without a sign of life after which one is given."""

_last = time.monotonic()


@dataclass
class Doing:
    """What is under way.

    Args:
        what: In a few words; "" for what shows how far it is by itself.
        since: When it began.
    """

    what: str
    since: float = field(default_factory=time.monotonic)


_doing: list[Doing] = []
"""The innermost stands last."""


def touch() -> None:
    """Notes that something was printed."""
    global _last
    _last = time.monotonic()


@contextmanager
def during(what: str) -> Iterator[Doing]:
    """Names what happens in the block; see `Doing`."""
    doing = Doing(what)
    _doing.append(doing)
    try:
        yield doing
    finally:
        _doing.pop()


@contextmanager
def pulse(command: str) -> Iterator[None]:
    """Gives signs of life during the block.

    Args:
        command: What is under way where nothing more exact is named.
    """
    if os.environ.get("COLLAVO_PULSE", "").lower() == "off":
        yield
        return
    ended = threading.Event()
    touch()
    thread = threading.Thread(target=_beat, args=(command, ended), name="pulse", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _beat(command: str, ended: threading.Event) -> None:
    whole = Doing(command)
    while not ended.wait(QUIET / 5):
        if line := sign(whole, time.monotonic()):
            sys.stderr.write(line)  # one write, so that it stays whole beside others'
            sys.stderr.flush()
            touch()


def sign(whole: Doing, now: float) -> str:
    """Returns the line that is due, "" where none is.

    Args:
        whole: The command, for where nothing more exact is named.
        now: The time.
    """
    doing = (_doing or [whole])[-1]
    if not doing.what or now - _last < QUIET:
        return ""
    return f"... {doing.what}, {now - doing.since:.0f} s so far\n"
