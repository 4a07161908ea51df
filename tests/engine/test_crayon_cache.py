"""Crayon maps on disk: never stale, never lost, safe with several processes and with crashes."""

from __future__ import annotations

import hashlib
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from collavo.engine.crayon_cache import CrayonCache
from collavo.engine.crayon_lines import FILE_NAME, HEADER, survey
from collavo.errors import ConfigError
from collavo.records import Segments
from tests.engine.crayon_maps import KEY, digest, segments


def same(a: Segments | None, b: Segments) -> bool:
    return a is not None and torch.equal(a.ids, b.ids) and a.segments == b.segments


def filled(path: Path, count: int = 5) -> CrayonCache:
    cache = CrayonCache(path, KEY)
    for number in range(count):
        cache.put(digest(number), segments(number))
    return cache


def test_what_was_put_is_there_also_later(tmp_path):
    cache = filled(tmp_path)
    later = CrayonCache(tmp_path, KEY)
    for number in range(5):
        assert same(cache.get(digest(number)), segments(number))
        assert same(later.get(digest(number)), segments(number))
    assert later.get(digest(99)) is None
    assert len(later) == 5
    found = later.get(digest(0))
    assert found is not None and found.ids.dtype == torch.int32


def test_an_empty_cache_is_true(tmp_path):
    assert CrayonCache(tmp_path, KEY)


def test_another_segmenter_finds_nothing(tmp_path):
    filled(tmp_path)
    other = CrayonCache(tmp_path, hashlib.sha256(b"other").hexdigest())
    assert other.get(digest(0)) is None
    other.put(digest(0), segments(7))
    assert same(CrayonCache(tmp_path, KEY).get(digest(0)), segments(0))
    assert same(other.get(digest(0)), segments(7))
    assert sorted(survey(tmp_path)["maps"].values()) == [1, 5]


def test_a_file_may_be_copied_to_another_name(tmp_path):
    filled(tmp_path / "cache")
    target = tmp_path / "shared.crayon"
    target.write_bytes((tmp_path / "cache" / FILE_NAME).read_bytes())
    assert len(CrayonCache(target, KEY)) == 5


def test_putting_twice_writes_once(tmp_path):
    cache = filled(tmp_path)
    size = cache.path.stat().st_size
    cache.put(digest(2), segments(2))
    assert cache.path.stat().st_size == size


@pytest.mark.parametrize("cut", [1, 30, 90, 150])
def test_a_line_that_was_cut_is_absent_and_harms_no_other(tmp_path, cut):
    cache = filled(tmp_path)
    cache.close()
    content = cache.path.read_bytes()
    cache.path.write_bytes(content[:-cut])
    again = CrayonCache(tmp_path, KEY)
    assert again.get(digest(4)) is None
    assert same(again.get(digest(3)), segments(3))
    again.put(digest(4), segments(4))
    again.put(digest(5), segments(5))
    final = CrayonCache(tmp_path, KEY)
    assert all(same(final.get(digest(n)), segments(n)) for n in range(6))
    assert survey(tmp_path)["damaged"] <= 1


@pytest.mark.parametrize("length", range(len(HEADER) + 1))
def test_a_cut_header(tmp_path, length):
    (tmp_path / FILE_NAME).write_bytes(HEADER[:length])
    filled(tmp_path, 2)
    final = CrayonCache(tmp_path, KEY)
    assert all(same(final.get(digest(n)), segments(n)) for n in range(2))


def test_a_damaged_line_is_made_again(tmp_path, caplog):
    cache = filled(tmp_path)
    cache.close()
    content = bytearray(cache.path.read_bytes())
    place = content.index(digest(1).encode()) + 64 + 9 + 20
    content[place] ^= 1
    cache.path.write_bytes(content)
    again = CrayonCache(tmp_path, KEY)
    with caplog.at_level(logging.WARNING):
        assert again.get(digest(1)) is None
    assert "damaged" in caplog.text
    again.put(digest(1), segments(1))
    assert same(CrayonCache(tmp_path, KEY).get(digest(1)), segments(1))
    assert survey(tmp_path)["damaged"] == 1


def test_some_other_file(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("these are notes\n")
    for read in (lambda: CrayonCache(path, KEY), lambda: survey(path)):
        with pytest.raises(ConfigError, match=r"notes.txt is no file of crayon maps"):
            read()
    assert path.read_text() == "these are notes\n"
    with pytest.raises(ConfigError, match="cannot be read"):
        survey(tmp_path / "absent.crayon")


def test_a_full_disk_keeps_what_is_there(tmp_path, monkeypatch, caplog):
    cache = filled(tmp_path)
    size, write = cache.path.stat().st_size, os.write

    def half(fd, data):
        write(fd, bytes(data)[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", half)
    with caplog.at_level(logging.WARNING):
        cache.put(digest(8), segments(8))
        cache.put(digest(9), segments(9))
    assert caplog.text.count("No space left") == 1
    assert cache.path.stat().st_size == size
    assert cache.get(digest(8)) is None
    assert same(cache.get(digest(1)), segments(1))


def test_a_file_that_cannot_be_written_is_read(tmp_path, monkeypatch, caplog):
    filled(tmp_path).close()
    opened = os.open

    def refuse(path, flags, *rest):
        if flags & os.O_RDWR and str(path).endswith(FILE_NAME):
            raise PermissionError(13, "Permission denied")
        return opened(path, flags, *rest)

    monkeypatch.setattr(os, "open", refuse)
    with caplog.at_level(logging.WARNING):
        cache = CrayonCache(tmp_path, KEY)
    assert same(cache.get(digest(1)), segments(1))
    cache.put(digest(7), segments(7))
    assert cache.get(digest(7)) is None
    assert caplog.text.count("Permission denied") == 1


WRITER = """
import sys
sys.path.insert(0, sys.argv[1])
from crayon_maps import KEY, digest, segments
from collavo.engine.crayon_cache import CrayonCache
cache = CrayonCache(sys.argv[2], KEY)
print("ready", flush=True)
for number in range(int(sys.argv[3]), int(sys.argv[4])):
    cache.put(digest(number), segments(number))
"""


def start(folder: Path, first: int, last: int) -> subprocess.Popen:
    """Starts a process that writes a range of maps."""
    here = Path(__file__).parent
    command = [sys.executable, "-c", WRITER, str(here), str(folder / "cache"), str(first)]
    environment = {**os.environ, "PYTHONPATH": str(here.parents[1])}
    process = subprocess.Popen([*command, str(last)], stdout=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def test_several_processes_and_a_killed_one(tmp_path):
    writers = [start(tmp_path, 0, 150), start(tmp_path, 100, 250)]
    doomed = start(tmp_path, 1000, 100_000)
    file, end = tmp_path / "cache" / FILE_NAME, time.monotonic() + 300
    while digest(1010).encode() not in file.read_bytes():  # it is in the middle of its work
        assert doomed.poll() is None and time.monotonic() < end
        time.sleep(0.02)
    doomed.send_signal(signal.SIGKILL)
    doomed.wait()
    late = start(tmp_path, 250, 260)
    assert [w.wait() for w in (*writers, late)] == [0, 0, 0]
    for process in (*writers, doomed, late):
        assert process.stdout is not None
        process.stdout.close()
    cache = CrayonCache(tmp_path / "cache", KEY)
    assert all(same(cache.get(digest(n)), segments(n)) for n in range(260))
    known = [n for n in range(1000, 100_000) if digest(n) in cache]
    assert known == list(range(1000, 1000 + len(known)))
    assert all(same(cache.get(digest(n)), segments(n)) for n in known[-3:])
    assert survey(tmp_path / "cache")["damaged"] <= 1
