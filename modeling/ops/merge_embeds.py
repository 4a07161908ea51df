"""Puts image embeddings into the sequence of text embeddings, at the image token's place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from collavo.errors import DataError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

IGNORE_INDEX = -100
"""Label of positions without a loss."""


@dataclass(frozen=True)
class Layout:
    """Where text and image tokens lie once each image token is replaced by N of them.

    Args:
        ids: (B, S) token ids; the placeholder stands at image positions.
        mask: (B, S) False at padding.
        rows: (M,) flat positions b * S + t of the image tokens, ascending; the order of the images.
        span: First and past-the-last image position where all rows have one image there, else None.
        labels: (B, S) with IGNORE_INDEX at image positions and padding, or None.
        lengths: Positions of each row that are not added padding.
        padded: Whether padding stands before a token, so that attention needs the mask: what comes
            after all tokens of a row is seen by none of them.
    """

    ids: Int[Tensor, "batch length"]
    mask: Bool[Tensor, "batch length"]
    rows: Int[Tensor, " tokens"]
    span: tuple[int, int] | None
    labels: Int[Tensor, "batch length"] | None
    lengths: tuple[int, ...]
    padded: bool


def lay_out(
    rows: Sequence[Sequence[int]],
    image_token_id: int,
    image_tokens: int | Sequence[int],
    pad_id: int,
    side: str = "left",
    masks: Sequence[Sequence[int]] | None = None,
    labels: Sequence[Sequence[int]] | None = None,
    device: torch.device | str = "cpu",
) -> Layout:
    """Expands each image's token to as many positions as it has, and pads rows to one length.

    Args:
        rows: Token ids of each row.
        image_token_id: The id that stands for a whole image.
        image_tokens: Visual tokens of each image in the order of their ids, or of all alike.
        pad_id: Stands at padding and, as a placeholder that every LLM knows, at image positions.
        side: "left" or "right": where padding is added.
        masks: 0 for tokens that are padding already.
        labels: Labels of each token.
        device: Where the tensors are put.
    """
    rows = [list(row) for row in rows]
    images = [row.count(image_token_id) for row in rows]
    if isinstance(image_tokens, int):
        image_tokens = [image_tokens] * sum(images)
    if len(image_tokens) != sum(images):
        raise DataError(
            f"{len(image_tokens)} images came with {sum(images)} image tokens in the prompts"
        )
    bounds = [0, *accumulate(images)]
    widths = [image_tokens[a:b] for a, b in pairwise(bounds)]  # of each row's images
    sizes = [len(row) - len(own) + sum(own) for row, own in zip(rows, widths, strict=True)]
    # in positions, not tokens: an image is one id and up to some thousand positions
    length = max(sizes)
    ids = torch.full((len(rows), length), pad_id)
    mask = torch.zeros(len(rows), length, dtype=torch.bool)
    targets = torch.full((len(rows), length), IGNORE_INDEX) if labels is not None else None
    spans: list[list[tuple[int, int]]] = []  # of each row's images: first and past-the-last column
    for b, row in enumerate(rows):
        # left for generation, where all rows write their next token into one column
        at = length - sizes[b] if side == "left" else 0
        spans.append([])
        for begin, end, is_image in _runs(row, image_token_id):
            width = widths[b][len(spans[-1])] if is_image else end - begin
            # one flag an image, repeated over its positions by broadcasting
            kept = [1] if masks is None else masks[b][begin:end]
            mask[b, at : at + width] = torch.tensor(kept).bool()
            if is_image:
                spans[-1].append((at, at + width))
            else:
                ids[b, at : at + width] = torch.tensor(row[begin:end])
                if targets is not None and labels is not None:
                    targets[b, at : at + width] = torch.tensor(labels[b][begin:end])
            at += width
    # one image at the same place in all rows can be addressed as a slice, without an index
    same = len(spans[0]) == 1 and all(row == spans[0] for row in spans)
    flat = [
        torch.arange(b * length + first, b * length + past)
        for b, row in enumerate(spans)
        for first, past in row
    ]
    return Layout(
        ids.to(device),
        mask.to(device),
        (torch.cat(flat) if flat else torch.empty(0, dtype=torch.long)).to(device),
        spans[0][0] if same else None,
        None if targets is None else targets.to(device),
        tuple(sizes),
        bool((~mask[:, :-1] & mask[:, 1:]).any()),
    )


def padding_side(mask: Int[Tensor, "batch length"]) -> str:
    """Returns the side on which rows of ids are padded; "left" where none is."""
    return "right" if bool(mask[:, 0].all()) and not bool(mask[:, -1].all()) else "left"


def _runs(row: Sequence[int], image_token_id: int) -> list[tuple[int, int, bool]]:
    """Cuts a row into stretches of text and single image tokens."""
    runs, begin = [], 0
    for t, token in enumerate(row):
        if token == image_token_id:
            if begin < t:
                runs.append((begin, t, False))
            runs.append((t, t + 1, True))
            begin = t + 1
    if begin < len(row):
        runs.append((begin, len(row), False))
    return runs


def merge_image_embeds(
    text: Float[Tensor, "batch length width"],
    image: Float[Tensor, "tokens width"],
    layout: Layout,
) -> Float[Tensor, "batch length width"]:
    """Writes the images' embeddings over the placeholders' in a sequence laid out by `lay_out`.

    Args:
        text: Embeddings of `layout.ids`.
        image: Those of all visual tokens, image by image.
        layout: Where they go.
    """
    image = image.to(text.dtype)
    if torch.is_grad_enabled():  # out of place: the embedding table's gradient needs its output
        return text.flatten(0, 1).index_copy(0, layout.rows, image).view_as(text)
    if layout.span is not None:
        text[:, layout.span[0] : layout.span[1]] = image.view(len(text), -1, image.shape[-1])
        return text
    text.view(-1, text.shape[-1]).index_copy_(0, layout.rows, image)
    return text
