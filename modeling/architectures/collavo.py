"""CoLLaVO: CLIP, Crayon Prompt and an InternLM2 with PLoRA (Lee et al., 2024, arXiv 2402.11248)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from collavo.errors import DataError
from collavo.modeling.adapters.injection import CrayonTerm, Injection, InjectionState
from collavo.modeling.adapters.plora import PLoRADown
from collavo.modeling.adapters.switch import switch_of
from collavo.modeling.adapters.targets import (
    LLAMA_TARGETS,
    PLORA_ROLES,
    add_plora,
    plora_linears,
)
from collavo.modeling.architectures.base import ImageContext, Visuals
from collavo.modeling.architectures.collavo_loading import PublishedCheckpoint, rules_of
from collavo.modeling.architectures.image_embeds import ImageEmbeds
from collavo.modeling.architectures.published import PLORA_RANK, published_shapes, vision_fields
from collavo.modeling.crayon.embedding import CrayonEmbedding
from collavo.modeling.image_policies.square import Squash, square_input
from collavo.modeling.llms.internlm2 import InternLM2
from collavo.modeling.llms.mimetic import match_queries_and_keys
from collavo.modeling.llms.templates import get_template
from collavo.modeling.projectors.mlp import MLPProjector
from collavo.modeling.vision_encoders.clip_vit import MEAN, CLIPVisionEncoder
from collavo.registry import ARCHITECTURES

if TYPE_CHECKING:
    from typing import Self

    from jaxtyping import Float, Int

    from collavo.modeling.image_policies.base import VisualInput
    from collavo.modeling.ops.merge_embeds import Layout
    from collavo.records import CrayonPrompt


@dataclass(frozen=True)
class CrayonEmbeds(ImageEmbeds):
    """Visual tokens with the crayon that lies on them.

    Args:
        crayon: (P, D) projected crayon of each distinct (class, number) pair, or None.
        index: (M,) the pair of each visual token, or None.
    """

    crayon: Float[Tensor, "pairs width"] | None = None
    index: Int[Tensor, " tokens"] | None = None

    @property
    def nbytes(self) -> int:
        held = (self.embeds, self.crayon, self.index)
        return sum(t.untyped_storage().nbytes() for t in held if t is not None)

    def injection(self, layout: Layout) -> Injection:
        """Tells PLoRA where the images lie; image i is the layout's i-th."""
        batch, length = layout.ids.shape
        term = None
        if self.crayon is not None and self.index is not None:
            # with one image at the same place in all rows the index is (B, N)
            index = self.index if layout.span is None else self.index.view(batch, -1)
            term = CrayonTerm(self.crayon, index)
        rows = layout.rows if layout.span is None else None
        return Injection(layout.span, rows, term, batch, length)

    def part(self, tokens: slice, counts: tuple[int, ...]) -> Self:
        part = super().part(tokens, counts)
        if self.crayon is None or self.index is None:
            return part
        used, index = self.index[tokens].unique(return_inverse=True)
        return replace(part, crayon=self.crayon[used], index=index)

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """Returns all images of several parts; all have a crayon or none has.

        Raises:
            ValueError: Some have a crayon and some have none.
        """
        joined = super().join(parts)
        crayons = [p.crayon for p in parts if p.crayon is not None]
        indices = [p.index for p in parts if p.index is not None]
        if not crayons:
            return joined
        if len(crayons) != len(parts):
            raise ValueError("images with and without a crayon cannot be in one batch")
        starts = torch.tensor([0, *(len(c) for c in crayons[:-1])]).cumsum(0).tolist()
        moved = [index + start for index, start in zip(indices, starts, strict=True)]
        return replace(joined, crayon=torch.cat(crayons), index=torch.cat(moved))


@ARCHITECTURES.register("collavo")
class CoLLaVO(PublishedCheckpoint):
    """CLIP features and a Crayon Prompt, injected into InternLM2 through PLoRA on image tokens.

    Args:
        config: The fields of the published config.json, with an optional `vision_config`.
        rank: PLoRA's rank; the published scale alpha / rank is 1.
        attn: transformers' name of the attention implementation.
        template: The chat template, "eval" or "demo".
        dropout: On PLoRA's input, in training. Source: the published training used 0.05.
        image_size: Height and width of the images in pixels, the checkpoint's own if None.
    """

    uses_crayon = True
    roles = PLORA_ROLES

    def __init__(
        self,
        config: Mapping[str, Any],
        rank: int = PLORA_RANK,
        attn: str = "sdpa",
        template: str = "eval",
        dropout: float = 0.05,
        image_size: int | None = None,
    ) -> None:
        super().__init__()
        vision = vision_fields(config)
        encoder = CLIPVisionEncoder(
            vision, image_size or vision["image_size"], attn if attn == "eager" else "sdpa"
        )
        llm = InternLM2.build(config, attn)
        width, channels = llm.config.hidden_size, encoder.width
        projector = MLPProjector(channels, width)
        self.assemble(
            encoder,
            projector,
            llm,
            Squash(encoder.image_size, projector.num_tokens(encoder.grid), MEAN),
            image_token_id=llm.config.vocab_size,  # the one embedding past the vocabulary
            pad_token_id=int(config.get("pad_token_id", 2)),
        )
        self.crayon = CrayonEmbedding(channels)
        self.crayon_projector = MLPProjector(channels, width)
        self.state = InjectionState()
        add_plora(self.llm, self.state, rank, targets=LLAMA_TARGETS, dropout=dropout)
        self.config: dict[str, Any] = dict(config)
        self.rank = rank
        self.template = get_template(template)
        self.merges_images = False

    @property
    def untrained(self) -> bool:
        """Whether the checkpoint says that its weights are random."""
        return bool((self.config.get("collavo") or {}).get("untrained", False))

    def merge_image_weights(self) -> None:
        """Folds PLoRA into a second weight for image tokens: a faster prefill in more memory.

        Results differ by rounding. For inference; quantised and adapted linears stay as they are.
        """
        for _, linear in plora_linears(self.llm):
            if linear.merged is None and linear.mergeable:
                linear.merge()

    def train(self, mode: bool = True) -> Self:
        """Switches to training or evaluation; the frozen vision encoder always evaluates."""
        super().train(mode)
        self.vision_encoder.eval()
        return self

    def render(self, question: str, crayon_text: str | None) -> str:
        return self.template.render(question, crayon_text)

    def tokenize(self, prompt: str) -> list[int]:
        return self.known_tokenizer().encode(prompt)

    def squares(self, pixels: Tensor) -> list[VisualInput]:
        """Wraps images that have the model's size already: uint8 RGB (I, 3, H, W)."""
        return [square_input(image, self.num_tokens) for image in pixels]

    # ---- the hooks of the common base

    def embed_images(
        self,
        visuals: Visuals,
        crayon: CrayonPrompt | None = None,
        features: Sequence[Tensor] | None = None,
    ) -> CrayonEmbeds:
        """Computes visual tokens, and the crayon that PLoRA adds at them.

        Raises:
            DataError: The maps are of another shape than the patches.
        """
        plain = super().embed_images(visuals, None, features)
        made = CrayonEmbeds(plain.embeds, plain.counts)
        if crayon is None or crayon.semantic is None or crayon.number is None:
            return made
        wanted = (len(made.counts), *self.grid)
        if tuple(crayon.semantic.shape) != wanted:
            raise DataError(
                f"the crayon map is {tuple(crayon.semantic.shape)}; {len(made.counts)} images need "
                f"{wanted}"
            )
        # tables and projector run on the distinct (class, number) pairs, some ten to fifty, and
        # not on every cell of every map
        pairs = self.crayon.pairs(crayon.semantic, crayon.number)
        term = self.crayon_projector.project(self.crayon(pairs))
        return replace(made, crayon=term, index=pairs.index.flatten())

    def around_llm(
        self, embeds: ImageEmbeds | None, layout: Layout, prefill: bool = False
    ) -> AbstractContextManager[None]:
        """Lets PLoRA know where the images lie, and what the crayon adds there."""
        injection = embeds.injection(layout) if isinstance(embeds, CrayonEmbeds) else None
        if prefill:
            return self.state.prefill(self.llm, injection)
        return self.state.injection(injection)

    def encode(
        self,
        visuals: Sequence[Visuals],
        crayon: CrayonPrompt | None,
        prefixes: Sequence[Sequence[int]],
        reuse: str = "prefix",
        features: Sequence[Tensor] | None = None,
    ) -> list[ImageContext]:
        if reuse == "prefix" and self.merges_images and not self.training:
            self.merge_image_weights()
        return super().encode(visuals, crayon, prefixes, reuse, features)

    # ---- training

    def gradient_checkpointing_enable(self) -> None:
        """Recomputes each decoder layer in the backward pass, with its own image tokens."""
        self.state.checkpoint_layers(self.llm)

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
        from collavo.modeling.architectures.tiny.checkpoint import draw_tensor

        about = dict(self.config.get("collavo") or {})
        about.pop("untrained", None)
        about.pop("note", None)
        self.config = {**self.config, "collavo": about}
        shapes = published_shapes(self.config, self.rank)
        for name, rule in rules_of(self).items():
            whole = draw_tensor(name, shapes[name], seed)
            if name.endswith(("Plora_B.weight", "Plora_seg_B.weight")):
                whole.zero_()
            for target, part in zip(rule.targets, rule.parts(whole), strict=False):
                self.get_parameter(target).copy_(part)
        match_queries_and_keys(self.llm, seed)

    def save_stage(self, folder: Path) -> None:
        """Writes the published format; where there are adapters, a stage's artefact on its base."""
        if switch_of(self.llm) is None:
            self.save_pretrained(folder)
            return
        from collavo.modeling.checkpoints.artefact import write_artefact

        write_artefact(self, folder)
