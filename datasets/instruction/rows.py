"""Rows of LLaVA's format: `conversations`, and `image` where there is one; what may be wrong."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collavo.datasets.registration.generic_choices import holds
from collavo.datasets.registration.generic_media import (
    is_named_as_image,
    is_named_as_other,
    looks_like_an_image,
    looks_like_other,
    other_tag,
)
from collavo.datasets.registration.generic_turns import CONVERSATIONS
from collavo.datasets.registration.roots import LONGEST_PATH, image_below
from collavo.errors import DataError
from collavo.records import Turn

IMAGE_TAG = "<image>"

ROLES: Mapping[str, str] = {
    **dict.fromkeys(("human", "user"), "user"),
    **dict.fromkeys(("gpt", "assistant", "chatgpt", "bard", "bing"), "assistant"),
}
"""How files name who speaks. Source: haotian-liu/LLaVA and ShareGPT's files."""

IMAGES_MEND = "name the folder that holds them as the source's images="

_UNUSUAL = re.compile(rf"^[/\s]|\.\.|[:\0]|^.{{{LONGEST_PATH + 1}}}").search
"""Finds what makes a path need a closer look: most lie plainly below the folder of images."""

_TAGS = re.compile(rf"\s*{IMAGE_TAG}\s*")
_NAMED_IMAGE = re.compile("<img>[^<>]+</img>", re.IGNORECASE)
"""How Qwen-VL's training files name an image within the text, where nothing here would read it."""

_SYSTEM = (
    "is a system turn, and the template (TRAIN.TEMPLATE) brings its own; put its text into the "
    "user's first turn, or remove it"
)
_READ = frozenset(("id", "image", "images", "conversations"))
_TURN = ({"from", "value"}, {"role", "content"})


@dataclass(frozen=True)
class RowContent:
    """What a row holds.

    Args:
        turns: Without image tags; empty where there is a problem.
        images: The images' paths as they stand there.
        problem: What is wrong and what to do; "" where nothing is.
    """

    turns: tuple[Turn, ...] = ()
    images: tuple[str, ...] = ()
    problem: str = ""


def measure(values: Mapping[str, Any]) -> tuple[int, int, int] | None:
    """Returns how many images, turns and characters a row has, if it is plainly a good one.

    A tenth of the time of `read_row`, for files of many rows. What it does not take at once may be
    good nevertheless: `read_row` decides then.
    """
    try:
        images, length, tags, expected = 0, 0, 0, "user"
        image = values.get("image")
        if "images" in values:
            return None
        if image is not None:
            if not isinstance(image, str) or not image or _UNUSUAL(image):
                return None
            images = 1
        if not values.keys() <= _READ and unread(values, _READ, images):
            return None
        for turn in values["conversations"]:
            text = turn["value"]
            if len(turn) != 2:  # it may hold images or a video of its own
                return None
            if ROLES[turn["from"]] != expected or not text or text.isspace():
                return None
            if "<" in text:
                if misplaced(expected, text):
                    return None
                tags += text.count(IMAGE_TAG)
            length += len(text)
            expected = "user" if expected == "assistant" else "assistant"
    except (KeyError, TypeError, AttributeError):
        return None
    good = length and expected == "user" and tags == images
    return (images, len(values["conversations"]), length) if good else None


def read_row(values: Mapping[str, Any], root: Path) -> RowContent:
    """Reads a row `{id, image?: path, conversations: [{from: human|gpt, value: text}, ...]}`.

    Several images stand in `image` or `images` as a list. Turns with `role` and `content` are
    read, too. A user's turn without text but with an image is fine.

    Args:
        values: The row.
        root: The folder of images, which no path may leave; what lies below may be absolute.

    Returns:
        Its turns and images, or the first problem that it has.
    """
    field = next((name for name in CONVERSATIONS if values.get(name) is not None), None)
    given = values[field] if field else None
    images, problem = _images(values, root)
    problem = problem or unread(values, {*_READ, field}, len(images))
    if not problem and field is None:
        listed = ", ".join(map(repr, values)) or "no fields"
        problem = f"'conversations' must be a list of turns; it has {listed}"
    elif not problem and not isinstance(given, list):
        problem = f"{field!r} must be a list of turns, got {_short(given)}"
    elif not problem and not given:
        problem = f"{field!r} is empty; remove the row"
    if problem or not isinstance(given, list):
        return RowContent(problem=problem)
    turns, tags = [], 0
    for number, turn in enumerate(given, start=1):
        role, text, problem = _turn(turn)
        problem = problem or _problem(number, role, text)
        if problem:
            return RowContent(problem=f"turn {number} {problem}")
        count = text.count(IMAGE_TAG)
        tags += count
        turns.append(Turn(role, without_tags(text) if count else text))
    problem = _whole(len(turns), tags, len(images))
    return RowContent(problem=problem) if problem else RowContent(tuple(turns), images)


def without_tags(text: str) -> str:
    """Takes the image tags out of a text, with the white space around them.

    A tag between two words leaves what parted them: a line end, else a space.
    """
    return _TAGS.sub(lambda found: "\n" if "\n" in found[0] else " ", text).strip()


def unread(values: Mapping[str, Any], read: Collection[str | None], images: int) -> str:
    """Says that a row has a video, an audio or an image that it would be trained without.

    Args:
        values: The row.
        read: Fields that are read.
        images: How many images those hold; with some, others under unknown names say nothing new.
    """
    for name, value in values.items():
        if name in read:
            continue
        if is_other_medium(name, value):
            return (
                f"it has {name!r}, another medium than images, and would be trained without it; "
                "remove the row"
            )
        if name in CONVERSATIONS and holds(value):
            return f"it has a second conversation in {name!r}; keep one"
        if not images and is_like_image(name, value):
            return (
                f"it has {name!r}, which looks like an image, and would be trained without it; "
                "rename the field to 'image', or remove it"
            )
    return ""


def is_other_medium(name: str, value: Any) -> bool:
    """Whether a field holds a video or an audio; a number says something about one at most."""
    if not holds(value) or isinstance(value, bool | int | float):
        return False
    return is_named_as_other(name) or looks_like_other(value)


def is_like_image(name: str, value: Any) -> bool:
    """Whether a field holds an image, by its name or by what it holds; 0 and false are none."""
    if not holds(value) or value is False or value is True or value == 0:
        return False
    return is_named_as_image(name) or looks_like_an_image(value)


def _images(values: Mapping[str, Any], root: Path) -> tuple[tuple[str, ...], str]:
    """Returns the paths of a row's images, and what is wrong with them."""
    one, several = values.get("image"), values.get("images")
    key, given = ("images", several) if one is None else ("image", one)
    if given is None:
        return (), ""
    if one is not None and holds(several) and several not in (one, [one]):
        return (), f"it has both 'image' {_short(one)} and 'images' {_short(several)}; keep one"
    paths = given if isinstance(given, list) else [given]
    for path in paths:
        if isinstance(path, str) and not path.strip():
            return (), (
                f"{key!r} is an empty path; name the image, or remove the field where there is none"
            )
        if not isinstance(path, str):
            return (), f"{key!r} must be a path or a list of paths, got {_short(given)}"
        if _UNUSUAL(path):
            try:
                image_below(root, path, root, repr(key), IMAGES_MEND)
            except DataError as error:
                return (), str(error)
    return tuple(paths), ""


def _turn(turn: Any) -> tuple[str, str, str]:
    """Returns a turn's role and text, and what is wrong with it."""
    if not isinstance(turn, dict):
        return "", "", f"must be an object with 'from' and 'value', got {_short(turn)}"
    said, text = turn.get("from", turn.get("role")), turn.get("value", turn.get("content"))
    if said is None:
        return "", "", f"does not say who speaks: it has {', '.join(turn) or 'no fields'}"
    role = ROLES.get(said, "") if isinstance(said, str) else ""
    if said == "system":
        return "", "", _SYSTEM
    if not role:
        return "", "", f"is from {_short(said)}; it may be from {', '.join(ROLES)}"
    if not isinstance(text, str):
        return "", "", f"must have a text in 'value' (or 'content'), got {_short(text)}"
    for name, value in turn.items():
        if not any(name in read for read in _TURN) and (
            is_other_medium(name, value) or is_like_image(name, value)
        ):
            return "", "", f"has {name!r} of its own, which is not read; name images in the row"
    return role, text, ""


def _problem(number: int, role: str, text: str) -> str:
    """Says what is wrong with a turn in its place."""
    expected = "user" if number % 2 else "assistant"
    if role != expected:
        return (
            f"is from the {role} and should be from the {expected}: the user begins and both take "
            "turns; mend or remove the row"
        )
    if problem := misplaced(role, text):
        return problem
    if not text.strip():
        return "has no text; mend or remove the row"
    return ""


def misplaced(role: str, text: str) -> str:
    """Says that a turn's text marks the place of a medium where none is read."""
    if role == "assistant" and IMAGE_TAG in text:
        return f"is an answer with {IMAGE_TAG!r} in it; images belong to the user's turns"
    if tag := other_tag(text):
        return f"holds {tag}, which no row can be trained with: only images are read"
    if role == "user" and (named := _NAMED_IMAGE.search(text)):
        return f"names its image as {named[0]!r:.60}; name it in 'image', and its place by one tag"
    return ""


def _whole(turns: int, tags: int, images: int) -> str:
    if turns % 2:
        return "the last turn is the user's and has no answer; mend or remove the row"
    if tags and not images:
        return f"it has {tags} {IMAGE_TAG!r} and no 'image'; remove the tag or name the image"
    if tags != images:
        return (
            f"it has {images} images and {tags} {IMAGE_TAG!r}; mark each image's place by one tag "
            "in a user's turn"
        )
    return ""


def _short(value: Any) -> str:
    text = repr(value)
    shown = text if len(text) <= 60 else f"{text[:57]}..."
    return f"{type(value).__name__} {shown}"
