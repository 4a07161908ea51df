"""The judge's waits: what passes is tried again, ever later, and never beyond reason."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import Any

import pytest

from collavo.datasets.evaluation.judge.calls import JudgeError
from collavo.datasets.evaluation.judge.openai_backend import retry_after
from tests.datasets.judge.asking import JudgeAt, Serve, _items, _protocol, _rows


@pytest.mark.parametrize("status", [500, 502, 503, 408, 409, 429])
def test_errors_that_pass_are_tried_again(
    serve: Serve, judge_at: JudgeAt, fault: Any, status: int
) -> None:
    server = serve(lambda request, number: fault(status) if number < 2 else "yes")
    judge = judge_at(server)
    assert judge.map("test", _items(1)) == {"x:0": "yes"}
    assert len(server.requests) == 3
    assert len(_rows(judge)) == 1


def test_waits_grow(serve: Serve, judge_at: JudgeAt, fault: Any) -> None:
    times: list[float] = []

    def answer(request: dict[str, Any], number: int) -> Any:
        times.append(time.monotonic())
        return fault(500) if number < 3 else "yes"

    judge_at(serve(answer), backoff=0.1).map("test", _items(1))
    gaps = [b - a for a, b in zip(times, times[1:], strict=False)]
    assert gaps[0] >= 0.075 and gaps[1] >= 0.15 and gaps[2] >= 0.3


@pytest.mark.parametrize("form", ["seconds", "date", "ms"])
def test_the_service_says_how_long_to_wait(
    serve: Serve, judge_at: JudgeAt, fault: Any, form: str
) -> None:
    times: list[float] = []

    def answer(request: dict[str, Any], number: int) -> Any:
        times.append(time.monotonic())
        if number:
            return "yes"
        date = formatdate(time.time() + 1.9, usegmt=True)  # whole seconds: at least 0.9 from now
        headers = {
            "seconds": {"Retry-After": "0.6"},
            "date": {"Retry-After": date},
            "ms": {"retry-after-ms": "600", "Retry-After": "100"},
        }
        return fault(429, headers=headers[form])

    assert judge_at(serve(answer)).map("test", _items(1)) == {"x:0": "yes"}
    assert 0.55 < times[1] - times[0] < 60  # not the 100 s of the header that counts less


def test_a_limit_holds_for_the_calls_that_come_after(
    serve: Serve, judge_at: JudgeAt, fault: Any
) -> None:
    times: list[float] = []

    def answer(request: dict[str, Any], number: int) -> Any:
        times.append(time.monotonic())
        if number == 0:
            return fault(429, headers={"Retry-After": "0.5"})
        while not judge._resume_at and time.monotonic() < times[0] + 300:
            time.sleep(0.01)  # what was under way beside the first ends when the limit is known
        return "yes"

    judge = judge_at(serve(answer), concurrency=2, timeout=300)
    judge.map("test", _items(8))
    assert len(times) == 9
    assert all(t - times[0] >= 0.45 for t in times[2:])


def test_no_wait_beyond_reason(serve: Serve, judge_at: JudgeAt, fault: Any) -> None:
    server = serve(lambda request, number: fault(429, headers={"Retry-After": "3600"}))
    begun = time.monotonic()
    with pytest.raises(JudgeError, match=r"asks to wait 3600 s, .* JUDGE.MAX_WAIT \(2 s\)"):
        judge_at(server).map("test", _items(1))
    assert time.monotonic() - begun < 600 and len(server.requests) == 1


def test_slow_replies_time_out(serve: Serve, judge_at: JudgeAt, fault: Any) -> None:
    server = serve(lambda request, number: fault(200, delay=60) if number < 1 else "yes")
    assert judge_at(server, timeout=3).map("test", _items(1)) == {"x:0": "yes"}
    server = serve(lambda request, number: fault(200, delay=60))
    with pytest.raises(JudgeError, match=r"no reply (?:in time|within): .* \(after 2 tries\)"):
        judge_at(server, timeout=0.2, retries=1).map("test", {"y": _protocol("y")})


def test_an_interrupt_ends_the_judging_soon(serve: Serve, judge_at: JudgeAt, fault: Any) -> None:
    def protocol(ask: Any) -> str:
        raise KeyboardInterrupt

    server = serve(lambda request, number: fault(500))
    judge = judge_at(server, retries=500, backoff=20.0, concurrency=3)  # an hour and more
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        judge.map("test", {**_items(2), "stop": protocol})
    assert time.monotonic() - begun < 300


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "-7"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "Wed, 99 Oct 2015"}, None),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
    ],
)
def test_how_long_to_wait_is_read(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds
