"""Rows of conversations, as a file of instructions holds them."""

from __future__ import annotations

from typing import Any


def talk(*texts: str) -> list[dict[str, str]]:
    return [{"from": ("human", "gpt")[i % 2], "value": text} for i, text in enumerate(texts)]


def row(number: int, **fields: Any) -> dict[str, Any]:
    texts = (f"<image>\nWhat is {number}?", f"A dog {number}.")
    return {"id": f"{number}", "image": f"a/{number}.jpg", "conversations": talk(*texts)} | fields
