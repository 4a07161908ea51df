"""Chat templates: a conversation becomes a prompt, or token ids with labels on what is learnt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from collavo.errors import ConfigError, DataError
from collavo.records import Turn

IMAGE_TOKEN = "<image>"
"""Stands for a whole image in the text of a prompt."""

IGNORE_INDEX = -100
"""Label of tokens without a loss."""

IMAGES, USER, ANSWER = "{images}", "{user}", "{answer}"
"""Stand in a span's text for the image tags, a user's turn and an answer."""

ROLES = ("user", "assistant")


class ChatTokenizer(Protocol):
    """What a tokenizer has to offer: special tokens in the text become their ids."""

    @property
    def image_token_id(self) -> int:
        """The id of `<image>`, which stands for a whole image."""
        ...

    def encode(self, text: str, add_bos: bool = True) -> list[int]:
        """Returns the ids of `text`, after the id that begins a sequence if wanted."""
        ...


class LLMTokenizer(ChatTokenizer, Protocol):
    """What a model that answers needs of its tokenizer besides."""

    turn_end_id: int | None
    """The id that ends a turn where it is not the end of sequence; None where there is none."""

    pad_token_id: int
    """Stands at padding."""

    files: tuple[Path, ...]
    """The files that it was read from: they decide on every answer."""

    def decode(self, ids: Iterable[int]) -> str:
        """Returns the text of `ids` without special tokens."""
        ...


@dataclass(frozen=True)
class Span:
    """A stretch of a conversation's text.

    Args:
        text: With `{images}`, `{user}`, `{answer}` where these go.
        learnt: Whether its tokens have a loss.
    """

    text: str
    learnt: bool = False


@dataclass(frozen=True)
class Encoded:
    """A conversation as the model sees it.

    Args:
        ids: Token ids; an image is one id, which the model expands.
        labels: The ids again where there is a loss, else IGNORE_INDEX. Not shifted.
    """

    ids: list[int]
    labels: list[int]

    @property
    def num_labels(self) -> int:
        """How many tokens have a loss."""
        return sum(label != IGNORE_INDEX for label in self.labels)


@dataclass(frozen=True)
class ChatTemplate:
    """What stands around the turns of a conversation, and which of it is learnt.

    Args:
        first: From the start to where the first answer begins.
        later: From the end of an answer to where the next begins.
        answer: The answer and what ends it.
        image: What stands for each image, `{n}` being its number from 1.
        bos: Whether the id that begins a sequence comes first.
        takes_crayon_text: Whether the sentence about the objects has a place.
        slot: Whether the text of a conversation without images is cut into tokens as if it had
            one, whose id is then taken out, as evaluation does.
    """

    first: tuple[Span, ...]
    later: tuple[Span, ...]
    answer: tuple[Span, ...]
    image: str = IMAGE_TOKEN
    bos: bool = True
    takes_crayon_text: bool = True
    slot: bool = False

    @property
    def has_image_slot(self) -> bool:
        """Whether it has a place for images."""
        return any(IMAGES in span.text for span in self.first)

    def prompt(
        self, turns: Sequence[Turn], crayon_text: str | None = None, num_images: int = 1
    ) -> str:
        """Returns the text up to where the model's answer begins, as evaluation asks it.

        Args:
            turns: User and assistant in turns; the user begins and ends.
            crayon_text: The sentence about the objects, or None to leave it out.
            num_images: How many images the conversation is about.

        Raises:
            DataError: The turns are not in that order, or a text holds the image tag.
            ConfigError: There is a crayon text, and the template has no place for it.
        """
        if len(turns) % 2 == 0:
            raise DataError(f"a prompt has {len(turns)} turns; its last has to be the user's")
        _check_roles(turns)
        return "".join(span.text for span in self._spans(turns, crayon_text, num_images))

    def render(self, question: str, crayon_text: str | None = None, num_images: int = 1) -> str:
        """Returns the prompt of one question; see `prompt`."""
        return self.prompt([Turn("user", question)], crayon_text, num_images)

    def spans(
        self, turns: Sequence[Turn], crayon_text: str | None = None, num_images: int = 1
    ) -> list[Span]:
        """Returns the text of a conversation, cut where tokens begin or cease to be learnt.

        All images stand before the first turn (or where the template has them), in order.

        Args:
            turns: User and assistant in turns; the user begins, the assistant ends.
            crayon_text: The sentence about the objects, or None to leave it out.
            num_images: How many images the conversation is about.

        Raises:
            DataError: The turns are not in that order, or a text holds the image tag.
            ConfigError: There is a crayon text, and the template has no place for it.
        """
        check_turns(turns)
        return self._spans(turns, crayon_text, num_images)

    def _spans(self, turns: Sequence[Turn], crayon_text: str | None, num_images: int) -> list[Span]:
        if crayon_text is not None and not self.takes_crayon_text:
            raise ConfigError(
                "this template has no place for the text of the Crayon Prompt; take a CRAYON.MODE "
                "without text (map_only, none) or another template (MODEL.TEMPLATE, "
                "TRAIN.TEMPLATE)"
            )
        if crayon_text is not None and IMAGE_TOKEN in crayon_text:
            raise DataError(f"the crayon text {crayon_text[:80]!r} holds {IMAGE_TOKEN!r}")
        tags = "".join(
            self.image.replace("{n}", str(n + 1))
            for n in range(max(num_images, 1) if self.slot else num_images)
        )
        spans: list[Span] = []
        for number, turn in enumerate(turns):
            text = turn.text
            if turn.role == "user":
                shape = self.later if number else self.first
                if number == 0 and crayon_text is not None:
                    text = f"{crayon_text} {text}"
                spans += [_filled(span, USER, text, tags) for span in shape]
            else:
                spans += [_filled(span, ANSWER, text, tags) for span in self.answer]
        return [span for span in spans if span.text]


def _filled(span: Span, place: str, text: str, tags: str) -> Span:
    """Puts the tags and one turn's text into a span; a text may hold "{images}" itself."""
    before, found, after = span.text.partition(place)
    before, after = before.replace(IMAGES, tags), after.replace(IMAGES, tags)
    return Span(before + (text if found else "") + after, span.learnt)


def check_turns(turns: Sequence[Turn]) -> None:
    """Checks that user and assistant take turns, to the last answer, and none holds the image tag.

    Raises:
        DataError: They do not, or one does.
    """
    if not turns or len(turns) % 2:
        raise DataError(
            f"a conversation has {len(turns)} turns; it needs a user's turn and an answer, or "
            "several such pairs"
        )
    _check_roles(turns)


def _check_roles(turns: Sequence[Turn]) -> None:
    for number, turn in enumerate(turns):
        if turn.role != ROLES[number % 2]:
            raise DataError(
                f"turn {number + 1} is from {turn.role!r} and should be from {ROLES[number % 2]!r}"
            )
        if IMAGE_TOKEN in turn.text:
            raise DataError(
                f"turn {number + 1}, {turn.text[:80]!r}, holds {IMAGE_TOKEN!r}, which the template "
                "places itself; remove it from the text"
            )


def encode(
    template: ChatTemplate,
    turns: Sequence[Turn],
    crayon_text: str | None,
    num_images: int,
    tokenizer: ChatTokenizer,
) -> Encoded:
    """Turns a conversation into ids and labels.

    The ids of the prompt, up to the first answer, are those of the whole prompt's text, as at
    evaluation: a text cut into tokens in two halves has other ones. Where the tokens of a longer
    text do not begin with those of the shorter one, what follows is encoded by itself.

    Args:
        template: How it is written.
        turns: User and assistant in turns.
        crayon_text: The sentence about the objects, or None.
        num_images: How many images the conversation is about; each becomes one id.
        tokenizer: Its ids.

    Raises:
        DataError: The turns are out of order, a text holds the image tag, or the images' ids are
            not as many as the images.
        ConfigError: The template has no place for a crayon text.
    """
    ids, labels = _encode_spans(
        template.spans(turns, crayon_text, num_images), template.bos, tokenizer
    )
    image = tokenizer.image_token_id
    if template.slot and num_images == 0:
        kept = [i for i, token in enumerate(ids) if token != image]
        ids, labels = [ids[i] for i in kept], [labels[i] for i in kept]
    if ids.count(image) != num_images:
        raise DataError(
            f"{num_images} images came to {ids.count(image)} image ids; the tokenizer has to know "
            f"{IMAGE_TOKEN!r} as one id ({image})"
        )
    return Encoded(ids, labels)


def cut(
    encoded: Encoded, max_length: int, image_token_id: int, image_tokens: Sequence[int]
) -> Encoded:
    """Cuts the end off a conversation that is longer than a model takes.

    Args:
        encoded: The conversation.
        max_length: Tokens at most, those of its images too.
        image_token_id: The id that stands for an image.
        image_tokens: Tokens of each image, in the order of their ids.

    Raises:
        DataError: Tokens of an image would be cut off, or no token with a loss would be left.
    """
    total = len(encoded.ids) + sum(image_tokens) - len(image_tokens)
    if total <= max_length:
        return encoded
    length, kept = 0, 0
    widths = iter(image_tokens)
    for token in encoded.ids:
        length += next(widths) if token == image_token_id else 1
        if length > max_length:
            break
        kept += 1
    found = (
        f"it has {total} tokens, {sum(image_tokens)} of them of its images, and at most "
        f"{max_length} are allowed (TRAIN.MAX_LENGTH)"
    )
    if image_token_id in encoded.ids[kept:]:
        raise DataError(f"{found}: an image would be cut off; raise it, or remove the row")
    if all(label == IGNORE_INDEX for label in encoded.labels[:kept]):
        raise DataError(f"{found}: no answer would be left; raise it, or shorten the row")
    return Encoded(encoded.ids[:kept], encoded.labels[:kept])


def _encode_spans(
    spans: Sequence[Span], bos: bool, tokenizer: ChatTokenizer
) -> tuple[list[int], list[int]]:
    """Encodes the spans as one text, and finds the token that each of them ends with."""
    text = "".join(span.text for span in spans)
    ids: list[int] = []
    labels: list[int] = []
    cut = end = 0  # characters: where `rest` begins, and where the span at hand ends
    rest, known = tokenizer.encode(text, add_bos=bos), 0  # known: tokens of `rest` with labels
    for span in spans:
        begin, end = end, end + len(span.text)
        upto = tokenizer.encode(text[cut:end], add_bos=bos and cut == 0)
        if upto[:known] != rest[:known]:
            # The text up to here changes tokens before this span: the span is begun anew.
            ids += rest[:known]
            cut, known = begin, 0
            rest = tokenizer.encode(text[begin:], add_bos=False)
            upto = tokenizer.encode(text[begin:end], add_bos=False)
        new = upto[known:]
        labels += new if span.learnt else [IGNORE_INDEX] * len(new)
        known = len(upto)
        if rest[:known] != upto:
            ids += upto
            cut, known = end, 0
            rest = tokenizer.encode(text[end:], add_bos=False)
    return ids + rest, labels
