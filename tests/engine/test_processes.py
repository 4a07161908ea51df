"""Runs of several processes, and processes that die: nothing is lost, nothing is left hanging."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.warm.start import Process

LIMIT = 300.0  # seconds that a start may take on a busy machine: only a fault waits so long


SUSPECT = "thing 3 in image 2"


def finish(process: subprocess.Popen | Process, seconds: float = LIMIT) -> str:
    """Waits for the end and returns the output."""
    try:
        return process.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        pytest.fail(f"still running after {seconds} s: {process.communicate()[0]}")


def wait_for(condition, seconds: float = LIMIT):
    """Waits until a condition holds and returns its value."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.02)
    pytest.fail("waited in vain")


def stored(bench) -> list[str]:
    """Ids of the complete lines on disk."""
    found = []
    for part in bench.save.glob("*/*/parts/*.jsonl"):
        lines = part.read_bytes().split(b"\n")[:-1]
        found += [json.loads(line)["id"] for line in lines]
    return found


def workers(launcher: subprocess.Popen) -> list[int]:
    """The processes that the launcher started."""
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children")
    return [int(pid) for pid in children.read_text().split()] if children.exists() else []


def child(parent: Process) -> int:
    """Waits for the process in which a run tries what earlier ones died of."""

    def find() -> list[int]:
        found = []
        for pid in workers(parent):
            words = Path(f"/proc/{pid}/cmdline")
            if words.exists() and b"collavo.engine.alone" in words.read_bytes():
                found.append(pid)
        return found

    return wait_for(find)[0]


def started_with_child(bench, **env: str):
    """Starts a run and waits until its child is asked what an earlier run died of."""
    bench.asked()
    process = bench.start(*bench.words(), **env)
    wait_for(lambda: bench.log.exists() and SUSPECT in bench.log.read_text())
    return process


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_two_processes_give_the_bytes_of_one(bench):
    whole = bench.run()
    bench.asked()
    output = finish(bench.launch(*bench.words("--fresh"), FAKE_SLEEP="0.05"))
    folder = bench.folder()
    assert (folder / "exit_code").read_text() == "0\n", output
    assert (folder / "predictions.jsonl").read_bytes() == whole.bytes
    results = json.loads((folder / "results.json").read_text())
    assert results["scores"] == whole.results["scores"]
    parts = sorted((folder / "parts").glob("*.jsonl"))
    assert len(parts) == 2 and all(p.read_bytes() for p in parts)  # both did their share
    assert max(Counter(bench.asked()).values()) == 1
    assert output.count("30 of 30 answered") == 1
    assert len(results["memory"]) == 2


@pytest.mark.parametrize("victim", ["worker", "launcher"])
def test_a_process_that_dies_ends_all_and_the_rest_is_resumed(bench, victim):
    whole = bench.run()
    words = bench.words("--fresh", EVAL__BATCH_SIZE=2)
    launcher = bench.launch(*words, FAKE_HANG="thing 4 in image 5")  # so it is never done
    bench.asked()
    wait_for(lambda: 4 <= len(stored(bench)) < 30)  # 30 are of the run before
    children = wait_for(lambda: len(workers(launcher)) == 2 and workers(launcher))
    os.kill(children[1] if victim == "worker" else launcher.pid, signal.SIGKILL)
    finish(launcher)
    assert launcher.returncode != 0
    wait_for(lambda: not any(is_running(pid) for pid in children))
    on_disk = set(stored(bench))
    assert (bench.folder() / "exit_code").read_text() == "1\n"
    assert 0 < len(on_disk) < 30
    bench.asked()
    resumed = bench.run()
    assert (resumed.code, resumed.bytes) == (0, whole.bytes)
    assert len(bench.asked()) == 30 - len(on_disk)


def test_sigterm_ends_in_order(bench):
    whole = bench.run()
    words = bench.words("--fresh", EVAL__BATCH_SIZE=2)
    process = bench.start(*words, FAKE_HANG="thing 4 in image 5")
    wait_for(lambda: 4 <= len(stored(bench)) < 30)  # 30 are of the run before
    process.terminate()
    output = finish(process)
    assert process.returncode == 130 and "run it again" in output
    marks = next((bench.folder() / "started").glob("*.jsonl")).read_text().splitlines()
    assert json.loads(marks[-1]) == {"released": True}
    assert bench.run().bytes == whole.bytes


def test_a_worker_that_hangs_ends_the_run(bench):
    whole = bench.run()
    words = bench.words("--fresh", EVAL__TIMEOUT=10)
    process = bench.start(*words, FAKE_HANG="thing 2 in image 0")
    output = finish(process)
    assert process.returncode == 1 and "Timeout" in output
    assert bench.run(EVAL__TIMEOUT=10).bytes == whole.bytes


def test_two_runs_in_one_folder_are_refused(bench):
    words = bench.words(EVAL__BATCH_SIZE=1)
    # it hangs at its last question, however long the second one takes to start
    process = bench.start(*words, FAKE_HANG="thing 4 in image 5")
    try:
        wait_for(lambda: stored(bench))
        second = bench.start(*words)
        output = finish(second)
        assert second.returncode == 2
        assert f"another run is at work in {bench.folder()} (process {process.pid} on" in output
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert bench.run().code == 0  # the dead owner's lock is free


def test_a_sample_that_kills_its_process_is_retried_alone_and_recorded(bench):
    codes = []
    for _ in range(3):
        process = bench.start(*bench.words(), FAKE_KILL=SUSPECT)
        output = finish(process)
        codes.append(process.returncode)
    assert codes == [-9, 3, 3], output
    asked = Counter(bench.asked())
    assert asked.pop("Is there a thing 3 in image 2?") == 3  # with others, then twice alone
    results = json.loads((bench.folder() / "results.json").read_text())
    assert [f["sample_id"] for f in results["failed"]] == ["fake_set:2-3"]
    assert "ended its process" in results["failed"][0]["error"]
    assert results["counts"] == {"expected": 30, "answered": 29, "failed": 1}
    assert bench.run("--allow-failures", "1").code == 0


def test_a_child_that_is_killed_from_outside_once_blames_nothing(bench):
    whole = bench.run()
    process = bench.start(*bench.words("--fresh"), FAKE_KILL=SUSPECT)
    finish(process)
    release = bench.save / "release"
    process = started_with_child(bench, FAKE_HANG=SUSPECT, FAKE_RELEASE=str(release))
    os.kill(child(process), signal.SIGKILL)
    release.touch()
    assert "process of their own" in finish(process)
    assert process.returncode == 0
    assert (bench.folder() / "predictions.jsonl").read_bytes() == whole.bytes
    assert len(stored(bench)) == len(set(stored(bench)))


def test_a_parent_that_ends_takes_its_child_along(bench):
    whole = bench.run()
    finish(bench.start(*bench.words("--fresh"), FAKE_KILL=SUSPECT))
    for number in (signal.SIGKILL, signal.SIGTERM):  # however often, it blames nothing
        process = started_with_child(bench, FAKE_HANG=SUSPECT)
        its_child = child(process)
        process.send_signal(number)
        finish(process)
        wait_for(lambda pid=its_child: not is_running(pid))
    assert bench.run().bytes == whole.bytes


def test_a_question_that_hangs_each_time_is_recorded(bench):
    words = bench.words(EVAL__TIMEOUT=10)
    codes = []
    for _ in range(2):
        process = bench.start(*words, FAKE_HANG="thing 2 in image 0")
        output = finish(process)
        codes.append(process.returncode)
    assert codes == [1, 3], output
    results = json.loads((bench.folder() / "results.json").read_text())
    assert [f["sample_id"] for f in results["failed"]] == ["fake_set:0-2"]
