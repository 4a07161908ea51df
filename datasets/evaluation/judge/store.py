"""Keeps every judgement on disk: one JSON line each, appended as it comes."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from collavo.datasets.evaluation.judge.calls import Call, Reply
from collavo.errors import DataError, UserError

logger = logging.getLogger(__name__)

_START = b'{"'


class JudgementStore:
    """An append-only file of judgements, looked up by the key of their call.

    A line holds key, protocol, item, run, attempt, system, prompt, temperature, max_tokens, judge,
    model, reply, token counts, seconds and time (UTC). Lines `{"rejected": [keys]}` take replies
    back that no protocol could use, so that the item is asked again. Lines that were cut off are
    passed over.

    Args:
        path: The file; made at the first judgement.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._replies: dict[str, Reply] = {}
        self._cut = False
        if path.is_file():
            self._load()

    def __len__(self) -> int:
        return len(self._replies)

    def get(self, key: str) -> Reply | None:
        """Returns the stored reply to a call."""
        with self._lock:
            return self._replies.get(key)

    def add(self, key: str, call: Call, judge: str, reply: Reply, seconds: float) -> None:
        """Stores a judgement.

        Raises:
            UserError: The file cannot be written.
        """
        row = {
            "key": key,
            **asdict(call),
            "judge": judge,
            "model": reply.model,
            "reply": reply.text,
            "prompt_tokens": reply.prompt_tokens,
            "completion_tokens": reply.completion_tokens,
            "seconds": round(seconds, 3),
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        with self._lock:
            self._append(row)
            self._replies[key] = reply

    def reject(self, keys: Iterable[str]) -> None:
        """Takes replies back that were of no use; their lines stay.

        Raises:
            UserError: The file cannot be written.
        """
        with self._lock:
            gone = [key for key in keys if self._replies.pop(key, None) is not None]
            if gone:
                self._append({"rejected": gone})

    def _append(self, row: Mapping[str, Any]) -> None:
        # One write of whole lines: several processes may append to the file.
        line = ("\n" if self._cut else "") + json.dumps(row, ensure_ascii=True) + "\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            number = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(number, line.encode("ascii"))
                os.fsync(number)
            finally:
                os.close(number)
        except OSError as error:
            raise UserError(
                f"cannot write judgements to {self.path}: {error}; set JUDGE.STORE"
            ) from error
        self._cut = False

    def _load(self) -> None:
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise DataError(f"cannot read {self.path}: {error}") from error
        lines = data.split(b"\n")
        self._cut = bool(lines[-1])
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            row = _row(line)
            if row is None:
                if line.startswith(_START):  # cut off, when the disk was full or a run was killed
                    logger.warning("%s, line %d was cut off: passed over", self.path, number)
                    continue
                raise DataError(
                    f"{self.path}, line {number}: no judgement; remove the line, or set "
                    "JUDGE.STORE to another file"
                )
            for key in row.get("rejected", ()):
                self._replies.pop(key, None)
            if "key" in row:
                self._replies[row["key"]] = Reply(
                    str(row["reply"]),
                    str(row.get("model", "")),
                    int(row.get("prompt_tokens") or 0),
                    int(row.get("completion_tokens") or 0),
                )


def _row(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict):
        return None
    if "rejected" in row:
        keys = row["rejected"]
        return row if isinstance(keys, list) and all(isinstance(k, str) for k in keys) else None
    counts = (row.get("prompt_tokens"), row.get("completion_tokens"))
    numbers = all(n is None or (isinstance(n, int) and not isinstance(n, bool)) for n in counts)
    texts = isinstance(row.get("key"), str) and isinstance(row.get("reply"), str)
    return row if texts and numbers else None
