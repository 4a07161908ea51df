"""Segmenting ahead in a thread: the same answers, faults where they belong, one batch at most."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import torch

from collavo.engine.overlap import overlaps
from collavo.registry import ARCHITECTURES, SEGMENTERS

BATCHES = {"EVAL__TOKEN_BUDGET": 5}  # one image a batch


@pytest.fixture
def watched(bench, monkeypatch):
    """Calls functions before each segmentation and before each answer."""
    bench.run()  # loads the plug-in
    bench.asked()
    before: dict[str, Callable[[torch.Tensor], None]] = {}
    for registry, name, method in (
        (SEGMENTERS, "fake_segments", "segment"),
        (ARCHITECTURES, "fake", "encode"),
    ):
        kind = registry.get(name)
        real = getattr(kind, method)

        def wrapped(self, images, *rest, real=real, method=method, **named):
            before.get(method, lambda images: None)(images)
            return real(self, images, *rest, **named)

        monkeypatch.setattr(kind, method, wrapped)
    return before


def is_image(images: torch.Tensor, number: int) -> bool:
    """Whether the bench's image of this number is among them."""
    return any(int(image[0].float().mean()) == number * 37 % 256 for image in images)


def test_same_bytes_with_and_without(bench, watched):
    threads = []
    watched["segment"] = lambda images: threads.append(threading.current_thread().name)
    off = bench.run("--fresh", EVAL__OVERLAP="off", **BATCHES)
    assert threads == ["MainThread"] * 6
    threads.clear()
    on = bench.run("--fresh", EVAL__OVERLAP="on", **BATCHES)
    assert len(threads) == 6 and all(name.startswith("segments") for name in threads)
    assert (on.code, on.bytes, on.folder) == (0, off.bytes, off.folder)
    assert on.results["timings"]["seconds_by_part"]["segmentation"] > 0


def test_nothing_is_shared_where_nothing_may_be(bench, watched):
    seen = []
    watched["segment"] = lambda images: seen.append(len(images))
    run = bench.run("--fresh", EVAL__OVERLAP="on", EVAL__REUSE="none")
    assert run.code == 0 and sum(seen) == 30


def test_the_next_batch_is_segmented_while_one_is_answered_and_no_more(bench, watched):
    segmented = threading.Semaphore(0)
    counts = {"segment": 0, "encode": 0}
    ahead = []

    def segment(images):
        counts["segment"] += 1
        segmented.release()

    def encode(images):
        counts["encode"] += 1
        wanted = min(6, counts["encode"] + 1)
        while counts["segment"] < wanted:
            assert segmented.acquire(timeout=120), "the next batch is not segmented meanwhile"
        ahead.append(counts["segment"] - counts["encode"])

    watched.update(segment=segment, encode=encode)
    assert bench.run("--fresh", EVAL__OVERLAP="on", **BATCHES).code == 0
    assert counts == {"segment": 6, "encode": 6}
    assert ahead == [1, 1, 1, 1, 1, 0]


def test_a_fault_ahead_fails_its_samples_only(bench, watched):
    def fail(images):
        if is_image(images, 2):
            raise RuntimeError("no segments for this one")

    watched["segment"] = fail
    run = bench.run("--fresh", EVAL__OVERLAP="on", EVAL__TOKEN_BUDGET=300)
    assert run.code == 3
    assert {f["sample_id"] for f in run.results["failed"]} == {f"fake_set:2-{q}" for q in range(5)}
    assert "no segments for this one" in run.results["failed"][0]["error"]


def test_out_of_memory_ahead_ends_the_overlap(bench, watched, caplog):
    whole = bench.run("--fresh", EVAL__OVERLAP="off")
    threads = []

    def full(images):
        threads.append(threading.current_thread() is threading.main_thread())
        if not threads[-1]:
            raise torch.OutOfMemoryError("no room for two")

    watched["segment"] = full
    run = bench.run("--fresh", EVAL__OVERLAP="on", **BATCHES)
    assert (run.code, run.bytes) == (0, whole.bytes)
    assert threads.count(False) == 1 and threads.count(True) == 6
    assert caplog.text.count("out of memory while segmenting ahead") == 1


def test_an_interrupt_waits_for_the_thread(bench, watched):
    whole = bench.run("--fresh", EVAL__OVERLAP="off")
    calls = []

    def interrupt(images):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt

    watched["encode"] = interrupt
    run = bench.run("--fresh", EVAL__OVERLAP="on", **BATCHES)
    assert run.code == 130
    assert not [t for t in threading.enumerate() if t.name.startswith("segments")]
    bench.asked()
    watched.clear()
    assert bench.run(EVAL__OVERLAP="on", **BATCHES).bytes == whole.bytes
    assert len(bench.asked()) == 20


def test_auto_means_on_a_gpu():
    assert [overlaps("auto", device) for device in ("cpu", "cuda", "cuda:1")] == [False, True, True]
    assert overlaps("on", "cpu") and not overlaps("off", "cuda")
