"""Reads conversations as questions: turns by who speaks, the last exchange asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from collavo.datasets.registration.generic_choices import holds
from collavo.datasets.registration.readers.literals import literal
from collavo.datasets.registration.readers.notes import note
from collavo.datasets.registration.readers.rows import Row
from collavo.errors import DataError

CONVERSATIONS = ("conversations", "conversation", "messages")
"""Fields of turns; the first that is there wins."""

ROLES: Mapping[str, str] = {
    **dict.fromkeys(("human", "user"), "user"),
    **dict.fromkeys(("gpt", "assistant", "model", "bot", "chatgpt", "bard", "bing"), "assistant"),
    "system": "system",
}
"""How files name who speaks. Source: haotian-liu/LLaVA and ShareGPT's files."""

_PARTS = ("text", "image", "image_url")
_TURN = ("from", "role", "value", "content", "image", "images", "id", "name")


@dataclass(frozen=True)
class Asked:
    """What a conversation asks.

    Args:
        question: The last question; earlier exchanges stand before it as text.
        answer: The answer to it, None where the conversation ends with the question.
        images: What its user's turns name as images.
        tags: How many images its user's turns mark, whether or not they name them.
    """

    question: str
    answer: str | None
    images: tuple[Any, ...] = ()
    tags: int = 0


@dataclass
class _Media:
    """What is gathered of a conversation's images."""

    images: list[Any] = field(default_factory=list)
    tags: int = 0


def conversation_field(row: Row) -> str | None:
    """The field that holds a row's conversation, None without one."""
    return next((n for n in CONVERSATIONS if holds(row.values.get(n))), None)


def conversation_of(row: Row) -> Asked | None:
    """Reads a row's conversation, LLaVA's {from, value} or {role, content}; None without one.

    Raises:
        DataError: It is no list of turns, somebody unknown speaks, or nobody asks.
    """
    name = conversation_field(row)
    if name is None:
        return None
    given = row.values[name]
    if isinstance(given, str):
        given = literal(given)
    if not isinstance(given, list) or not given or not all(isinstance(t, Mapping) for t in given):
        raise DataError(f"{row.place}: {name!r} must be a list of turns")
    media = _Media()
    turns = [_turn(row, name, turn, media) for turn in given]
    if any(role == "system" for role, _ in turns):
        note("a system turn is left out: the model's template has a system prompt", row.place)
    spoken = [turn for turn in turns if turn[0] != "system"]
    while spoken and spoken[0][0] == "assistant":
        note("what the model says before the first question is left out", row.place)
        spoken = spoken[1:]
    if not spoken:
        raise DataError(f"{row.place}: in {name!r} no turn is a user's ('human' or 'user')")
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
    return Asked(question, answer, tuple(media.images), media.tags)


def _turn(row: Row, name: str, turn: Mapping[str, Any], media: _Media) -> tuple[str, str]:
    said = turn.get("from", turn.get("role"))
    role = ROLES.get(said.lower()) if isinstance(said, str) else None
    if role is None:
        raise DataError(
            f"{row.place}: a turn of {name!r} is from {said!r}; it may be from {', '.join(ROLES)}"
        )
    content = turn.get("value", turn.get("content"))
    if isinstance(content, Mapping):
        content = [content]
    own = _Media()
    if isinstance(content, list):
        content = "\n".join(text for part in content if (text := _part(row, name, part, own)))
    if not isinstance(content, str):
        raise DataError(f"{row.place}: a turn of {name!r} has no text in 'value' or 'content'")
    own.images += [turn[key] for key in ("image", "images") if holds(turn.get(key))]
    own.tags += content.count("<image>")
    unused = [repr(key) for key in turn if key not in _TURN and holds(turn[key])]
    if unused:
        note(f"fields of turns that are not used: {', '.join(unused)}", row.place)
    if role == "user":
        media.images += own.images
        media.tags += own.tags
    elif own.images:
        note(f"an image in a turn of {said!r} is not shown", row.place)
    return role, content.replace("<image>", "").strip()


def _part(row: Row, name: str, part: Any, media: _Media) -> str:
    """The text of a part of a turn; an image is kept aside.

    Raises:
        DataError: It is of another kind.
    """
    if isinstance(part, str):
        return part
    if isinstance(part, Mapping):
        kind = part.get("type") or next((key for key in part if key in _PARTS), None)
        if kind in ("text", "input_text") and isinstance(part.get("text"), str):
            return str(part["text"])
        if kind in ("image", "image_url", "input_image"):
            inner = {k: v for k, v in part.items() if k != "type" and holds(v)}
            media.images += [inner] if inner else []
            media.tags += 1
            return ""
    raise DataError(
        f"{row.place}: a part of a turn of {name!r} is {part!r:.80}; text and images are read"
    )
