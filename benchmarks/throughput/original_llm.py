"""The original CoLLaVO's decoder, written plainly: eager attention, PLoRA by boolean masks.

It keeps the algorithm of the original's code, and the names of the published checkpoint: packed
wqkv, keys and values repeated for each group of heads, additive masks of the full size, a PLoRA
branch that runs with weight zero where no image is, and the crayon's term on each of the image's
cells in each layer. Nothing is slowed down: dead weights are not read, no loss is computed on the
prompt.

Source: CoLLaVO commit fb419fa, modeling_internlm2.py and build_mlp.py.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from transformers import DynamicCache


class PLoRALinear(nn.Module):
    """A linear with a low-rank branch on image tokens and one on their crayon."""

    def __init__(self, inputs: int, outputs: int, rank: int) -> None:
        super().__init__()
        self.Plora_main = nn.Linear(inputs, outputs, bias=False)
        self.Plora_A = nn.Linear(inputs, rank, bias=False)
        self.Plora_B = nn.Linear(rank, outputs, bias=False)
        self.Plora_seg_A = nn.Linear(inputs, rank, bias=False)
        self.Plora_seg_B = nn.Linear(rank, outputs, bias=False)

    def forward(self, x: Tensor, im_mask: Tensor, seg: Tensor | None = None) -> Tensor:
        result = self.Plora_main(x)
        if torch.sum(im_mask) > 0:
            result[im_mask] += self.Plora_B(self.Plora_A(x[im_mask]))
            if seg is not None:
                result[im_mask] += self.Plora_seg_B(self.Plora_seg_A(seg.flatten(0, 1)))
        else:
            result[:, :1] += 0 * self.Plora_B(self.Plora_A(x[:, :1]))
        return result


class RMSNorm(nn.Module):
    """Root mean square norm in float32."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        y = x.float()
        y = y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.weight * y.to(x.dtype)


class Attention(nn.Module):
    """Eager attention over all heads, with packed query, key and value."""

    def __init__(self, config: dict[str, Any], rank: int, index: int) -> None:
        super().__init__()
        self.heads, self.kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
        self.index = index
        width = config["hidden_size"]
        self.head_dim = width // self.heads
        packed = (self.heads + 2 * self.kv_heads) * self.head_dim
        self.wqkv = PLoRALinear(width, packed, rank)
        self.wo = PLoRALinear(width, width, rank)

    def forward(
        self,
        x: Tensor,
        mask: Tensor,
        rotary: tuple[Tensor, Tensor],
        im_mask: Tensor,
        seg: Tensor | None,
        cache: DynamicCache,
    ) -> Tensor:
        batch, length, _ = x.shape
        groups = self.heads // self.kv_heads
        packed = self.wqkv(x, im_mask, seg)
        packed = packed.view(batch, length, self.kv_heads, groups + 2, self.head_dim)
        query = packed[..., :groups, :].flatten(2, 3).transpose(1, 2)
        key = packed[..., -2, :].transpose(1, 2)
        value = packed[..., -1, :].transpose(1, 2)
        query, key = rotate(query, *rotary), rotate(key, *rotary)
        key, value = cache.update(key, value, self.index)  # concatenates the whole cache
        key, value = repeat(key, groups), repeat(value, groups)
        scores = torch.matmul(query, key.transpose(2, 3)) / math.sqrt(self.head_dim) + mask
        weights = F.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)
        output = torch.matmul(weights, value).transpose(1, 2).reshape(batch, length, -1)
        return self.wo(output, im_mask, seg)


class FeedForward(nn.Module):
    """SwiGLU; the crayon is not given to w2."""

    def __init__(self, width: int, hidden: int, rank: int) -> None:
        super().__init__()
        self.w1 = PLoRALinear(width, hidden, rank)
        self.w3 = PLoRALinear(width, hidden, rank)
        self.w2 = PLoRALinear(hidden, width, rank)

    def forward(self, x: Tensor, im_mask: Tensor, seg: Tensor | None) -> Tensor:
        return self.w2(F.silu(self.w1(x, im_mask, seg)) * self.w3(x, im_mask, seg), im_mask, None)


class Layer(nn.Module):
    """Attention and feed-forward, each after a norm."""

    def __init__(self, config: dict[str, Any], rank: int, index: int) -> None:
        super().__init__()
        width, eps = config["hidden_size"], config["rms_norm_eps"]
        self.attention = Attention(config, rank, index)
        self.feed_forward = FeedForward(width, config["intermediate_size"], rank)
        self.attention_norm = RMSNorm(width, eps)
        self.ffn_norm = RMSNorm(width, eps)

    def forward(
        self,
        x: Tensor,
        mask: Tensor,
        rotary: tuple[Tensor, Tensor],
        im_mask: Tensor,
        seg: Tensor | None,
        cache: DynamicCache,
    ) -> Tensor:
        x = x + self.attention(self.attention_norm(x), mask, rotary, im_mask, seg, cache)
        return x + self.feed_forward(self.ffn_norm(x), im_mask, seg)


class Decoder(nn.Module):
    """Embedding, layers and norm."""

    def __init__(self, config: dict[str, Any], rank: int) -> None:
        super().__init__()
        width = config["hidden_size"]
        self.tok_embeddings = nn.Embedding(config["vocab_size"] + 1, width)
        self.layers = nn.ModuleList(
            Layer(config, rank, i) for i in range(config["num_hidden_layers"])
        )
        self.norm = RMSNorm(width, config["rms_norm_eps"])
        self.head_dim = width // config["num_attention_heads"]
        self.theta = config["rope_theta"]

    def forward(
        self,
        embeds: Tensor,
        attention_mask: Tensor,
        im_mask: Tensor,
        seg: Tensor | None,
        cache: DynamicCache,
    ) -> Tensor:
        past, length = attention_mask.shape[1] - embeds.shape[1], embeds.shape[1]
        rotary = self._rotary(past + length, embeds.dtype)
        rotary = (rotary[0][past:], rotary[1][past:])
        mask = additive_mask(attention_mask, past, length, embeds.dtype)
        for layer in self.layers:
            embeds = layer(embeds, mask, rotary, im_mask, seg, cache)
        return self.norm(embeds)

    def _rotary(self, length: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Tables by index in the padded sequence; made once, grown at need."""
        held = getattr(self, "_tables", None)
        if held is None or held[0].shape[0] < length or held[0].dtype != dtype:
            steps = torch.arange(0, self.head_dim, 2).float() / self.head_dim
            angles = torch.arange(2 * length).float()[:, None] / self.theta**steps
            angles = torch.cat((angles, angles), dim=-1)
            self._tables = held = (angles.cos().to(dtype), angles.sin().to(dtype))
        return held[0][:length], held[1][:length]


def additive_mask(attention_mask: Tensor, past: int, length: int, dtype: torch.dtype) -> Tensor:
    """Causal and padding mask (B, 1, length, past + length), materialised."""
    lowest = torch.finfo(dtype).min
    causal = torch.full((length, past + length), lowest, dtype=dtype).triu(past + 1)
    padding = (1 - attention_mask[:, None, None].to(dtype)) * lowest
    return (causal + padding).clamp(min=lowest)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position embedding, halves rotated."""
    half = x.shape[-1] // 2
    return x * cos + torch.cat((-x[..., half:], x[..., :half]), dim=-1) * sin


def repeat(x: Tensor, groups: int) -> Tensor:
    """Repeats each key-value head for its group of query heads."""
    batch, heads, length, width = x.shape
    x = x[:, :, None].expand(batch, heads, groups, length, width)
    return x.reshape(batch, heads * groups, length, width)
