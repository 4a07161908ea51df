"""Reads conversations as questions: turns by who speaks, the last exchange asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from collavo.datasets.registration.readers.notes import note
from collavo.datasets.registration.readers.rows import Row
from collavo.errors import DataError

CONVERSATIONS = ("conversations", "conversation", "messages")
"""Fields of turns; the first that is there wins."""

_ROLES = {
    **dict.fromkeys(("human", "user"), "user"),
    **dict.fromkeys(("gpt", "assistant", "model", "bot", "chatgpt"), "assistant"),
    "system": "system",
}


@dataclass(frozen=True)
class Asked:
    """What a conversation asks.

    Args:
        question: The last question; earlier exchanges stand before it as text.
        answer: The answer to it, None where the conversation ends with the question.
        images: What its parts name as images.
    """

    question: str
    answer: str | None
    images: tuple[Any, ...] = ()


def conversation_of(row: Row) -> Asked | None:
    """Reads a row's conversation, LLaVA's {from, value} or {role, content}; None without one.

    Raises:
        DataError: It is no list of turns, somebody unknown speaks, or nobody asks.
    """
    field = next((n for n in CONVERSATIONS if row.values.get(n) is not None), None)
    if field is None:
        return None
    given = row.values[field]
    if not isinstance(given, list) or not given or not all(isinstance(t, Mapping) for t in given):
        raise DataError(f"{row.place}: {field!r} must be a list of turns")
    images: list[Any] = []
    turns = [_turn(row, field, turn, images) for turn in given]
    if any(role == "system" for role, _ in turns):
        note("a system turn is left out: the model's template has a system prompt", row.place)
    spoken = [turn for turn in turns if turn[0] != "system"]
    while spoken and spoken[0][0] == "assistant":
        note("what the model says before the first question is left out", row.place)
        spoken = spoken[1:]
    if not spoken:
        raise DataError(f"{row.place}: in {field!r} no turn is a user's ('human' or 'user')")
    merged: list[tuple[str, str]] = []
    for role, text in spoken:
        if merged and merged[-1][0] == role:
            merged[-1] = (role, f"{merged[-1][1]}\n{text}")
        else:
            merged.append((role, text))
    answer = merged.pop()[1] if merged[-1][0] == "assistant" else None
    question = merged.pop()[1]
    if merged:
        note(
            "of several exchanges in a conversation the last is asked, with the earlier ones as "
            "text before it",
            row.place,
        )
        names = {"user": "Question", "assistant": "Answer"}
        before = "\n".join(f"{names[role]}: {text}" for role, text in merged)
        question = f"{before}\nQuestion: {question}"
    return Asked(question, answer, tuple(images))


def _turn(row: Row, field: str, turn: Mapping[str, Any], images: list[Any]) -> tuple[str, str]:
    said = turn.get("from", turn.get("role"))
    role = _ROLES.get(said.lower()) if isinstance(said, str) else None
    if role is None:
        raise DataError(
            f"{row.place}: a turn of {field!r} is from {said!r}; it may be from {', '.join(_ROLES)}"
        )
    content = turn.get("value", turn.get("content"))
    if isinstance(content, list):
        content = "\n".join(text for part in content if (text := _part(row, field, part, images)))
    if not isinstance(content, str):
        raise DataError(f"{row.place}: a turn of {field!r} has no text in 'value' or 'content'")
    return role, content.replace("<image>", "").strip()


def _part(row: Row, field: str, part: Any, images: list[Any]) -> str:
    """The text of a part of a turn; an image is kept aside.

    Raises:
        DataError: It is of another kind.
    """
    if isinstance(part, str):
        return part
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    if kind in ("image", "image_url", "input_image"):
        inner = {k: v for k, v in part.items() if k != "type"}
        if inner:
            images.append(inner)
        return ""
    raise DataError(
        f"{row.place}: a part of a turn of {field!r} is {part!r:.80}; text and images are read"
    )
