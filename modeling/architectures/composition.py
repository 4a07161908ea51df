"""The base of every model that is a vision encoder, a projector and a causal decoder.

Prefix sharing, answering, generation and option scoring are written once, here. A model over it
says two things of its own: what the decoder gets of the images (`embed_images`), and what is to be
around the decoder while it runs over them (`around_llm`).

Shapes: B rows, T tokens, S positions once images are expanded, I images, N visual tokens of an
image, M of all images of a batch, C vision width, D decoder width, V vocabulary.
"""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers.modeling_outputs import CausalLMOutputWithPast

from collavo.errors import CheckpointError, DataError
from collavo.modeling.architectures.base import Architecture, Generation, ImageContext, Visuals
from collavo.modeling.architectures.image_embeds import ImageEmbeds
from collavo.modeling.architectures.reuse import ReuseCheck
from collavo.modeling.checkpoints.digest import file_digest
from collavo.modeling.checkpoints.rules import TensorRule
from collavo.modeling.image_policies.base import stacked
from collavo.modeling.ops.decoding import generate_shared, score_options
from collavo.modeling.ops.generate_plain import generate_plain
from collavo.modeling.ops.merge_embeds import (
    IGNORE_INDEX,
    Layout,
    lay_out,
    merge_image_embeds,
    padding_side,
)
from collavo.modeling.ops.prefill_cache import PrefillCache
from collavo.modeling.ops.prefix_cache import PrefixCache
from collavo.modeling.ops.prefix_check import LIMIT, last_layer_apart, noise_limit
from collavo.modeling.ops.sampling import Sampler

if TYPE_CHECKING:
    from typing import Self

    from jaxtyping import Float, Int
    from PIL import Image
    from transformers import PreTrainedModel

    from collavo.modeling.checkpoints.stage_folder import Stage
    from collavo.modeling.image_policies.base import ImagePolicy, VisualInput
    from collavo.modeling.llms.chat import ChatTemplate, LLMTokenizer
    from collavo.modeling.projectors.base import Projector
    from collavo.modeling.vision_encoders.base import VisionEncoder, VisionFeatures
    from collavo.records import CrayonPrompt


class ComposedVLM(Architecture):
    """Vision encoder, projector and decoder, each a part of its own.

    Subclasses build the parts in `__init__` (see `assemble`), and give `render`, `from_config`,
    `weight_files` and `stored_rules`.
    """

    supports_prefix = True

    vision_encoder: VisionEncoder
    projector: Projector
    llm: PreTrainedModel
    image_policy: ImagePolicy
    image_token_id: int
    template: ChatTemplate

    tokenizer: LLMTokenizer | None = None
    """None where the checkpoint came without one."""

    stage: Stage | None = None
    """The stage whose trained parts and adapters lie on the base's weights."""

    def assemble(
        self,
        vision_encoder: VisionEncoder,
        projector: Projector,
        llm: PreTrainedModel,
        image_policy: ImagePolicy,
        image_token_id: int,
        pad_token_id: int,
    ) -> None:
        """Puts the parts in their place; the vision encoder is frozen until training frees it."""
        self.vision_encoder = vision_encoder.requires_grad_(False)
        self.llm = llm
        self.projector = projector
        self.image_policy = image_policy
        self.image_size, self.grid = vision_encoder.image_size, vision_encoder.grid
        self.image_token_id, self.pad_token_id = image_token_id, pad_token_id
        self.max_positions = int(getattr(llm.config, "max_position_embeddings", 0) or 0)

    # ---- what a model over this base says of its own

    def embed_images(
        self,
        visuals: Visuals,
        crayon: CrayonPrompt | None = None,
        features: Sequence[Tensor] | None = None,
    ) -> ImageEmbeds:
        """Computes what the decoder gets of images.

        Args:
            visuals: The images, I of them, at least one.
            crayon: Their Crayon Prompt; ignored by a model that takes none.
            features: What `image_features` gave for them, where it is known.
        """
        if features is not None or len({visual.shape_key for visual in visuals}) == 1:
            embeds = self.projector(features or self._features(visuals))
            return ImageEmbeds(embeds.flatten(0, 1), (embeds.shape[1],) * len(embeds))
        # each shape is computed as a batch of its own, and the images put back in their order
        made: dict[int, Tensor] = {}
        for key in dict.fromkeys(visual.shape_key for visual in visuals):
            rows = [i for i, visual in enumerate(visuals) if visual.shape_key == key]
            part = self.projector(self._features([visuals[i] for i in rows]))
            made |= zip(rows, part, strict=True)
        embeds = [made[i] for i in range(len(visuals))]
        return ImageEmbeds(torch.cat(embeds), tuple(len(each) for each in embeds))

    def around_llm(
        self, embeds: ImageEmbeds | None, layout: Layout, prefill: bool = False
    ) -> AbstractContextManager[None]:
        """Returns what is around the decoder while it runs over a layout; nothing by default.

        Args:
            embeds: The images in the layout, None without any.
            layout: Where they lie.
            prefill: The block holds a whole generation, of which the first forward pass alone
                sees the layout.
        """
        return nullcontext()

    def train(self, mode: bool = True) -> Self:
        """Switches to training or evaluation; a frozen vision encoder always evaluates."""
        super().train(mode)
        if not any(p.requires_grad for p in self.vision_encoder.parameters()):
            self.vision_encoder.eval()
        return self

    # ---- what it was made of

    @abstractmethod
    def weight_files(self) -> dict[str, Path]:
        """Returns the files that decide on what it computes, by names that are alike anywhere.

        Raises:
            CheckpointError: It came from no checkpoint.
        """

    @abstractmethod
    def stored_rules(self) -> dict[str, TensorRule]:
        """Returns where each stored tensor goes in the model."""

    def fingerprint(self) -> str:
        """Hashes the weights' content and all settings of the model that change its output.

        Raises:
            CheckpointError: The model came from no checkpoint.
        """
        files = {name: file_digest(file) for name, file in self.weight_files().items()}
        items = {**self.identity, "files": files}
        if self.stage is not None:
            items["stage"] = {name: file_digest(f) for name, f in self.stage.files.items()}
        return hashlib.sha256(json.dumps(items, sort_keys=True).encode()).hexdigest()

    # ---- images

    def prepare(self, image: Image.Image) -> VisualInput:
        return self.image_policy(image)

    @torch.no_grad()
    def image_features(self, visuals: Visuals) -> list[Tensor]:
        return self._features(visuals)

    def _features(self, visuals: Visuals) -> list[Tensor]:
        """Returns the levels of features of images of one shape, each (I, N, C).

        Raises:
            DataError: They are of another size than the encoder takes.
        """
        pixels = stacked(visuals, "pixel_values", self.device)
        found: VisionFeatures = self.vision_encoder(pixels)
        return found.levels

    @property
    def num_tokens(self) -> int:
        """Visual tokens of an image that lies on the encoder's own grid."""
        return self.projector.num_tokens(self.grid)

    # ---- whole sequences

    def forward(
        self,
        input_ids: Int[Tensor, "batch text"],
        visuals: Visuals = (),
        crayon: CrayonPrompt | None = None,
        attention_mask: Int[Tensor, "batch text"] | None = None,
        labels: Int[Tensor, "batch text"] | None = None,
        logits_to_keep: int | None = 0,
        reduction: str = "mean",
    ) -> CausalLMOutputWithPast:
        """Runs the model on whole sequences.

        Args:
            input_ids: (B, T) each image is one id; it is expanded here to its visual tokens.
            visuals: The images in the order of their ids, row by row.
            crayon: The images' Crayon Prompt.
            attention_mask: (B, T) 0 at padding, on either side.
            labels: (B, T) -100 where no loss is wanted. The mean is over the others.
            logits_to_keep: Logits of this many last positions, 0 for all, None for no logits: then
                the loss is computed on labelled positions only, in far less memory.
            reduction: "mean", or "none" for the loss of each labelled token.

        Returns:
            `logits` (B, S, V) over the expanded sequence, and `loss`: the mean, or (labelled
            tokens,) row by row. The first token of a row is predicted by none and has no loss.
        """
        embeds = self.embed_images(visuals, crayon) if visuals else None
        layout = self._laid_out(
            input_ids.tolist(),
            embeds,
            side="left" if attention_mask is None else padding_side(attention_mask),
            masks=None if attention_mask is None else attention_mask.tolist(),
            labels=None if labels is None else labels.tolist(),
        )
        with self.around_llm(embeds, layout):
            hidden = self.llm.get_decoder()(
                inputs_embeds=self.embed(layout, embeds),
                attention_mask=layout.mask if layout.padded else None,
                use_cache=False,
            ).last_hidden_state  # (B, S, D)
        logits = None
        if logits_to_keep is not None:
            kept = hidden[:, -logits_to_keep:] if logits_to_keep else hidden
            logits = self.llm.lm_head(kept)
        loss = None if layout.labels is None else self.answer_loss(hidden, layout.labels, reduction)
        return CausalLMOutputWithPast(loss=loss, logits=logits)

    def answer_loss(self, hidden: Tensor, labels: Tensor, reduction: str) -> Tensor:
        """Cross entropy of the next token, computed where there is a label.

        Args:
            hidden: (B, S, D).
            labels: (B, S).
            reduction: As `forward` has it.
        """
        targets = labels[:, 1:].flatten()  # position s predicts the token at s + 1
        chosen = (targets != IGNORE_INDEX).nonzero().squeeze(1)
        # the head runs on labelled positions alone: all logits would be B * S * V numbers
        states = hidden[:, :-1].flatten(0, 1).index_select(0, chosen)
        logits = self.llm.lm_head(states)
        return F.cross_entropy(logits.float(), targets.index_select(0, chosen), reduction=reduction)

    def embed(
        self, layout: Layout, embeds: ImageEmbeds | None
    ) -> Float[Tensor, "batch length width"]:
        """Returns the sequence's embeddings with the images in it.

        Raises:
            DataError: A sequence is longer than the decoder takes.
        """
        self._check_length(layout.ids.shape[1])
        text = self.llm.get_input_embeddings()(layout.ids)
        return text if embeds is None else merge_image_embeds(text, embeds.embeds, layout)

    def _laid_out(
        self, rows: Sequence[Sequence[int]], embeds: ImageEmbeds | None, **options: Any
    ) -> Layout:
        counts = () if embeds is None else embeds.counts
        return lay_out(
            rows, self.image_token_id, counts, self.pad_token_id, device=self.device, **options
        )

    def _check_length(self, length: int) -> None:
        if 0 < self.max_positions < length:
            raise DataError(f"a prompt has {length} tokens; the model takes {self.max_positions}")

    # ---- answers

    def known_tokenizer(self) -> LLMTokenizer:
        """Returns the tokenizer.

        Raises:
            CheckpointError: The checkpoint came without one.
        """
        if self.tokenizer is None:
            where = self.origin[0] or "the model"
            raise CheckpointError(f"{where} has no tokenizer.model; place the published one there")
        return self.tokenizer

    def tokenize(self, prompt: str) -> list[int]:
        return self.known_tokenizer().encode(prompt, add_bos=self.template.bos)

    def stop_ids(self, generation: Generation) -> list[int]:
        """Returns the ids that end an answer: the end of sequence, and the end of turn if asked.

        A checkpoint without a tokenizer knows no end of turn.
        """
        eos: Any = self.llm.config.eos_token_id
        ids: list[int] = list(eos) if isinstance(eos, (list, tuple)) else [eos]
        turn_end = None if self.tokenizer is None else self.tokenizer.turn_end_id
        if generation.stop == "turn_end" and turn_end is not None:
            ids.append(turn_end)
        return ids

    def texts(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """Decodes new tokens up to the end of sequence or of turn, whichever comes first.

        Source: the original of CoLLaVO cuts the text after the last "assistant" line and before
        "[UN", and so prints a later turn that the model made up; here the first turn is the answer.
        """
        tokenizer = self.known_tokenizer()
        ends = set(self.stop_ids(Generation(stop="turn_end")))
        answers = []
        for row in rows:
            end = next((i for i, token in enumerate(row) if token in ends), len(row))
            answers.append(tokenizer.decode(row[:end]).strip())
        return answers

    @torch.no_grad()
    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        visuals: Sequence[Visuals],
        crayon: CrayonPrompt | None,
        generation: Generation,
    ) -> list[str]:
        if not prompts:
            return []
        flat = [visual for row in visuals for visual in row]
        embeds = self.embed_images(flat, crayon) if flat else None
        return self.texts(self.generate_ids(prompts, embeds, generation))

    def generate_ids(
        self,
        prompts: Sequence[Sequence[int]],
        embeds: ImageEmbeds | None,
        generation: Generation,
    ) -> list[list[int]]:
        """Generates through transformers' own `generate`, nothing shared between rows.

        Returns:
            The new token ids of each prompt, its end token included.
        """
        if generation.do_sample and generation.num_beams > 1:
            # transformers draws beams from one global stream, which depends on the batch
            contexts = self._prefill([prompt[:-1] for prompt in prompts], embeds)
            last = [prompt[-1:] for prompt in prompts]
            return self._over_prefixes(contexts, last, range(len(last)), generation)
        layout = self._laid_out(prompts, embeds)  # padded on the left: all rows end together
        sampler = None
        if generation.do_sample:
            sampler = Sampler(generation, [_key(prompt) for prompt in prompts])
        with self.around_llm(embeds, layout, prefill=True):
            return generate_plain(
                self.llm,
                self.embed(layout, embeds),
                layout.mask,
                generation,
                self.stop_ids(generation),
                self.pad_token_id,
                sampler,
            )

    @torch.no_grad()
    def encode(
        self,
        visuals: Sequence[Visuals],
        crayon: CrayonPrompt | None,
        prefixes: Sequence[Sequence[int]],
        reuse: str = "prefix",
        features: Sequence[Tensor] | None = None,
    ) -> list[ImageContext]:
        flat = [visual for row in visuals for visual in row]
        embeds = self.embed_images(flat, crayon, features) if flat else None
        if reuse == "prefix":
            return self._prefill(prefixes, embeds)
        if reuse != "vision" or embeds is None:
            raise ValueError(f"reuse is 'prefix' or 'vision', not {reuse!r}")
        return [
            ImageContext(tuple(prefix), part, sum(part.counts), part.nbytes)
            for prefix, part in zip(
                prefixes, embeds.split([len(row) for row in visuals]), strict=True
            )
        ]

    def answer(
        self,
        contexts: Sequence[ImageContext],
        suffixes: Sequence[Sequence[int]],
        owners: Sequence[int],
        generation: Generation,
    ) -> list[str]:
        return self.texts(self.answer_ids(contexts, suffixes, owners, generation))

    @torch.no_grad()
    def answer_ids(
        self,
        contexts: Sequence[ImageContext],
        suffixes: Sequence[Sequence[int]],
        owners: Sequence[int],
        generation: Generation,
    ) -> list[list[int]]:
        """Answers questions on encoded images, in token ids; see `answer`."""
        if not suffixes:
            return []
        if all(isinstance(context.cache, PrefixCache) for context in contexts):
            return self._over_prefixes(contexts, suffixes, owners, generation)
        # reuse "vision": each question has a prefill of its own, over the images' embeddings
        prompts = [(*contexts[o].prefix_ids, *s) for o, s in zip(owners, suffixes, strict=True)]
        kept = [contexts[owner].cache for owner in owners]
        return self.generate_ids(prompts, type(kept[0]).join(kept), generation)

    @torch.no_grad()
    def check_reuse(
        self,
        level: str,
        context: ImageContext,
        suffix: Sequence[int],
        visuals: Visuals,
        crayon: CrayonPrompt | None,
        features: Sequence[Tensor] | None = None,
    ) -> ReuseCheck | None:
        shared = context.cache
        if not isinstance(shared, PrefixCache):
            return None  # embeddings of the images, which no question goes into
        prompt = (*context.prefix_ids, *suffix)
        embeds = self.embed_images(visuals, crayon, features) if visuals else None
        plain = self._prefill([prompt], embeds)[0].cache
        deviation, limit = last_layer_apart(shared, plain), LIMIT
        if deviation > limit and not self._keeps_float32:
            batched = self._beside_another(prompt, embeds)
            limit = noise_limit(last_layer_apart(plain, batched), plain.keys[-1].dtype)
        return ReuseCheck(deviation, limit, "the last layer's keys and values of the prefix")

    def _beside_another(self, prompt: Sequence[int], embeds: ImageEmbeds | None) -> PrefixCache:
        """Computes a prompt's keys and values as a plain batch does: beside another, with a mask.

        The other is the prompt backwards without its end. It has to hold other states: in 8 bits
        the widest values of all rows decide on how each row is rounded.
        """
        both = None if embeds is None else type(embeds).join([embeds, embeds])
        layout = self._laid_out([prompt[-2::-1], prompt], both)
        mask = layout.mask.long()
        cache = PrefillCache(self.llm.config)
        with self.around_llm(both, layout):
            cache.fill(
                self.llm.get_decoder(),
                inputs_embeds=self.embed(layout, both),
                attention_mask=mask,
                position_ids=(mask.cumsum(1) - 1).clamp(min=0),
            )
        return PrefixCache.split(cache, [mask.shape[1]] * 2)[1]

    @property
    def _keeps_float32(self) -> bool:
        """Whether nothing in the decoder is computed in fewer bits; quantised weights are bytes."""
        return all(p.dtype in (torch.float32, torch.float64) for p in self.llm.parameters())

    @torch.no_grad()
    def score_options(
        self,
        contexts: Sequence[ImageContext],
        suffixes: Sequence[Sequence[int]],
        owners: Sequence[int],
        options: Sequence[Sequence[Sequence[int]]],
    ) -> list[list[tuple[float, float]]]:
        caches = [context.cache for context in contexts]
        return score_options(self.llm, caches, suffixes, owners, options)

    def _prefill(
        self, prefixes: Sequence[Sequence[int]], embeds: ImageEmbeds | None
    ) -> list[ImageContext]:
        """Computes the keys and values of several images' prefixes as one batch.

        The rows are padded on the right: then causal attention needs no mask, and the images of
        equal beginnings lie at the same positions in all rows.
        """
        layout = self._laid_out(prefixes, embeds, side="right")
        cache = PrefillCache(self.llm.config)
        inputs = self.embed(layout, embeds)
        with self.around_llm(embeds, layout):
            cache.fill(self.llm.get_decoder(), inputs_embeds=inputs)
        return [
            ImageContext(tuple(prefix), part, part.length, part.nbytes)
            for prefix, part in zip(prefixes, PrefixCache.split(cache, layout.lengths), strict=True)
        ]

    def _over_prefixes(
        self,
        contexts: Sequence[ImageContext],
        suffixes: Sequence[Sequence[int]],
        owners: Sequence[int],
        generation: Generation,
    ) -> list[list[int]]:
        """Generates over shared prefixes; the new ids of each question."""
        pairs = list(zip(owners, suffixes, strict=True))
        self._check_length(max(contexts[o].num_tokens + len(suffix) for o, suffix in pairs))
        return generate_shared(
            self.llm,
            [context.cache for context in contexts],
            suffixes,
            owners,
            generation,
            self.stop_ids(generation),
            [_key((*contexts[o].prefix_ids, *suffix)) for o, suffix in pairs],
        )


def _key(prompt: Sequence[int]) -> str:
    """What seeds a question's draws: its whole prompt, whatever part of it is shared."""
    return " ".join(map(str, prompt))
