"""Segments the next batch of images in a thread of its own while the model answers the last one."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import torch

from collavo.engine.images import Loaded
from collavo.engine.limits import free_cached_memory, is_out_of_memory

logger = logging.getLogger(__name__)

_AHEAD = 1
"""Batches that are segmented ahead of the one that is answered."""


class Overlap:
    """Runs one step ahead of the model, on a CUDA stream of its own where there is CUDA.

    A fault in the thread is kept from nobody: the images stay without segments, so the model's own
    thread segments them again, meets the fault itself, and deals with it as ever.

    Args:
        segment: Finds the segments of images and leaves them with the images.
        device: The torch device string.
    """

    def __init__(self, segment: Callable[[Sequence[Loaded]], None], device: str) -> None:
        self._segment, self._device = segment, device
        self._stream: torch.cuda.Stream | None = None
        self._pool = ThreadPoolExecutor(1, "segments")
        self._full = False

    def __call__(
        self, batches: Iterable[list[Loaded]], at_end: Callable[[], bool]
    ) -> Iterator[list[Loaded]]:
        """Yields the batches in order, each segmented, with the next one under way.

        Args:
            batches: Loaded images.
            at_end: Whether to hold none back, since another process could have had it.
        """
        waiting: deque[tuple[list[Loaded], Future[None]]] = deque()
        for batch in batches:
            waiting.append((batch, self._pool.submit(self._work, batch)))
            while len(waiting) > (0 if at_end() else _AHEAD):
                yield _finished(*waiting.popleft())
        while waiting:
            yield _finished(*waiting.popleft())

    def close(self) -> None:
        """Drops what has not begun and waits for what has."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _work(self, batch: Sequence[Loaded]) -> None:
        items = [i for i in batch if i.pending and i.visuals and i.error is None]
        if self._full or not items:
            return
        try:
            with torch.inference_mode(), self._own_stream():
                self._segment(items)
        except Exception as error:  # met again, and dealt with, by the thread of the model
            if is_out_of_memory(error):
                self._full = True  # there is no room for two things at once
                logger.warning("out of memory while segmenting ahead: it is done in turn from here")
                error.__traceback__ = None
                free_cached_memory(self._device)

    @contextmanager
    def _own_stream(self) -> Iterator[None]:
        """Lets kernels run beside those of the model, which launches on the default stream."""
        if not self._device.startswith("cuda"):
            yield
            return
        with torch.cuda.device(self._device):
            if self._stream is None:
                self._stream = torch.cuda.Stream()
                self._stream.wait_stream(torch.cuda.default_stream())
            with torch.cuda.stream(self._stream):
                yield
                self._stream.synchronize()


def _finished(batch: list[Loaded], future: Future[None]) -> list[Loaded]:
    future.result()
    return batch


def overlaps(wanted: str, device: str) -> bool:
    """Says what EVAL.OVERLAP means on a device: `auto` overlaps on a GPU.

    On a CPU the model uses all cores already, and a second thread only gets in its way.
    """
    return wanted == "on" or (wanted == "auto" and device.startswith("cuda"))
