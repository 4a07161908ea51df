"""Puts image embeddings into the sequence of text embeddings, at the image token's place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

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
    num_tokens: int,
    pad_id: int,
    side: str = "left",
    masks: Sequence[Sequence[int]] | None = None,
    labels: Sequence[Sequence[int]] | None = None,
    device: torch.device | str = "cpu",
) -> Layout:
    """Expands each image token to `num_tokens` positions and pads the rows to one length.

    Args:
        rows: Token ids of each row.
        image_token_id: The id that stands for a whole image.
        num_tokens: Visual tokens N of an image.
        pad_id: Stands at padding and, as a placeholder that every LLM knows, at image positions.
        side: "left" or "right": where padding is added.
        masks: 0 for tokens that are padding already.
        labels: Labels of each token.
        device: Where the tensors are put.
    """
    rows = [list(row) for row in rows]
    sizes = [len(row) + row.count(image_token_id) * (num_tokens - 1) for row in rows]
    length = max(sizes)
    ids = torch.full((len(rows), length), pad_id)
    mask = torch.zeros(len(rows), length, dtype=torch.bool)
    targets = torch.full((len(rows), length), IGNORE_INDEX) if labels is not None else None
    starts: list[list[int]] = []
    for b, row in enumerate(rows):
        at = length - sizes[b] if side == "left" else 0
        starts.append([])
        for begin, end, is_image in _runs(row, image_token_id):
            width = num_tokens if is_image else end - begin
            kept = [1] if masks is None else masks[b][begin:end]
            mask[b, at : at + width] = torch.tensor(kept).bool()
            if is_image:
                starts[-1].append(at)
            else:
                ids[b, at : at + width] = torch.tensor(row[begin:end])
                if targets is not None and labels is not None:
                    targets[b, at : at + width] = torch.tensor(labels[b][begin:end])
            at += width
    common = starts[0][0] if starts[0] else None
    same = common is not None and all(s == [common] for s in starts)
    first = [b * length + start for b, row in enumerate(starts) for start in row]
    flat = torch.tensor(first, dtype=torch.long)[:, None] + torch.arange(num_tokens)
    return Layout(
        ids.to(device),
        mask.to(device),
        flat.flatten().to(device),
        (common, common + num_tokens) if same and common is not None else None,
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
    image: Float[Tensor, "images tokens width"],
    layout: Layout,
) -> Float[Tensor, "batch length width"]:
    """Writes the images' embeddings over the placeholders' in a sequence laid out by `lay_out`."""
    image = image.to(text.dtype)
    if torch.is_grad_enabled():
        flat = text.flatten(0, 1).index_copy(0, layout.rows, image.flatten(0, 1))
        return flat.view_as(text)
    if layout.span is not None:
        text[:, layout.span[0] : layout.span[1]] = image
        return text
    text.view(-1, text.shape[-1]).index_copy_(0, layout.rows, image.flatten(0, 1))
    return text
