"""CoLLaVO: CLIP, Crayon Prompt and an InternLM2 with PLoRA (Lee et al., 2024, arXiv 2402.11248)."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate import init_empty_weights
from torch import Tensor

from collavo.errors import CheckpointError, ConfigError, DataError
from collavo.modeling.adapters.image_weights import merge_image_weights, merges_images
from collavo.modeling.adapters.injection import InjectionState
from collavo.modeling.adapters.plora import PLoRADown
from collavo.modeling.adapters.quantize import make_place
from collavo.modeling.adapters.switch import has_adapters, switch_of
from collavo.modeling.adapters.targets import LLAMA_TARGETS, PLORA_ROLES, add_plora
from collavo.modeling.architectures.base import ImageContext, Visuals
from collavo.modeling.architectures.collavo_weights import (
    base_names,
    export_published,
    open_published,
    placed_rules,
)
from collavo.modeling.architectures.composition import ComposedVLM
from collavo.modeling.architectures.crayon_embeds import CrayonEmbeds
from collavo.modeling.architectures.drawn import draw_tensor
from collavo.modeling.architectures.image_embeds import ImageEmbeds
from collavo.modeling.architectures.parts import named_part, part_key
from collavo.modeling.architectures.published import PLORA_RANK, published_shapes, vision_fields
from collavo.modeling.checkpoints.artefact import apply_stage, base_of, write_artefact
from collavo.modeling.checkpoints.folder import CheckpointFolder
from collavo.modeling.checkpoints.load import load_weights
from collavo.modeling.checkpoints.rules import TensorRule
from collavo.modeling.checkpoints.stage_folder import Base, base_files, is_stage, open_stage
from collavo.modeling.crayon.embedding import CrayonEmbedding
from collavo.modeling.image_policies.square import Squash, square_input
from collavo.modeling.llms.base import resolve_settings
from collavo.modeling.llms.chat_templates import get_chat_template
from collavo.modeling.llms.internlm2 import InternLM2
from collavo.modeling.llms.mimetic import match_queries_and_keys
from collavo.modeling.llms.tokenizer import TOKENIZER_FILE, published_tokenizer
from collavo.modeling.projectors.mlp import MLPProjector
from collavo.modeling.vision_encoders.clip_vit import MEAN, CLIPVisionEncoder
from collavo.modeling.weights import builtin_weights, resolve_weights
from collavo.registry import ARCHITECTURES

if TYPE_CHECKING:
    from typing import Self

    from collavo.modeling.architectures.merge import Merged
    from collavo.modeling.image_policies.base import VisualInput
    from collavo.modeling.ops.merge_embeds import Layout
    from collavo.records import CrayonPrompt

TEMPLATES = {"eval": "collavo", "demo": "collavo_demo"}
"""CRAYON.TEMPLATE -> chat template."""

PARTS = {
    "vision_encoder": "clip_vit",
    "projector": "mlp",
    "llm": "internlm2",
    "image_policy": "squash",
}
"""What the published format has a place for."""


@ARCHITECTURES.register("collavo")
class CoLLaVO(ComposedVLM):
    """CLIP features and a Crayon Prompt, injected into InternLM2 through PLoRA on image tokens.

    Args:
        config: The fields of the published config.json, with an optional `vision_config`.
        rank: PLoRA's rank; the published scale alpha / rank is 1.
        attn: transformers' name of the attention implementation.
        template: The chat template.
        dropout: On PLoRA's input, in training. Source: the published training used 0.05.
        image_size: Height and width of the images in pixels, the checkpoint's own if None.
    """

    kind = "collavo"
    uses_crayon = True
    roles = PLORA_ROLES

    vision_encoder: CLIPVisionEncoder

    source: CheckpointFolder | None = None
    """The checkpoint that the weights were read from."""

    stop: str = "turn_end"
    """What `Generation.stop` should be where the caller has no wish of its own."""

    def __init__(
        self,
        config: Mapping[str, Any],
        rank: int = PLORA_RANK,
        attn: str = "sdpa",
        template: str = "collavo",
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
        self.template = get_chat_template(template, "MODEL.TEMPLATE")
        self.merges_images = False

    @property
    def untrained(self) -> bool:
        """Whether the checkpoint says that its weights are random."""
        return bool((self.config.get("collavo") or {}).get("untrained", False))

    def merge_image_weights(self) -> None:
        """Folds PLoRA into a second weight for image tokens: a faster prefill in more memory."""
        merge_image_weights(self.llm)

    def render(self, question: str, crayon_text: str | None, num_images: int = 1) -> str:
        return self.template.render(question, crayon_text, num_images)

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

    # ---- its checkpoint

    @classmethod
    def from_config(cls, cfg: Any, device: torch.device | str | None = None) -> Self:
        """Loads the model that the configuration names; the built-in tiny one if it names none.

        Args:
            cfg: The configuration.
            device: Where it runs; as `cfg.DEVICE` says if None.
        """
        for kind, part in PARTS.items():
            if named_part(cfg, kind) not in ("", part):
                raise ConfigError(
                    f"{part_key(kind)} is {named_part(cfg, kind)!r}, but a checkpoint of CoLLaVO "
                    f"has {part}: leave it empty, or put other parts together with MODEL.NAME vlm"
                )
        key = "RESUME_FROM" if cfg.RESUME_FROM else "MODEL.WEIGHTS"
        return cls.from_pretrained(
            cfg.RESUME_FROM or cfg.MODEL.WEIGHTS or builtin_weights("collavo"),
            bits=cfg.LLM.BITS,
            dtype=cfg.LLM.DTYPE,
            attn=cfg.LLM.ATTN,
            device=cfg.DEVICE if device is None else device,
            template=cfg.MODEL.TEMPLATE or TEMPLATES[cfg.CRAYON.TEMPLATE],
            stop=cfg.GENERATION.STOP,
            revision=cfg.MODEL.REVISION,
            image_size=cfg.INPUT.IMAGE_SIZE or None,
            key=key,
            merge=cfg.LLM.MERGE,
            files=("config.json", TOKENIZER_FILE),
        )

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        bits: int = 16,
        dtype: torch.dtype | str = "auto",
        attn: str = "auto",
        device: torch.device | str = "auto",
        template: str = "collavo",
        stop: str = "turn_end",
        revision: str = "",
        image_size: int | None = None,
        key: str = "checkpoint",
        merge: str = "auto",
        files: Sequence[str] = ("config.json",),
    ) -> Self:
        """Loads a checkpoint in the published format, for inference, with frozen weights.

        Of the folder that a stage of training left, it loads the base that is named there, and
        puts the trained parts and adapters on it.

        Args:
            folder: A folder, a hub id, or the folder that a stage of training left.
            bits: 4 and 8 quantise the LLM's base linears; 16 keeps them in `dtype`.
            dtype: fp32, bf16, fp16 or auto (float32 on CPU, bfloat16 on CUDA).
            attn: auto, sdpa, eager or flash_attention_2.
            device: auto, cpu, cuda or a device.
            template: The chat template.
            stop: "turn_end" or "original"; kept for callers that build a `Generation`.
            revision: The hub revision.
            image_size: Pixels; other than the checkpoint's it interpolates the positions.
            key: The config key that holds `folder`, for messages.
            merge: Fold PLoRA into a second weight for image tokens: "on", "off", or "auto", in
                float32 while that takes no more than `MERGE_LIMIT`.
            files: What must be there beside the weights.

        Raises:
            CheckpointError: The folder is not exactly a checkpoint of the published format, or a
                stage's base is not the one that it was trained on.
            MissingFileError: A file is not there.
            ConfigError: A value is not allowed, or needs what this machine lacks.
        """
        settings = resolve_settings(bits, dtype, attn, device)
        where, kind = settings.device, settings.dtype
        place = make_place(bits, kind, where)
        stage = open_stage(folder) if is_stage(folder) else None
        if stage is not None and stage.model != cls.kind:
            raise CheckpointError(
                f"{key}: {folder} is a stage of the model {stage.model!r}: set MODEL.NAME "
                f"{stage.model}"
            )
        if stage is None:
            path, origin = resolve_weights(str(folder), revision, files, key), (folder, revision)
        else:
            path, origin = stage.base_folder(files), (stage.base.weights, stage.base.revision)
        source, rank = open_published(path)
        if stage is not None:
            stage.check_base(source)
        tokenizer = published_tokenizer(path, source.config["vocab_size"])
        with init_empty_weights(include_buffers=False):
            model = cls(source.config, rank, settings.attn, template, image_size=image_size)
        rules = model.stored_rules()
        load_weights(model, source, rules, kind, where, base_names(rules), place)
        model.tokenizer, model.source, model.stop = tokenizer, source, stop
        model.origin = (str(origin[0]), origin[1])
        if stage is not None:
            apply_stage(model, stage, kind, where)
            stage.compare_bits(bits)
        model.merges_images = merges_images(model.llm, merge, bits, kind)
        model.identity = {
            "bits": bits,
            "dtype": str(kind).removeprefix("torch."),
            "attention": settings.attn,
            "revision": revision,
            "image_size": model.image_size,
            "template": template,
            "merged": model.merges_images,
        }
        return model.eval()

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes the model in the published format; tensors that did not change are byte-equal.

        Raises:
            CheckpointError: It has adapters, which that format has no place for.
        """
        if has_adapters(self.llm):
            raise CheckpointError(
                "the model has adapters, for which the published format has no place: fold them "
                "in with `lbk_entry.py merge`"
            )
        rules = self.stored_rules()
        export_published(self, self.config, self.rank, rules, folder, self.source)
        if self.source is None and self.tokenizer is not None:
            for file in self.tokenizer.files:
                shutil.copyfile(file, Path(folder) / file.name)

    def stored_rules(self) -> dict[str, TensorRule]:
        return placed_rules(self.config, self.vision_encoder)

    def weight_files(self) -> dict[str, Path]:
        if self.source is None:
            raise CheckpointError("the model came from no checkpoint, so nothing identifies it")
        folder = self.source.folder
        files = [*self.source.files, folder / "config.json"]
        files += [folder / TOKENIZER_FILE] if self.tokenizer is not None else []
        # with their folders: shards of one name may lie in several
        return {file.relative_to(folder).as_posix(): file for file in files}

    def stage_base(self, folder: Path) -> Base:
        if self.source is None:
            raise CheckpointError("the model came from no checkpoint, so its adapters have no base")
        return base_of(self.origin, self.identity, base_files(self.source), folder)

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
        about = dict(self.config.get("collavo") or {})
        about.pop("untrained", None)
        about.pop("note", None)
        self.config = {**self.config, "collavo": about}
        shapes = published_shapes(self.config, self.rank)
        for name, rule in self.stored_rules().items():
            whole = draw_tensor(name, shapes[name], seed)
            if name.endswith(("Plora_B.weight", "Plora_seg_B.weight")):
                whole.zero_()
            for target, part in zip(rule.targets, rule.parts(whole), strict=False):
                self.get_parameter(target).copy_(part)
        match_queries_and_keys(self.llm, seed)

    @classmethod
    def merge_stage(cls, source: Path, target: Path, dtype: torch.dtype | None = None) -> Merged:
        from collavo.modeling.architectures.merge import merge

        return merge(source, target, dtype)

    def save_stage(self, folder: Path) -> None:
        """Writes the published format; where there are adapters, a stage's artefact on its base."""
        if switch_of(self.llm) is None:
            self.save_pretrained(folder)
            return
        write_artefact(self, folder)
