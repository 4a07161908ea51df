"""The part of CoLLaVO that has to do with training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from collavo.modeling.adapters.injection import InjectionState
from collavo.modeling.adapters.plora import PLoRADown
from collavo.modeling.architectures.collavo_loading import rules_of
from collavo.modeling.architectures.published import published_shapes
from collavo.modeling.architectures.tiny.checkpoint import draw_tensor
from collavo.modeling.ops.merge_embeds import IGNORE_INDEX

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from collavo.modeling.architectures.collavo import CoLLaVO

LIKENESS = 0.8
"""Scale of the projection that queries and keys share at the start of a training from scratch."""

DRAWN_PART = 0.3
"""What is left of the queries' and keys' own draw."""


class TrainableCoLLaVO:
    """What a training asks of the model, besides `forward`."""

    state: InjectionState
    llm: PreTrainedModel

    def gradient_checkpointing_enable(self) -> None:
        """Recomputes each decoder layer in the backward pass, with its own image tokens."""
        self.state.checkpoint_layers(self.llm)

    def answer_loss(self, hidden: Tensor, labels: Tensor, reduction: str) -> Tensor:
        """Cross entropy of the next token, computed where there is a label."""
        targets = labels[:, 1:].flatten()
        chosen = (targets != IGNORE_INDEX).nonzero().squeeze(1)
        states = hidden[:, :-1].flatten(0, 1).index_select(0, chosen)
        logits = self.llm.lm_head(states)
        chosen_targets = targets.index_select(0, chosen)
        return F.cross_entropy(logits.float(), chosen_targets, reduction=reduction)

    def set_dropout(self, probability: float) -> None:
        """Sets the probability on PLoRA's input, in training."""
        for module in self.llm.modules():
            if isinstance(module, PLoRADown):
                module.dropout.p = probability

    @torch.no_grad()
    def reset_parameters(self, seed: int) -> None:
        """Draws all weights anew; B of PLoRA and of the crayon branch begin at zero.

        What the configuration said of the checkpoint's training no longer holds and is dropped.

        Args:
            seed: Equal seeds give equal weights on every machine.
        """
        model = cast("CoLLaVO", self)
        about = dict(model.config.get("collavo") or {})
        about.pop("untrained", None)
        about.pop("note", None)
        model.config = {**model.config, "collavo": about}
        shapes = published_shapes(model.config, model.rank)
        for name, rule in rules_of(model).items():
            whole = draw_tensor(name, shapes[name], seed)
            if name.endswith(("Plora_B.weight", "Plora_seg_B.weight")):
                whole.zero_()
            for target, part in zip(rule.targets, rule.parts(whole), strict=False):
                model.get_parameter(target).copy_(part)
        match_queries_and_keys(model.llm, seed)

    def save_stage(self, folder: Path) -> None:
        """Writes the published format; where there are adapters, a stage's artefact on its base."""
        from collavo.modeling.adapters.switch import switch_of

        model = cast("CoLLaVO", self)
        if switch_of(model.llm) is None:
            model.save_pretrained(folder)
            return
        from collavo.modeling.checkpoints.artefact import write_artefact

        write_artefact(model, folder)


@torch.no_grad()
def match_queries_and_keys(llm: PreTrainedModel, seed: int) -> None:
    """Makes each token attend to tokens like itself from the start (mimetic initialisation).

    W_q and W_k of a head become one random projection, plus a part of what was drawn, so that
    W_q W_k^T is near a multiple of the identity. A small model then learns to look things up in its
    prompt in hundreds of steps, where it otherwise takes many thousands.

    Source: Trockman and Kolter, 2023, arXiv 2305.09828, section 3, with a plain scale in the place
    of its two.

    Args:
        llm: A Llama-like decoder with PLoRA.
        seed: Draws the projections.
    """
    config = llm.config
    heads, kv_heads, width = (
        config.num_attention_heads,
        config.num_key_value_heads,
        config.hidden_size,
    )
    size = width // heads
    generator = torch.Generator().manual_seed(seed)
    for layer in llm.get_decoder().layers:
        basis = torch.linalg.qr(torch.randn(width, width, generator=generator)).Q[: kv_heads * size]
        groups = basis.view(kv_heads, size, width).repeat_interleave(heads // kv_heads, dim=0)
        for name, likeness in (("q_proj", groups.reshape(-1, width)), ("k_proj", basis)):
            weight = getattr(layer.self_attn, name).base.weight
            weight.copy_(LIKENESS * likeness + DRAWN_PART * weight)
