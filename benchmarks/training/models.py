"""The two models of the training benchmark: ours, and transformers with PEFT on the same body."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.training.memory import LiveBytes, tensors_of
from collavo.engine.training.side_optimizer import SideAdamW
from collavo.modeling.adapters.dual_lora import add_adapters
from collavo.modeling.adapters.injection import CrayonTerm, Injection, InjectionState
from collavo.modeling.adapters.plora import PLoRALinear
from collavo.modeling.adapters.quantize import NF4Place
from collavo.modeling.adapters.switch import AdapterSwitch, adapter_of
from collavo.modeling.adapters.targets import LLAMA_TARGETS, add_plora, plora_linears
from collavo.modeling.crayon.embedding import CrayonEmbedding
from collavo.modeling.projectors.mlp import MLPProjector


@dataclass(frozen=True)
class Shape:
    """The sizes of a run; ranks are those of 7B in proportion to the width.

    Args:
        width: H; 4,096 at 7B.
        layers: Decoder layers.
        text: Text tokens of a row; the last half of them are labelled.
        grid: Side of the patch grid; its square are the image tokens.
        batch: Rows.
        vocab: Tokens of the vocabulary.
        bits: 4 (NF4 with double quantisation) or 16 (float32 here).
        plora_dropout: On PLoRA's input, in both models.
    """

    width: int = 512
    layers: int = 4
    text: int = 175
    grid: int = 35
    batch: int = 1
    vocab: int = 2048
    bits: int = 4
    lora_dropout: float = 0.05
    plora_dropout: float = 0.05

    @property
    def plora_rank(self) -> int:
        """PLoRA's rank, H / 16."""
        return self.width // 16

    @property
    def lora_rank(self) -> int:
        """The adapters' rank and alpha, H / 64."""
        return self.width // 64

    @property
    def span(self) -> tuple[int, int]:
        """Where the image stands."""
        return 20, 20 + self.grid**2

    @property
    def length(self) -> int:
        """Positions of a row."""
        return self.text + self.grid**2

    @property
    def labelled(self) -> int:
        """Positions with a label, at the end of each row."""
        return self.text // 2


@dataclass(frozen=True)
class Inputs:
    """One batch: embeddings with the image in them, labels, and the crayon of each image token."""

    embeds: Tensor
    labels: Tensor
    classes: Tensor
    numbers: Tensor


def inputs_of(shape: Shape, seed: int) -> Inputs:
    """Draws a batch; an image has some ten different segments, as pictures do."""
    draw = torch.Generator().manual_seed(seed)
    embeds = 0.5 * torch.randn(shape.batch, shape.length, shape.width, generator=draw)
    labels = torch.randint(0, shape.vocab, (shape.batch, shape.labelled), generator=draw)
    segment = torch.randint(0, 10, (shape.batch, shape.grid, shape.grid), generator=draw)
    return Inputs(embeds, labels, segment * 7, segment % 3 + 1)


def body(shape: Shape) -> tuple[LlamaForCausalLM, InjectionState]:
    """A frozen Llama with PLoRA and its crayon branch, quantised as asked; always the same."""
    torch.manual_seed(0)
    llm = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=shape.vocab,
            hidden_size=shape.width,
            intermediate_size=shape.width * 7 // 2,
            num_hidden_layers=shape.layers,
            num_attention_heads=max(2, shape.width // 128),
            num_key_value_heads=max(1, shape.width // 512),
            max_position_embeddings=4096,
        )
    )
    state = InjectionState()
    add_plora(llm, state, shape.plora_rank, targets=LLAMA_TARGETS, dropout=shape.plora_dropout)
    place = NF4Place(torch.float32, "cpu")
    for name, linear in plora_linears(llm):
        nn.init.normal_(linear.up.weight, std=0.02)
        if linear.crayon_up is not None:
            nn.init.normal_(linear.crayon_up.weight, std=0.02)
        if shape.bits == 4:
            weight = linear.base.weight.detach().clone()
            linear.base = place(name, linear.base, weight)  # type: ignore[arg-type]
    return llm.requires_grad_(False), state


class PlainPLoRALinear(PLoRALinear):
    """PLoRA as one writes it down: the image's part computed by itself and put in between."""

    def forward(self, x: Tensor) -> Tensor:
        injection = self.state.active
        if injection is None or injection.span is None:
            raise ValueError("the benchmark has one image at one place in each row")
        start, end = injection.span
        y = self.base(x)
        image = y[:, start:end] + self._delta(injection, x, x[:, start:end])
        return torch.cat([y[:, :start], image, y[:, end:]], dim=1)


class Step:
    """A model with its optimiser: `run(inputs)` is one training step and returns the loss."""

    clip = 1.0

    def __init__(self, shape: Shape, checkpointing: bool, lr: float = 1e-4) -> None:
        self.shape, self.lr = shape, lr
        self.llm, self.state = body(shape)
        self.build()
        self.llm.train()
        if checkpointing:
            self.state.checkpoint_layers(self.llm)
        self.trained = [p for p in self.parameters() if p.requires_grad]
        self.optimizer = self.make_optimizer()

    def build(self) -> None:
        """Adds what is trained."""
        raise NotImplementedError

    def parameters(self) -> list[nn.Parameter]:
        """Everything that the model holds."""
        return list(self.llm.parameters())

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Returns the optimiser of the trained parameters."""
        return torch.optim.AdamW(self.trained, lr=self.lr)

    def injection(self, inputs: Inputs) -> Injection:
        """Where the image is, and its crayon."""
        return Injection(self.shape.span, batch=self.shape.batch, length=self.shape.length)

    def loss(self, inputs: Inputs) -> Tensor:
        """The mean cross entropy of the labelled tokens; the head runs on them alone."""
        with self.state.injection(self.injection(inputs)):
            hidden = self.llm.model(inputs_embeds=inputs.embeds, use_cache=False).last_hidden_state
        kept = hidden[:, -self.shape.labelled - 1 : -1]
        return F.cross_entropy(
            self.llm.lm_head(kept).flatten(0, 1).float(), inputs.labels.flatten()
        )

    def run(self, inputs: Inputs, number: int) -> float:
        """Takes a step: forward, backward, clipping, update."""
        loss = self.loss(inputs)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.trained, self.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())

    def peak(self, inputs: Inputs, number: int = 0) -> int:
        """Returns the most bytes alive in a step, weights and moments among them."""
        with LiveBytes(tensors_of(self.parameters(), self.optimizer)) as live:
            self.run(inputs, number)
        return live.peak


class PlainStep(Step):
    """transformers and PEFT: one adapter, PLoRA without crayon, AdamW."""

    def build(self) -> None:
        from peft import LoraConfig, inject_adapter_in_model

        config = LoraConfig(
            r=self.shape.lora_rank,
            lora_alpha=self.shape.lora_rank,
            lora_dropout=self.shape.lora_dropout,
            target_modules=r".*\.base",
        )
        inject_adapter_in_model(config, self.llm, "vl")
        for _, linear in plora_linears(self.llm):
            linear.__class__ = PlainPLoRALinear


class DualStep(Step):
    """Ours: both adapters and the crayon's tables and projector, one adapter trained in turns."""

    kinds = ("image", "vl")

    def build(self) -> None:
        torch.manual_seed(1)
        shape = self.shape
        self.crayon = CrayonEmbedding(shape.width // 4)
        self.projector = MLPProjector(shape.width // 4, shape.width)
        add_adapters(
            self.llm, rank=shape.lora_rank, alpha=shape.lora_rank, dropout=shape.lora_dropout
        )
        self.switch = AdapterSwitch(self.llm)

    def parameters(self) -> list[nn.Parameter]:
        parts: tuple[nn.Module, ...] = (self.llm, self.crayon, self.projector)
        return [p for part in parts for p in part.parameters()]

    def make_optimizer(self) -> SideAdamW:
        sides = {n: p for n, p in self.llm.named_parameters() if p.requires_grad}
        groups = [
            {"params": [p for n, p in sides.items() if adapter_of(n) == side], "side": side}
            for side in self.kinds
        ]
        rest = [*self.crayon.parameters(), *self.projector.parameters()]
        return SideAdamW([*groups, {"params": rest}], lr=self.lr)

    def injection(self, inputs: Inputs) -> Injection:
        pairs = self.crayon.pairs(inputs.classes, inputs.numbers)
        term = CrayonTerm(self.projector.project(self.crayon(pairs)), pairs.index)
        return Injection(self.shape.span, None, term, self.shape.batch, self.shape.length)

    def run(self, inputs: Inputs, number: int) -> float:
        kind = self.kinds[number % 2]
        self.switch.train_only(kind)
        self.optimizer.active_side = kind  # type: ignore[attr-defined]
        return super().run(inputs, number)


def without_crayon(step: DualStep) -> None:
    """Makes ours compute what the plain model computes, so that losses can be compared."""
    step.injection = copy.copy(PlainStep.injection).__get__(step)  # type: ignore[method-assign]
