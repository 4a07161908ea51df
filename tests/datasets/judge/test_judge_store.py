"""The file of judgements: whole lines, in any order, by any number of writers."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from collavo.datasets.evaluation.judge.calls import Call, Reply
from collavo.datasets.evaluation.judge.store import JudgementStore
from collavo.errors import DataError, UserError


def _call(number: int) -> Call:
    return Call("test", f"x:{number}", "prompt\n\u2028\0 🐶 \udc80", max_tokens=3)


def test_keys_tell_calls_apart() -> None:
    base = Call("p", "i", "q")
    others = [
        Call("p2", "i", "q"),
        Call("p", "i2", "q"),
        Call("p", "i", "q2"),
        Call("p", "i", "q", system="s"),
        Call("p", "i", "q", temperature=0.5),
        Call("p", "i", "q", max_tokens=3),
        Call("p", "i", "q", run=1),
        Call("p", "i", "q", attempt=1),
    ]
    keys = {call.key("gpt-4") for call in (base, *others)} | {base.key("gpt-5")}
    assert len(keys) == 10
    assert Call("p", "i", "q").key("gpt-4") == base.key("gpt-4")


def test_many_writers_one_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "judgements.jsonl"
    stores = [JudgementStore(path), JudgementStore(path)]

    def write(part: int) -> None:
        for k in range(part, 60, 4):
            stores[part % 2].add(_call(k).key("m"), _call(k), "m", Reply(f"r{k}", "m-1"), 0.1)

    threads = [threading.Thread(target=write, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(path.read_bytes().splitlines()) == 60
    found = JudgementStore(path)
    assert [found.get(_call(k).key("m")) for k in range(60)] == [
        Reply(f"r{k}", "m-1") for k in range(60)
    ]
    assert found.get("unknown") is None


def test_a_cut_line_is_passed_over_and_ended(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    store = JudgementStore(path)
    for k in range(2):
        store.add(_call(k).key("m"), _call(k), "m", Reply(f"r{k}", "m"), 0.0)
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    again = JudgementStore(path)
    assert len(again) == 1
    again.add(_call(1).key("m"), _call(1), "m", Reply("new", "m"), 0.0)
    assert path.read_bytes().startswith(whole[:-9] + b"\n{")
    third = JudgementStore(path)
    assert [third.get(_call(k).key("m")) for k in range(2)] == [Reply("r0", "m"), Reply("new", "m")]


def test_rejected_replies_are_forgotten_but_stay_written(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    store = JudgementStore(path)
    key = _call(0).key("m")
    store.add(key, _call(0), "m", Reply("nonsense", "m"), 0.0)
    store.reject([key, "another"])
    assert store.get(key) is None and JudgementStore(path).get(key) is None
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert rows[0]["reply"] == "nonsense" and rows[1] == {"rejected": [key]}
    store.add(key, _call(0), "m", Reply("sense", "m"), 0.0)
    assert JudgementStore(path).get(key) == Reply("sense", "m")


@pytest.mark.parametrize("line", ["[]", "5", "{}", "nonsense", "\x00"])
def test_other_lines_are_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "j.jsonl"
    path.write_text(f"{line}\n" + json.dumps({"key": "k", "reply": "r"}) + "\n")
    with pytest.raises(DataError, match="line 1: no judgement"):
        JudgementStore(path)


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = JudgementStore(tmp_path / "file" / "j.jsonl")
    with pytest.raises(UserError, match=r"cannot write judgements to .*set JUDGE.STORE"):
        store.add("k", _call(0), "m", Reply("r", "m"), 0.0)
