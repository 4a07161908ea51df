"""The judge against a real server: erring, babbling, refusing, gone, and never told the key."""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path
from typing import Any

import pytest

from collavo.datasets.evaluation.judge.calls import (
    Call,
    FatalJudgeError,
    JudgeError,
    PlannedError,
)
from collavo.datasets.evaluation.judge.judge import Prices
from collavo.datasets.evaluation.judge.openai_backend import OpenAIBackend
from collavo.errors import EXIT_FAILED_SAMPLES, ConfigError
from tests.datasets.judge.asking import JudgeAt, Serve, _items, _protocol, _rows


def test_a_judgement_is_asked_stored_and_not_asked_again(serve: Serve, judge_at: JudgeAt) -> None:
    server = serve(lambda request, number: "0.5 ünd\n")
    judge = judge_at(server)
    assert judge.map("test", _items(1)) == {"x:0": "0.5 ünd\n"}
    (request,) = server.requests
    assert request["path"] == "/v1/chat/completions"
    assert request["messages"] == [{"role": "user", "content": "Is x:0 right?"}]
    assert (request["model"], request["temperature"], request["max_tokens"]) == ("gpt-4", 0, 3)
    (row,) = _rows(judge)
    assert row["prompt"] == "Is x:0 right?" and row["reply"] == "0.5 ünd\n"
    assert (row["model"], row["judge"], row["item"]) == ("gpt-4-0613", "gpt-4", "x:0")
    assert (row["prompt_tokens"], row["completion_tokens"]) == (11, 2)
    assert row["time"].endswith("+00:00") and row["seconds"] >= 0
    again = judge_at(server)
    assert again.map("test", _items(1)) == {"x:0": "0.5 ünd\n"}
    assert len(server.requests) == 1
    # Another answer, another question: nothing stored fits.
    other = {"x:0": lambda ask: ask(Call("test", "x:0", "Is x:0 wrong?", max_tokens=3)).text}
    again.map("test", other)
    assert len(server.requests) == 2


def test_calls_run_at_once_but_not_too_many(serve: Serve, judge_at: JudgeAt) -> None:
    gate = threading.Barrier(4, timeout=120)

    def answer(request: dict[str, Any], number: int) -> str:
        gate.wait()  # passes only where four are under way together
        return f"reply {request['messages'][0]['content']}"

    server = serve(answer)
    judge = judge_at(server, timeout=120, concurrency=4)
    found = judge.map("test", _items(16))
    assert found == {f"x:{k}": f"reply Is x:{k} right?" for k in range(16)}
    assert list(found) == list(_items(16))
    assert server.most == 4


def test_what_keeps_failing_is_a_failure_and_the_rest_is_kept(
    serve: Serve, judge_at: JudgeAt, fault: Any
) -> None:
    broken = [True]

    def answer(request: dict[str, Any], number: int) -> Any:
        bad = broken[0] and request["messages"][0]["content"] in ("Is x:2 right?", "Is x:3 right?")
        return fault(500, b'{"error": {"message": "out of order"}}') if bad else "yes"

    server = serve(answer)
    judge = judge_at(server, retries=2)
    with pytest.raises(JudgeError) as caught:
        judge.map("test", _items(6))
    said = str(caught.value)
    assert said.startswith("2 of 6 judgements of test failed, so there is no score:")
    assert "x:2: status 500: " in said and "out of order" in said and "(after 3 tries)" in said
    assert "The other 4 are kept" in said
    assert caught.value.exit_code == EXIT_FAILED_SAMPLES
    assert len(server.requests) == 4 + 2 * 3
    broken[0] = False
    assert set(judge_at(server).map("test", _items(6)).values()) == {"yes"}
    assert len(server.requests) == 4 + 2 * 3 + 2


@pytest.mark.parametrize(
    "garbage",
    [
        {"body": b"<html>a proxy's page</html>", "kind": "text/html"},
        {"body": b"not json at all"},
        {"body": b""},
        {"body": b"{}"},
        {"body": b"[1, 2]"},
        {"body": b"null"},
        {"body": b'{"choices": []}'},
        {"body": b'{"choices": null}'},
        {"body": b'{"choices": [{"message": null}], "model": "m"}'},
        {"body": b'{"choices": [{"message": {"content": null}}], "model": "m"}'},
        {"body": b'{"choices": [{"message": {"content": "  "}}], "model": "m"}'},
        {"body": b'{"choices": [{"message": {"content": 5}}], "model": "m"}'},
        {"body": b"\xff\xfe\x00"},
        {"close": True},
        {"body": b'{"choices"', "headers": {"Content-Length": "999"}, "close_after": True},
    ],
    ids=lambda g: str(g.get("body", "closed"))[:40],
)
def test_garbage_is_no_judgement(
    serve: Serve, judge_at: JudgeAt, fault: Any, garbage: dict[str, Any]
) -> None:
    options = {k: v for k, v in garbage.items() if k != "close_after"}

    def answer(request: dict[str, Any], number: int) -> Any:
        return "yes" if number == 2 else fault(200, **options)

    server = serve(answer)
    judge = judge_at(server, retries=1, timeout=10)
    with pytest.raises(JudgeError, match=r"1 of 1 judgements .*\n  x:0: .*\(after 2 tries\)"):
        judge.map("test", _items(1))
    assert not judge.store.path.exists()
    assert judge_at(server).map("test", _items(1)) == {"x:0": "yes"}


def test_no_server_at_all(serve: Serve, judge_at: JudgeAt) -> None:
    server = serve(lambda request, number: "yes")
    judge = judge_at(server, retries=1)
    server.server_close()
    server.shutdown()
    with pytest.raises(JudgeError, match="no connection"):
        judge.map("test", _items(1))


def test_a_refused_call_is_not_repeated(serve: Serve, judge_at: JudgeAt, fault: Any) -> None:
    def answer(request: dict[str, Any], number: int) -> Any:
        first = request["messages"][0]["content"] == "Is x:0 right?"
        return fault(400, b'{"error": {"message": "too long"}}') if first else "yes"

    server = serve(answer)
    with pytest.raises(JudgeError, match=r"1 of 3 .*\n  x:0: status 400: .*too long"):
        judge_at(server).map("test", _items(3))
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, b'{"error": {"message": "Incorrect API key provided: %KEY%"}}'),
        (404, b'{"error": {"message": "no model gpt-4 for %KEY%"}}'),
        (429, b'{"error": {"message": "pay", "code": "insufficient_quota", "x": "%KEY%"}}'),
    ],
)
def test_what_refuses_every_call_stops_at_once_and_tells_no_key(
    serve: Serve, judge_at: JudgeAt, fault: Any, secret: str, status: int, body: bytes
) -> None:
    echo = body.replace(b"%KEY%", secret.encode())
    server = serve(lambda request, number: fault(status, echo))
    with pytest.raises(FatalJudgeError) as caught:
        judge_at(server, concurrency=2).map("test", _items(50))
    assert secret not in str(caught.value)
    assert len(server.requests) <= 2
    assert server.keys[0] == f"Bearer {secret}"


def test_the_key_is_written_nowhere(
    serve: Serve,
    judge_at: JudgeAt,
    fault: Any,
    secret: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)

    def answer(request: dict[str, Any], number: int) -> Any:
        # A server that tells what it was told: in errors, and in a reply.
        if number < 2:
            return fault(500, json.dumps({"error": {"message": f"key {secret}"}}).encode())
        return f"your key is {secret}"

    judge = judge_at(serve(answer))
    found = judge.map("test", _items(1))
    assert found == {"x:0": "your key is ***"}
    broken = judge_at(serve(lambda r, n: fault(500, f"{secret}".encode())), retries=0)
    with pytest.raises(JudgeError) as caught:
        broken.map("test", {"other": _protocol("other")})
    written = "".join(p.read_text() for p in tmp_path.rglob("*") if p.is_file())
    out = capfd.readouterr()
    for text in (written, caplog.text, out.out, out.err, str(caught.value), repr(judge.backend)):
        assert secret not in text
    assert "your key is ***" in written


def test_the_key_comes_from_the_environment_alone(
    monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    with pytest.raises(ConfigError, match="holds a user or password") as caught:
        OpenAIBackend("m", f"https://me:{secret}@host/v1")
    assert secret not in str(caught.value)
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ConfigError, match="JUDGE_API_KEY or OPENAI_API_KEY, or JUDGE.BASE_URL"):
        OpenAIBackend("m")
    assert OpenAIBackend("m", "http://localhost:1/v1").model == "m"  # local ones ask for none


def test_a_dry_run_counts_and_asks_nobody(serve: Serve, judge_at: JudgeAt) -> None:
    server = serve(lambda request, number: "yes")
    judge_at(server).map("test", _items(2))
    dry = judge_at(server, dry_run=True, prices=Prices(30.0, 60.0))
    with pytest.raises(PlannedError) as caught:
        dry.map("test", _items(5))
    plan = caught.value.plan
    assert (plan.items, plan.calls, plan.stored) == (5, 5, 2)
    each = 8 + 4  # "Is x:4 right?" has 13 bytes
    assert (plan.prompt_tokens, plan.completion_tokens) == (3 * each, 9)
    assert plan.cost == pytest.approx((3 * each * 30 + 9 * 60) / 1e6)
    assert len(server.requests) == 2
