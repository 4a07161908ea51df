"""Mask2Former with what it needs to learn fast from nothing: piloted queries and a dense head.

The usual recipe needs hundreds of thousands of steps, because each query has to find an object
before it can learn what that object is. Three things shorten that, and leave the model that is
saved as it is in transformers:

- Piloted queries: the decoder runs a second time, with the model's own queries in random order and
  the true masks in place of the predicted ones in the masked attention; query and segment are given
  to each other, so nothing has to be matched (after Zhang et al., 2023, arXiv 2303.07336, who take
  class embeddings for queries).
- A dense head tells the class of each cell from the mask features; it is dropped when saving.
- Queries begin at the places of a grid, and cross-attention begins with equal projections of
  queries and keys, so that a query looks near its place from the first step (as anchors do in Wang
  et al., 2022, arXiv 2109.07107).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from collavo.datasets.segmentation.batches import PanopticBatch
from collavo.modeling.segmenters.mask_loss import (
    Predicted,
    dense_loss,
    match,
    matched_loss,
)

if TYPE_CHECKING:
    from jaxtyping import Float
    from transformers import Mask2FormerForUniversalSegmentation

_FREE_QUERIES = 4
"""Queries at least that begin at no place."""

_COVERED = 0.3
"""Share of a cell from which a piloted query may look at it."""

_STRIDE = 2
"""Of the cells that the dense head looks at: every second row and column."""

_PARTS = ("class", "mask", "dice")


@dataclass(frozen=True)
class _Levels:
    """What the transformer decoder attends to: features and positions (cells, B, D) of 3 sizes."""

    features: list[Tensor]
    positions: list[Tensor]
    sizes: list[tuple[int, int]]
    pixels: Tensor


class TrainedMask2Former(nn.Module):
    """Computes the losses of a batch, as sums over segments and images.

    Args:
        segmenter: The model; trained in place.
        mean: The image processor's mean, of pixels in [0, 1].
        std: Its standard deviation.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        segmenter: Mask2FormerForUniversalSegmentation,
        mean: tuple[float, ...],
        std: tuple[float, ...],
    ) -> None:
        super().__init__()
        config = segmenter.config
        self.segmenter = segmenter
        self.dense = nn.Conv2d(config.mask_feature_size, config.num_labels + 1, 1)
        self.weights = {
            "class": config.class_weight,
            "mask": config.mask_weight,
            "dice": config.dice_weight,
        }
        self.no_object = float(config.no_object_weight)
        self.register_buffer("mean", 255 * torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(std).view(3, 1, 1), persistent=False)

    def forward(self, batch: PanopticBatch) -> dict[str, Tensor]:
        """Returns sums: `class`, `mask`, `dice` of the last layer, `others`, `pilot` and `dense`.

        `class` and the class part of `others` are sums over weighted queries, `dense` over cells,
        all others over segments; each is already weighed as in the loss.
        """
        levels = self._levels((batch.images.to(self.mean.dtype) - self.mean) / self.std)
        size = len(batch.images)
        transformer = self.segmenter.model.transformer_module
        places, contents = transformer.queries_embedder.weight, transformer.queries_features.weight
        found = self._decode(
            levels, contents[:, None].repeat(1, size, 1), places[:, None].repeat(1, size, 1)
        )
        pick = batch.order[:, : batch.masks.shape[1]].T
        guides = self._guides(batch.masks[:, : len(pick)], levels.sizes)
        piloted = self._decode(levels, contents[pick], places[pick], guides)
        dense = self.dense(levels.pixels[..., ::_STRIDE, ::_STRIDE])
        with torch.autocast(batch.images.device.type, enabled=False):
            return self._sums(batch, found, piloted, dense.float())

    def _sums(
        self, batch: PanopticBatch, found: Predicted, piloted: Predicted, dense: Tensor
    ) -> dict[str, Tensor]:
        masks, labels = batch.masks.flatten(2), batch.labels
        pairs = match(found, masks, labels, self.weights)
        losses = matched_loss(found, masks, labels, pairs, self.no_object)
        guided = piloted.without_first()
        same = guided.in_order(labels[:, : guided.masks.shape[2]])
        pilot = matched_loss(guided, masks, labels, same, 0.0)
        weighed = {name: self.weights[name] * losses[name] for name in _PARTS}
        return {
            **{name: weighed[name][-1] for name in _PARTS},
            "others": torch.stack([weighed[n][:-1].sum() for n in _PARTS if n != "class"]).sum(),
            "others_class": weighed["class"][:-1].sum(),
            "pilot": torch.stack([self.weights[n] * pilot[n].sum() for n in _PARTS]).sum(),
            "dense": dense_loss(dense, batch.masks[..., ::_STRIDE, ::_STRIDE].flatten(2), labels),
        }

    def _levels(self, pixels: Float[Tensor, "batch 3 height width"]) -> _Levels:
        """Runs backbone and pixel decoder, and prepares what the transformer decoder attends to."""
        seen = self.segmenter.model.pixel_level_module(pixels)
        transformer = self.segmenter.model.transformer_module
        features, positions, sizes = [], [], []
        for number, level in enumerate(seen.decoder_hidden_states):
            place = transformer.position_embedder(level.shape, level.device, level.dtype, None)
            projected = transformer.input_projections[number](level).flatten(2)
            projected = projected + transformer.level_embed.weight[number][None, :, None]
            positions.append(place.flatten(2).permute(2, 0, 1))
            features.append(projected.permute(2, 0, 1))
            sizes.append(tuple(level.shape[-2:]))
        return _Levels(features, positions, sizes, seen.decoder_last_hidden_state)

    def _decode(
        self,
        levels: _Levels,
        hidden: Float[Tensor, "queries batch width"],
        places: Float[Tensor, "queries batch width"],
        guides: list[Tensor] | None = None,
    ) -> Predicted:
        """Runs the transformer decoder as transformers does, or with given attention masks.

        Source: Mask2FormerMaskedAttentionDecoder.forward of transformers 5.17.

        Args:
            levels: What it attends to.
            hidden: Queries.
            places: Their position embeddings.
            guides: Where not to look at each of the levels, in place of what is predicted.
        """
        decoder = self.segmenter.model.transformer_module.decoder
        count = len(levels.sizes)
        normed = decoder.layernorm(hidden)
        mask, hide = decoder.mask_predictor(normed, levels.pixels, levels.sizes[0])
        states, masks = [normed], [mask]
        for number, layer in enumerate(decoder.layers):
            level = number % count
            if guides is not None:
                hide = guides[level]
            hide = hide & ~hide.all(-1, keepdim=True)
            hidden = layer(
                hidden,
                level,
                None,
                levels.positions,
                places,
                levels.features,
                encoder_attention_mask=hide,
                output_attentions=False,
            )[0]
            normed = decoder.layernorm(hidden)
            following = levels.sizes[(number + 1) % count]
            mask, hide = decoder.mask_predictor(normed, levels.pixels, following)
            states.append(normed)
            masks.append(mask)
        classes = self.segmenter.class_predictor(torch.stack([s.transpose(0, 1) for s in states]))
        return Predicted(classes.float(), torch.stack(masks).flatten(3).float())

    def _guides(self, masks: Tensor, sizes: list[tuple[int, int]]) -> list[Tensor]:
        """Says for each level and head which cells a segment does not reach."""
        heads = self.segmenter.config.num_attention_heads
        guides = []
        for size in sizes:
            away = (F.adaptive_max_pool2d(masks, size) < _COVERED).flatten(2)
            guides.append(away[:, None].repeat(1, heads, 1, 1).flatten(0, 1))
        return guides


@torch.no_grad()
def place_queries(segmenter: Any) -> None:
    """Puts new queries on the places of a grid and makes cross-attention look near them.

    Args:
        segmenter: A `Mask2FormerForUniversalSegmentation` with weights as they are drawn.
    """
    transformer = segmenter.model.transformer_module
    width, queries = segmenter.config.hidden_dim, segmenter.config.num_queries
    side = int(max(0, queries - _FREE_QUERIES) ** 0.5)
    shape = torch.Size((1, width, side, side))
    places = transformer.position_embedder(shape, "cpu", torch.float32)[0].flatten(1).T
    transformer.queries_embedder.weight[: side * side] = places
    for layer in transformer.decoder.layers:
        projection = layer.cross_attn.in_proj_weight
        projection[width : 2 * width] = projection[:width]
