"""Loading, saving and identifying CoLLaVO: from folder or hub id to a model in its place."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from accelerate import init_empty_weights

from collavo.errors import CheckpointError, ConfigError
from collavo.modeling.adapters.placement import Place
from collavo.modeling.adapters.switch import has_adapters
from collavo.modeling.adapters.targets import plora_linears
from collavo.modeling.architectures.collavo_weights import (
    base_names,
    export_published,
    open_published,
    published_rules,
)
from collavo.modeling.architectures.composition import ComposedVLM
from collavo.modeling.architectures.published import VIT, vision_fields
from collavo.modeling.checkpoints.artefact import apply_stage
from collavo.modeling.checkpoints.digest import file_digest
from collavo.modeling.checkpoints.load import load_weights
from collavo.modeling.checkpoints.rules import TensorRule
from collavo.modeling.checkpoints.stage_folder import Stage, is_stage, open_stage
from collavo.modeling.llms.base import resolve_attention, resolve_device, resolve_dtype
from collavo.modeling.llms.tokenizer import TOKENIZER_FILE, CoLLaVOTokenizer
from collavo.modeling.vision_encoders.clip_vit import interpolate_positions
from collavo.modeling.weights import builtin_weights, resolve_weights

if TYPE_CHECKING:
    from typing import Self

    from collavo.modeling.architectures.collavo import CoLLaVO

logger = logging.getLogger(__name__)

POSITIONS = f"{VIT}.embeddings.position_embedding.weight"

MERGE_LIMIT = 512 << 20
"""Bytes that image weights may take to be merged unasked. In 16 bits they would round twice."""


class PublishedCheckpoint(ComposedVLM):
    """The part of CoLLaVO that has to do with its checkpoint."""

    stage: Stage | None = None
    """The stage whose trained parts and adapters lie on the checkpoint's weights."""

    stop: str = "turn_end"
    """What `Generation.stop` should be where the caller has no wish of its own."""

    @classmethod
    def from_config(cls, cfg: Any, device: torch.device | str | None = None) -> Self:
        """Loads the model that the configuration names; the built-in tiny one if it names none.

        Args:
            cfg: The configuration.
            device: Where it runs; as `cfg.DEVICE` says if None.
        """
        key = "RESUME_FROM" if cfg.RESUME_FROM else "MODEL.WEIGHTS"
        return cls.from_pretrained(
            cfg.RESUME_FROM or cfg.MODEL.WEIGHTS or builtin_weights("collavo"),
            bits=cfg.LLM.BITS,
            dtype=cfg.LLM.DTYPE,
            attn=cfg.LLM.ATTN,
            device=cfg.DEVICE if device is None else device,
            template=cfg.CRAYON.TEMPLATE,
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
        template: str = "eval",
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
            template: The chat template, "eval" or "demo".
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
        where = resolve_device(device) if isinstance(device, str) else device
        kind = resolve_dtype(dtype, where) if isinstance(dtype, str) else dtype
        attention = resolve_attention(attn, where, kind)
        place = _quantiser(bits, kind, where)
        stage = open_stage(folder) if is_stage(folder) else None
        if stage is None:
            path, origin = resolve_weights(str(folder), revision, files, key), (folder, revision)
        else:
            path, origin = stage.base_folder(files), (stage.base.weights, stage.base.revision)
        source, rank = open_published(path)
        if stage is not None:
            stage.check_base(source)
        tokenizer = _tokenizer(path, source.config["vocab_size"])
        build = cast("type[CoLLaVO]", cls)
        with init_empty_weights(include_buffers=False):
            model = build(source.config, rank, attention, template, image_size=image_size)
        rules = rules_of(model)
        load_weights(model, source, rules, kind, where, base_names(rules), place)
        model.tokenizer, model.source, model.stop = tokenizer, source, stop
        model.origin = (str(origin[0]), origin[1])
        if stage is not None:
            apply_stage(model, stage, kind, where)
            _compare_bits(stage, bits)
        model.merges_images = _merges(model, merge, bits, kind)
        model.identity = {
            "bits": bits,
            "dtype": str(kind).removeprefix("torch."),
            "attention": attention,
            "revision": revision,
            "image_size": model.image_size,
            "template": template,
            "merged": model.merges_images,
        }
        return cast("Self", model.eval())

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes the model in the published format; tensors that did not change are byte-equal.

        Raises:
            CheckpointError: It has adapters, which that format has no place for.
        """
        model = cast("CoLLaVO", self)
        if has_adapters(model.llm):
            raise CheckpointError(
                "the model has adapters, for which the published format has no place: fold them "
                "in with `lbk_entry.py merge`"
            )
        target = Path(folder)
        rules = rules_of(model)
        if rules[POSITIONS].split is not None:  # interpolated: the checkpoint's own are kept
            rules[POSITIONS] = TensorRule()
        export_published(model, model.config, model.rank, rules, target, self.source)
        if self.source is None or dict(self.source.config) != model.config:
            text = json.dumps(model.config, indent=1, sort_keys=True) + "\n"
            (target / "config.json").write_text(text, encoding="utf-8")
        if self.source is None and self.tokenizer is not None:
            (target / TOKENIZER_FILE).write_bytes(self.tokenizer.path.read_bytes())

    def stored_rules(self) -> dict[str, TensorRule]:
        """Returns where each stored tensor goes in the model."""
        return rules_of(cast("CoLLaVO", self))

    def fingerprint(self) -> str:
        """Hashes the weights' content and all settings of the model that change its output.

        Raises:
            CheckpointError: The model was loaded from no checkpoint.
        """
        if self.source is None:
            raise CheckpointError("the model came from no checkpoint, so nothing identifies it")
        folder = self.source.folder
        files = [*self.source.files, folder / "config.json"]
        files += [folder / TOKENIZER_FILE] if self.tokenizer is not None else []
        digests = {_below(file, folder): file_digest(file) for file in files}
        items = {**self.identity, "files": digests}
        if self.stage is not None:
            items["stage"] = {name: file_digest(f) for name, f in self.stage.files.items()}
        return hashlib.sha256(json.dumps(items, sort_keys=True).encode()).hexdigest()


def _below(file: Path, folder: Path) -> str:
    """A file's name with its folders: shards of one name may lie in several."""
    return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else file.name


def rules_of(model: CoLLaVO) -> dict[str, TensorRule]:
    """Returns where each stored tensor goes in `model`."""
    prefix = "vision_encoder.tower."
    if hasattr(model.vision_encoder.tower, "vision_model"):  # as older transformers nest it
        prefix += "vision_model."
    rules = published_rules(model.config, prefix)
    if vision_fields(model.config)["image_size"] != model.image_size:
        resized = partial(_resized, grid=model.grid)
        rules[POSITIONS] = replace(rules[POSITIONS], split=resized)
    return rules


def _resized(table: torch.Tensor, grid: tuple[int, int]) -> tuple[torch.Tensor]:
    return (interpolate_positions(table, grid),)


def _merges(model: CoLLaVO, merge: str, bits: int, dtype: torch.dtype) -> bool:
    """Whether PLoRA is folded into a second weight for image tokens; the settings alone decide."""
    if merge == "on" and bits != 16:
        raise ConfigError(
            f"LLM.MERGE on needs plain weights, but LLM.BITS is {bits}: set LLM.BITS 16, or "
            "LLM.MERGE auto"
        )
    if has_adapters(model.llm):
        if merge == "on":
            raise ConfigError(
                "LLM.MERGE on needs plain weights, but the model has adapters: fold them in first "
                "(`lbk_entry.py merge`), or set LLM.MERGE auto"
            )
        return False
    if merge != "auto":
        return merge == "on"
    extra = sum(
        linear.in_features * linear.out_features * dtype.itemsize
        for _, linear in plora_linears(model.llm)
    )
    return bits == 16 and dtype == torch.float32 and extra <= MERGE_LIMIT


def _compare_bits(stage: Stage, bits: int) -> None:
    if stage.adapters and stage.base.bits != bits:
        logger.warning(
            "the adapters of %s were trained on a base of %d bits, but LLM.BITS is %d: answers "
            "will differ somewhat from those in training",
            *(stage.folder, stage.base.bits, bits),
        )


def _tokenizer(folder: Path, vocab_size: int) -> CoLLaVOTokenizer | None:
    """The checkpoint's tokenizer, if it has one; it must fit its vocabulary."""
    file = folder / TOKENIZER_FILE
    if not file.is_file():
        return None
    tokenizer = CoLLaVOTokenizer(file)
    if tokenizer.vocab_size != vocab_size:
        raise CheckpointError(
            f"{file} has {tokenizer.vocab_size} pieces, but config.json says vocab_size "
            f"{vocab_size}: they are not of one checkpoint"
        )
    return tokenizer


def _quantiser(bits: int, dtype: torch.dtype, device: torch.device) -> Place | None:
    """What puts the LLM's base linears into their place at `bits`; None leaves them plain."""
    if bits == 16:
        return None
    if bits not in (4, 8):
        raise ConfigError(f"LLM.BITS {bits} is not supported; use 16, 8 or 4")
    from collavo.modeling.adapters.quantize import make_place

    return make_place(bits, dtype, device)
