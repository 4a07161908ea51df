"""Questions to the judge, each of one call, and the rows that it stored."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from collavo.datasets.evaluation.judge.calls import Call
from collavo.datasets.evaluation.judge.judge import Judge

Serve = Callable[[Callable[[dict[str, Any], int], Any]], Any]
JudgeAt = Callable[..., Judge]


def _protocol(item: str) -> Callable[..., str]:
    return lambda ask: ask(Call("test", item, f"Is {item} right?", max_tokens=3)).text


def _items(count: int) -> dict[str, Callable[..., str]]:
    return {f"x:{k}": _protocol(f"x:{k}") for k in range(count)}


def _rows(judge: Judge) -> list[dict[str, Any]]:
    return [json.loads(line) for line in judge.store.path.read_text().splitlines()]
