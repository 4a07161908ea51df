"""The store: lines, cut lines, duplicates, and locks that die with their owner."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time

import pytest

from collavo.engine.store import RunLock, Store, Stored, StoreError
from collavo.errors import ConfigError


def write(store: Store, launch: int, rank: int, *records: Stored) -> None:
    appender = store.appender("parts", launch, rank)
    appender.write(r.line() for r in records)
    appender.close()


def test_records_come_back_as_they_were(tmp_path):
    store = Store(tmp_path)
    records = [
        Stored("a:1", "d1", 'yes — \n\t"quoted"', "The image includes x.", None, {"n": [1]}),
        Stored("a:2", "d1", None, "", "broken"),
    ]
    write(store, 1, 0, *records)
    assert list(store.read().values()) == records


def test_later_launches_win_and_answers_win_over_failures_of_the_same_image(tmp_path):
    store = Store(tmp_path)
    write(store, 1, 1, Stored("a", "d1", "old"), Stored("b", "d1", "kept"), Stored("c", "d1", "x"))
    write(store, 2, 0, Stored("a", "d2", "new"), Stored("b", "d1", None, error="later"))
    write(store, 2, 0, Stored("c", "d2", None, error="new image fails"))
    found = store.read()
    assert (found["a"].answer, found["b"].answer, found["c"].answer) == ("new", "kept", None)
    assert store.next_launch() == 3


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_half_a_line_is_passed_over_and_repaired(tmp_path, cut):
    store = Store(tmp_path)
    write(store, 1, 0, Stored("a", "d", "yes"), Stored("b", "d", "no"))
    file = tmp_path / "parts" / "0001-0000.jsonl"
    file.write_bytes(file.read_bytes()[:-cut])
    assert set(store.read()) == {"a"}
    store.repair()
    assert file.read_bytes().endswith(b"\n") and set(store.read()) == {"a"}


def test_an_empty_and_an_all_cut_file(tmp_path):
    store = Store(tmp_path)
    assert store.read() == {} and store.next_launch() == 1
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "0001-0000.jsonl").write_text('{"id": "a"')
    store.repair()
    assert store.read() == {} and store.next_launch() == 2


def test_clear_removes_only_what_runs_leave(tmp_path):
    store = Store(tmp_path)
    write(store, 1, 0, Stored("a", "d", "yes"))
    (tmp_path / "results.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("mine")
    store.clear()
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_writing_where_there_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write"):
        Store(tmp_path / "file").appender("parts", 1, 0).write(["x"])


def test_one_process_does_not_lock_twice(tmp_path):
    first, second = RunLock(tmp_path / "lock"), RunLock(tmp_path / "lock")
    first.acquire()
    with pytest.raises(ConfigError, match="already runs in"):
        second.acquire()
    first.release()
    second.acquire()
    second.release()


def test_the_lock_of_a_dead_owner_is_free(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from collavo.engine.store import RunLock; "
        "lock = RunLock(Path(sys.argv[1])); lock.acquire(); "
        "print('held', flush=True); time.sleep(600)"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True
    )
    try:
        assert owner.stdout.readline() == "held\n"
        with pytest.raises(ConfigError, match=f"another run is at work .*process {owner.pid} on"):
            RunLock(tmp_path / "lock").acquire()
    finally:
        os.kill(owner.pid, signal.SIGKILL)
        owner.communicate()
    lock = RunLock(tmp_path / "lock")
    for _ in range(1500):
        try:
            lock.acquire()
            break
        except ConfigError:
            time.sleep(0.02)
    lock.release()


def test_a_lock_on_a_full_disk_says_so_and_is_not_held(tmp_path, monkeypatch):
    lock = RunLock(tmp_path / "lock")
    monkeypatch.setattr("socket.gethostname", lambda: "h" * 100_000)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(StoreError, match=r"cannot write .*lock"):
            lock.acquire()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    lock.acquire()
    lock.release()
