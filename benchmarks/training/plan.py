"""The memory of a 7B Dual QLoRA step: a real step of the real modules, on the meta device.

Nothing has memory there, but every tensor has a size and a lifetime, and these are counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

import torch
from accelerate import init_empty_weights
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.training.memory import LiveBytes, tensors_of
from collavo.engine.training.side_optimizer import SideAdamW
from collavo.modeling.adapters.dual_lora import ADAPTERS, add_adapters
from collavo.modeling.adapters.injection import CrayonTerm, Injection
from collavo.modeling.adapters.switch import AdapterSwitch, adapter_of
from collavo.modeling.adapters.targets import plora_linears
from collavo.modeling.architectures.collavo import CoLLaVO
from collavo.modeling.architectures.memory import NF4_BLOCK, SCALE_BLOCK

PUBLISHED_7B: dict[str, Any] = {
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "max_position_embeddings": 32768,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-5,
    "rope_theta": 1000000,
    "vocab_size": 92544,
}
"""The published config's fields that decide on sizes. Source: BK-Lee/CoLLaVO-7B, config.json."""

PAIRS = 50
"""Distinct crayon pairs of an image; pictures have some ten to fifty."""


class NF4OnMeta(nn.Linear):
    """Sizes and lifetimes of bitsandbytes' `Linear4bit`.

    That is packed codes, scales, and the dense weight for the time of a product, in the forward
    pass and again in the backward pass.
    """

    def __init__(self, linear: nn.Linear, dtype: torch.dtype) -> None:
        super().__init__(linear.in_features, linear.out_features, bias=False, device="meta")
        numbers = self.in_features * self.out_features
        scales = ceil(numbers / NF4_BLOCK)
        codes = torch.empty(ceil(numbers / 2), 1, dtype=torch.uint8, device="meta")
        self.weight = nn.Parameter(codes, requires_grad=False)
        self.dtype = dtype
        self.register_buffer("scales", torch.empty(scales, dtype=torch.uint8, device="meta"))
        self.register_buffer("outer", torch.empty(ceil(scales / SCALE_BLOCK), device="meta"))
        self.register_buffer("tables", torch.empty(16 + 256 + 1, device="meta"))

    def forward(self, x: Tensor) -> Tensor:
        shape = (self.out_features, self.in_features)
        out: Tensor = _Product.apply(x, self.weight, shape, self.dtype)
        return out


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, codes: Tensor, shape: tuple[int, int], dtype: torch.dtype
    ) -> Tensor:
        ctx.save_for_backward(codes)
        ctx.shape, ctx.dtype = shape, dtype
        return F.linear(x, codes.new_empty(shape, dtype=dtype))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        dense = ctx.saved_tensors[0].new_empty(ctx.shape, dtype=ctx.dtype)
        return torch.matmul(grad, dense), None, None, None


@dataclass(frozen=True)
class StepPlan:
    """The bytes of one training step.

    Args:
        items: By what they are for; they add up to the peak.
        trained: Trained numbers, of both adapters and the crayon.
    """

    items: dict[str, int]
    trained: int

    @property
    def total(self) -> int:
        """The peak."""
        return sum(self.items.values())


def step_plan(
    config: dict[str, Any] = PUBLISHED_7B,
    length: int = 1400,
    batch: int = 1,
    rank: int = 64,
    dropout: float = 0.0,
    checkpointing: bool = True,
    kinds: tuple[str, ...] = ADAPTERS,
) -> StepPlan:
    """Runs a step of the last adapter on the meta device and returns the peak by its parts.

    Frozen weights are bfloat16 or NF4, trained ones float32 with float32 gradients and moments.

    Args:
        config: The published config's fields.
        length: Positions of a row, its image tokens among them; half of the others are labelled.
        batch: Rows.
        rank: The adapters'.
        dropout: On the adapters' input.
        checkpointing: Whether each decoder layer is recomputed.
        kinds: The adapters; one for what a single adapter takes.
    """
    model = _model(config, rank, dropout, kinds)
    if checkpointing:
        model.gradient_checkpointing_enable()
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    groups = [
        {"params": [p for n, p in named if adapter_of(n) == side], "side": side}
        for side in ("", *kinds)
    ]
    optimizer = SideAdamW(groups, foreach=True)  # as on a GPU, where it works on all at once
    _make_moments(optimizer, kinds)
    held = [*model.parameters(), *model.buffers()]
    with LiveBytes(tensors_of(held, optimizer)) as live:
        _step(model, optimizer, kinds[-1], batch, length)
    assert live.now == live.start, "a step leaves nothing behind"
    trained = [p for _, p in named]
    moments = sum(t.nbytes for s in optimizer.state.values() for t in s.values() if t.ndim)
    weights = sum(p.nbytes for p in trained)
    gradients = sum(p.nbytes for n, p in named if adapter_of(n) in ("", kinds[-1]))
    items = {
        "frozen weights": live.start - weights - moments - _counters(optimizer),
        "adapters": sum(p.nbytes for n, p in named if adapter_of(n)),
        "crayon tables and projector": sum(p.nbytes for n, p in named if not adapter_of(n)),
        "moments": moments + _counters(optimizer),
        "gradients": gradients,
    }
    items["activations and working memory"] = live.peak - sum(items.values())
    return StepPlan(items, sum(p.numel() for p in trained))


def _make_moments(optimizer: SideAdamW, kinds: tuple[str, ...]) -> None:
    """Takes a step with each adapter, so that all moments are there as later in a training."""
    for kind in kinds:
        optimizer.active_side = kind
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = torch.empty_like(parameter)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def _counters(optimizer: torch.optim.Optimizer) -> int:
    return sum(t.nbytes for s in optimizer.state.values() for t in s.values() if not t.ndim)


def _model(config: dict[str, Any], rank: int, dropout: float, kinds: tuple[str, ...]) -> CoLLaVO:
    with init_empty_weights(include_buffers=False):
        model = CoLLaVO(config)
    model.to(torch.bfloat16).requires_grad_(False)
    for buffer_owner in model.modules():
        for name, buffer in buffer_owner._buffers.items():
            if buffer is not None:
                buffer_owner._buffers[name] = buffer.to("meta")
    for _, linear in plora_linears(model.llm):
        linear.base = NF4OnMeta(linear.base, torch.bfloat16)  # type: ignore[arg-type]
    for part in (model.crayon, model.crayon_projector):
        part.float().requires_grad_(True)
    add_adapters(model.llm, kinds, rank=rank, alpha=rank, dropout=dropout, empty=True)
    return model.train()


def _step(model: CoLLaVO, optimizer: SideAdamW, kind: str, batch: int, length: int) -> None:
    """One step as the training loop takes it, with autocast's one cast written out."""
    AdapterSwitch(model.llm).train_only(kind)
    optimizer.active_side = kind
    meta = torch.device("meta")
    size = model.image_size
    pixels = torch.empty(batch, 3, size, size, dtype=torch.uint8, device=meta)
    image = model.embed_images(model.squares(pixels)).embeds.view(batch, model.num_tokens, -1)
    rows = torch.empty(PAIRS, dtype=torch.long, device=meta)
    tables = model.crayon.seg_prompt_embed(rows) + model.crayon.seg_num_embed(rows)
    features = model.crayon_projector.project(tables).to(torch.bfloat16)
    index = torch.empty(batch, model.num_tokens, dtype=torch.long, device=meta)
    span = (20, 20 + model.num_tokens)
    injection = Injection(span, None, CrayonTerm(features, index), batch, length)
    ids = torch.empty(batch, length, dtype=torch.long, device=meta)
    text = model.llm.get_input_embeddings()(ids)
    embeds = torch.cat([text[:, : span[0]], image, text[:, span[1] :]], 1)
    # Given whole, since transformers would look into position ids to find that it is causal.
    mask = torch.empty(1, 1, length, length, dtype=torch.bool, device=meta)
    with model.state.injection(injection):
        hidden = model.llm.get_decoder()(
            inputs_embeds=embeds, attention_mask=mask, use_cache=False
        ).last_hidden_state
    labelled = (length - model.num_tokens) // 2
    logits = model.llm.lm_head(hidden[:, -labelled:]).flatten(0, 1)
    targets = torch.empty(batch * labelled, dtype=torch.long, device=meta)
    F.cross_entropy(logits.float(), targets).backward()
    trained = [p for p in model.parameters() if p.requires_grad]
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
