"""The shared queue: every position once, fair ends, and waiting that ends."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from collavo.engine.board import LocalBoard, LostProcessError, Queue, StoreBoard


class FakeStore:
    """A key-value store shared by threads, as TCPStore is by processes."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.counters: dict[str, int] = {}
        self.lock = threading.Lock()
        self.broken = False

    def set_timeout(self, timeout) -> None:
        self.timeout = timeout

    def add(self, name, amount):
        if self.broken:
            raise RuntimeError("Broken pipe")
        with self.lock:
            self.counters[name] = self.counters.get(name, 0) + amount
            return self.counters[name]

    def set(self, name, value):
        self.values[name] = value.encode()

    def check(self, names):
        return all(n in self.values for n in names)

    def get(self, name):
        return self.values[name]


def test_every_position_is_taken_once():
    store, taken = FakeStore(), [[] for _ in range(4)]

    def work(rank: int) -> None:
        queue = Queue(StoreBoard(store, rank, 4), "q", 203)
        while claimed := queue.claim(queue.share(9)):
            taken[rank] += claimed

    threads = [threading.Thread(target=work, args=(r,)) for r in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(k for part in taken for k in part) == list(range(203))


def test_a_lone_process_takes_what_it_wants():
    queue = Queue(LocalBoard(), "q", 10)
    assert (queue.share(4), list(queue.claim(4)), list(queue.claim(9))) == (
        4, [0, 1, 2, 3], [4, 5, 6, 7, 8, 9],
    )  # fmt: skip
    assert not queue.claim(1) and not queue.nearly_empty


def test_shares_shrink_towards_the_end():
    queue = Queue(StoreBoard(FakeStore(), 0, 2), "q", 40)
    assert queue.share(8) == 8
    queue.claim(30)
    assert queue.share(8) == 2 and not queue.nearly_empty
    queue.claim(6)
    assert queue.share(8) == 1 and queue.nearly_empty


def test_waiting_for_a_process_without_a_sign_of_life_ends():
    board = StoreBoard(FakeStore(), 0, 2)
    with pytest.raises(LostProcessError, match="no sign of life"):
        board.wait("end", timeout=0.2, sign_of_life="life")


def test_waiting_goes_on_while_there_is_life(monkeypatch):
    store = FakeStore()
    board = StoreBoard(store, 0, 2)

    clock = iter(range(1000))  # each look at the clock is a second later, however long it took

    def sleep(_: float) -> None:
        store.add("collavo/life", 1)
        if store.add("collavo/turns", 1) == 6:
            board.put("end", {"n": 1})

    fake = SimpleNamespace(monotonic=lambda: float(next(clock)), sleep=sleep)
    monkeypatch.setattr("collavo.engine.board.time", fake)
    assert board.wait("end", timeout=5, sign_of_life="life") == {"n": 1}
    assert next(clock) > 10  # longer than the timeout, in all


def test_a_store_that_is_gone():
    store = FakeStore()
    store.broken = True
    with pytest.raises(LostProcessError, match="Broken pipe"):
        StoreBoard(store, 0, 2).add("x", 1)
