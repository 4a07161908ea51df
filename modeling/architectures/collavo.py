"""CoLLaVO: CLIP, Crayon Prompt and an InternLM2 with PLoRA (Lee et al., 2024, arXiv 2402.11248)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers.modeling_outputs import CausalLMOutputWithPast

from collavo.errors import CheckpointError, DataError
from collavo.modeling.adapters.injection import Injection, InjectionState
from collavo.modeling.adapters.targets import (
    LLAMA_TARGETS,
    PLORA_ROLES,
    add_plora,
    plora_linears,
)
from collavo.modeling.architectures import collavo_answers as answers
from collavo.modeling.architectures.base import Architecture, Generation, ImageContext
from collavo.modeling.architectures.collavo_loading import PublishedCheckpoint
from collavo.modeling.architectures.collavo_sight import Sight, look, sight_of
from collavo.modeling.architectures.collavo_training import TrainableCoLLaVO
from collavo.modeling.architectures.published import PLORA_RANK, vision_fields
from collavo.modeling.crayon.embedding import CrayonEmbedding
from collavo.modeling.llms.internlm2 import InternLM2
from collavo.modeling.llms.templates import get_template
from collavo.modeling.ops.merge_embeds import (
    Layout,
    lay_out,
    merge_image_embeds,
    padding_side,
)
from collavo.modeling.ops.prefix_cache import PrefixCache
from collavo.modeling.projectors.mlp import MLPProjector
from collavo.modeling.vision_encoders.clip_vit import CLIPVisionEncoder
from collavo.registry import ARCHITECTURES

if TYPE_CHECKING:
    from typing import Self

    from jaxtyping import Float, Int, UInt8

    from collavo.modeling.llms.tokenizer import CoLLaVOTokenizer
    from collavo.records import CrayonPrompt


@ARCHITECTURES.register("collavo")
class CoLLaVO(PublishedCheckpoint, TrainableCoLLaVO, Architecture):
    """CLIP features and a Crayon Prompt, injected into InternLM2 through PLoRA on image tokens.

    Args:
        config: The fields of the published config.json, with an optional `vision_config`.
        rank: PLoRA's rank; the published scale alpha / rank is 1.
        attn: transformers' name of the attention implementation.
        template: The chat template, "eval" or "demo".
        dropout: On PLoRA's input, in training. Source: the published training used 0.05.
        image_size: Height and width of the images in pixels, the checkpoint's own if None.
    """

    supports_prefix = True
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
        self.vision_encoder = CLIPVisionEncoder(
            vision, image_size or vision["image_size"], attn if attn == "eager" else "sdpa"
        )
        self.vision_encoder.requires_grad_(False)
        self.llm = InternLM2.build(config, attn)
        width, channels = self.llm.config.hidden_size, self.vision_encoder.width
        self.projector = MLPProjector(channels, width)
        self.crayon = CrayonEmbedding(channels)
        self.crayon_projector = MLPProjector(channels, width)
        self.state = InjectionState()
        add_plora(self.llm, self.state, rank, targets=LLAMA_TARGETS, dropout=dropout)
        self.config: dict[str, Any] = dict(config)
        self.rank = rank
        self.template = get_template(template)
        self.image_size = self.vision_encoder.image_size
        self.grid = self.vision_encoder.grid
        self.num_tokens = self.projector.num_tokens(self.grid)
        self.image_token_id: int = self.llm.config.vocab_size
        self.pad_token_id = int(config.get("pad_token_id", 2))
        self.max_positions: int = self.llm.config.max_position_embeddings
        self.merges_images = False

    @property
    def device(self) -> torch.device:
        """Where the model runs."""
        return next(self.projector.parameters()).device

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

    def known_tokenizer(self) -> CoLLaVOTokenizer:
        """Returns the tokenizer.

        Raises:
            CheckpointError: The checkpoint came without one.
        """
        if self.tokenizer is None:
            where = self.source.folder if self.source is not None else "the model"
            raise CheckpointError(f"{where} has no tokenizer.model; place the published one there")
        return self.tokenizer

    @torch.no_grad()
    def look(self, pixel_values: Tensor) -> list[Tensor]:
        return look(self, pixel_values)

    def see(
        self,
        pixel_values: UInt8[Tensor, "batch 3 height width"],
        crayon: CrayonPrompt | None,
        features: Sequence[Tensor] | None = None,
    ) -> Sight:
        """Computes all that depends on the images alone, outside the LLM.

        Args:
            pixel_values: RGB in [0, 255].
            crayon: The Crayon Prompt of the batch; without maps (or None) nothing is injected.
            features: What `look` gave for the images, where it is known.
        """
        return sight_of(self, features or look(self, pixel_values), crayon)

    def forward(
        self,
        input_ids: Int[Tensor, "batch text"],
        pixel_values: UInt8[Tensor, "images 3 height width"] | None = None,
        crayon: CrayonPrompt | None = None,
        attention_mask: Int[Tensor, "batch text"] | None = None,
        labels: Int[Tensor, "batch text"] | None = None,
        logits_to_keep: int | None = 0,
        reduction: str = "mean",
    ) -> CausalLMOutputWithPast:
        """Runs the model on whole sequences.

        Args:
            input_ids: Each `<image>` is one id; it is expanded here to N visual tokens.
            pixel_values: The images in the order of their ids, row by row.
            crayon: The images' Crayon Prompt.
            attention_mask: 0 at padding, on either side.
            labels: -100 where no loss is wanted. The mean cross entropy is over the others.
            logits_to_keep: Logits of this many last positions, 0 for all, None for no logits: then
                the loss is computed on labelled positions only, in far less memory.
            reduction: "mean", or "none" for the loss of each labelled token.

        Returns:
            `logits` (B, length, V) over the expanded sequence, and `loss`: the mean, or (M,) row
            by row. The first token of a row is predicted by none and has no loss.
        """
        layout = lay_out(
            input_ids.tolist(),
            self.image_token_id,
            self.num_tokens,
            self.pad_token_id,
            side="left" if attention_mask is None else padding_side(attention_mask),
            masks=None if attention_mask is None else attention_mask.tolist(),
            labels=None if labels is None else labels.tolist(),
            device=self.device,
        )
        sight = None if pixel_values is None else self.see(pixel_values, crayon)
        embeds, injection = self.embed(layout, sight)
        with self.state.injection(injection):
            hidden = self.llm.get_decoder()(
                inputs_embeds=embeds,
                attention_mask=layout.mask if layout.padded else None,
                use_cache=False,
            ).last_hidden_state
        logits = None
        if logits_to_keep is not None:
            kept = hidden[:, -logits_to_keep:] if logits_to_keep else hidden
            logits = self.llm.lm_head(kept)
        loss = None if layout.labels is None else self.answer_loss(hidden, layout.labels, reduction)
        return CausalLMOutputWithPast(loss=loss, logits=logits)

    def embed(
        self, layout: Layout, sight: Sight | None
    ) -> tuple[Float[Tensor, "batch length width"], Injection | None]:
        """Returns the sequence's embeddings with the images in it, and what PLoRA needs to know.

        Raises:
            DataError: Images and image tokens differ in number, or a sequence is too long.
        """
        images = 0 if sight is None else len(sight.image)
        tokens = len(layout.rows) // self.num_tokens
        if images != tokens:
            raise DataError(f"{images} images came with {tokens} image tokens in the prompts")
        if layout.ids.shape[1] > self.max_positions:
            raise DataError(
                f"a prompt has {layout.ids.shape[1]} tokens; the model takes {self.max_positions}"
            )
        text = self.llm.get_input_embeddings()(layout.ids)
        if sight is None:
            return text, None
        return merge_image_embeds(text, sight.image, layout), sight.injection(layout)

    @torch.no_grad()
    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        pixel_values: Tensor | None,
        crayon: CrayonPrompt | None,
        generation: Generation,
    ) -> list[str]:
        if not prompts:
            return []
        sight = None if pixel_values is None else self.see(pixel_values, crayon)
        return answers.texts(self, answers.plain(self, prompts, sight, generation))

    @torch.no_grad()
    def encode(
        self,
        pixel_values: Tensor | None,
        crayon: CrayonPrompt | None,
        prefixes: Sequence[Sequence[int]],
        reuse: str = "prefix",
        features: Sequence[Tensor] | None = None,
    ) -> list[ImageContext]:
        """Computes the state of each image once.

        Args:
            pixel_values: uint8 RGB (B, 3, H, W) in [0, 255], or None.
            crayon: The Crayon Prompt of the batch, or None.
            prefixes: For each image the longest common token prefix of its prompts.
            reuse: "prefix" keeps the prefix's keys and values; "vision" only what is computed of
                the image outside the LLM, so that each question has a prefill of its own.
            features: What `look` gave for the images, where it is known.
        """
        sight = None if pixel_values is None else self.see(pixel_values, crayon, features)
        if reuse == "prefix":
            if self.merges_images and not self.training:
                self.merge_image_weights()
            return answers.prefill(self, prefixes, sight)
        if reuse != "vision" or sight is None:
            raise ValueError(f"reuse is 'prefix' or 'vision', not {reuse!r}")
        return [
            ImageContext(tuple(prefix), part, self.num_tokens, part.nbytes)
            for prefix, part in zip(prefixes, sight.split(), strict=True)
        ]

    @torch.no_grad()
    def answer(
        self,
        contexts: Sequence[ImageContext],
        suffixes: Sequence[Sequence[int]],
        owners: Sequence[int],
        generation: Generation,
    ) -> list[str]:
        if not suffixes:
            return []
        shared = all(isinstance(context.cache, PrefixCache) for context in contexts)
        over = answers.over_prefixes if shared else answers.over_sights
        return answers.texts(self, over(self, contexts, suffixes, owners, generation))

    @torch.no_grad()
    def score_options(
        self,
        contexts: Sequence[ImageContext],
        suffixes: Sequence[Sequence[int]],
        owners: Sequence[int],
        options: Sequence[Sequence[Sequence[int]]],
    ) -> list[list[tuple[float, float]]]:
        return answers.scores(self, contexts, suffixes, owners, options)
