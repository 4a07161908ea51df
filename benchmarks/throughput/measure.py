"""Clocks, memory and the machine's peak."""

from __future__ import annotations

import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch


@dataclass
class Result:
    """What one way took for some questions.

    Args:
        questions: How many there were.
        seconds: Wall time.
        cpu_seconds: Processor time of all threads, which other programs disturb less.
        parts: Wall time by part.
        tokens: Token positions that went through the decoder, counted as they did.
        peak_bytes: Most memory held, above what was held at the start.
        answers: Token ids by sample id.
        texts: Decoded answers by sample id.
    """

    questions: int
    seconds: float
    cpu_seconds: float
    parts: dict[str, float]
    tokens: dict[str, int]
    peak_bytes: int
    answers: dict[str, list[int]] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """Returns it for JSON."""
        return asdict(self)


class Meter:
    """Sums seconds and tokens by part while functions are wrapped."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.tokens: Counter[str] = Counter()

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Adds the time within to a part."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[part] += time.perf_counter() - begin

    def wrap(self, function: Callable[..., Any], part: str) -> Callable[..., Any]:
        """Returns the function with its time added to a part."""

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self.timed(part):
                return function(*args, **kwargs)

        return wrapped


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Sets an attribute within the block."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


class Memory:
    """Peak resident memory since it was made, in bytes (Linux; elsewhere it reads zero)."""

    def __init__(self) -> None:
        try:
            Path("/proc/self/clear_refs").write_text("5")
        except OSError:
            self.base = 0
        else:
            self.base = _status("VmRSS")

    def peak(self) -> int:
        """Bytes at the peak above those at the start."""
        return max(0, _status("VmHWM") - self.base) if self.base else 0


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0


def matmul_peak(size: int = 2048, seconds: float = 0.5) -> float:
    """Measures floating-point operations a second of a float32 matrix product."""
    a, b = torch.rand(size, size), torch.rand(size, size)
    torch.mm(a, b)
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        begin = time.perf_counter()
        torch.mm(a, b)
        best = min(best, time.perf_counter() - begin)
    return 2 * size**3 / best


def load_average() -> float:
    """Programs that want to run, over the last minute."""
    return os.getloadavg()[0]


def prefix_flops(config: dict[str, Any], rank: int, length: int, image: int) -> float:
    """Operations that an image's prefix takes at least.

    The last layer is needed for its keys and values alone. Causal attention counts half the square.
    The crayon's term is left out: on distinct pairs it is under a percent.

    Args:
        config: The published config's fields.
        rank: PLoRA's rank; 0 where it is merged into a weight of the image tokens.
        length: Positions of the prefix.
        image: Image tokens among them.
    """
    width, hidden = config["hidden_size"], config["intermediate_size"]
    head_dim = width // config["num_attention_heads"]
    kv = config["num_key_value_heads"] * head_dim
    packed = width + 2 * kv
    full = [(width, packed), (width, width), (width, hidden), (width, hidden), (hidden, width)]
    layers = config["num_hidden_layers"]
    base = (layers - 1) * sum(i * o for i, o in full) + 2 * width * kv
    low = (layers - 1) * sum(rank * (i + o) for i, o in full) + rank * (width + 2 * kv)
    attention = (layers - 1) * 2 * width * length * length / 2
    return 2.0 * (base * length + low * image + attention)
