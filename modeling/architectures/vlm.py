"""Any vision encoder, projector and LLM that register, put together by configuration.

The way of LLaVA (Liu et al., 2023, arXiv 2304.08485): visual tokens stand among the words. Which
parts they are, MODEL.VISION_ENCODER, MODEL.PROJECTOR, MODEL.LLM, MODEL.TEMPLATE and
MODEL.IMAGE_POLICY say; their weights come from VISION.WEIGHTS and LLM.WEIGHTS, from a stage of
training on these, or from a whole checkpoint (MODEL.WEIGHTS), which `merge` writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate import init_empty_weights
from torch import nn

from collavo.errors import CheckpointError, ConfigError, UserError
from collavo.modeling.adapters.quantize import make_place
from collavo.modeling.architectures.composition import ComposedVLM
from collavo.modeling.architectures.parts import PartNames, PartSources
from collavo.modeling.architectures.vlm_folder import (
    LLM_FOLDER,
    MODEL_TYPE,
    llm_config_of,
    read_stored,
)
from collavo.modeling.checkpoints.artefact import apply_stage, base_of, write_artefact
from collavo.modeling.checkpoints.digest import file_digest
from collavo.modeling.checkpoints.folder import CheckpointFolder
from collavo.modeling.checkpoints.load import load_weights
from collavo.modeling.checkpoints.rules import TensorRule
from collavo.modeling.checkpoints.stage_folder import Base, Stage, is_stage, open_stage
from collavo.modeling.llms.base import LLMSettings, quantisable, resolve_settings
from collavo.modeling.weights import resolve_weights
from collavo.registry import ARCHITECTURES

if TYPE_CHECKING:
    from typing import Self

    from transformers import PreTrainedModel

    from collavo.modeling.architectures.merge import Merged
    from collavo.modeling.llms.chat import LLMTokenizer
    from collavo.modeling.vision_encoders.base import VisionEncoder


@ARCHITECTURES.register("vlm")
class VLM(ComposedVLM):
    """Visual tokens among the words of any LLM, from any vision encoder through any projector.

    Args:
        names: The parts' names.
        vision_encoder: Built.
        llm: Built.
        tokenizer: The LLM's.

    Raises:
        ConfigError: The parts do not fit each other.
    """

    kind = "vlm"
    max_images = 8

    def __init__(
        self,
        names: PartNames,
        vision_encoder: VisionEncoder,
        llm: PreTrainedModel,
        tokenizer: LLMTokenizer,
    ) -> None:
        super().__init__()
        self.names = names
        self.template = names.chat_template
        self.tokenizer = tokenizer
        width = llm.get_input_embeddings().weight.shape[1]
        projector = names.projector_between(vision_encoder, width)
        self.assemble(
            vision_encoder,
            projector,
            llm,
            names.policy_before(vision_encoder, projector),
            image_token_id=tokenizer.image_token_id,
            # a padding id that was added past the embeddings would have none
            pad_token_id=min(tokenizer.pad_token_id, len(llm.get_input_embeddings().weight) - 1),
        )
        self.llm_config: dict[str, Any] = {}
        self.sources: PartSources | None = None
        self.source: CheckpointFolder | None = None
        self._untrained = False

    @property
    def untrained(self) -> bool:
        """Whether a part was newly drawn, and no stage has trained it."""
        return self._untrained and (self.stage is None or not self.stage.trained)

    def render(self, question: str, crayon_text: str | None, num_images: int = 1) -> str:
        return self.template.render(question, crayon_text, num_images)

    # ---- loading

    @classmethod
    def from_config(cls, cfg: Any, device: torch.device | str | None = None) -> Self:
        """Loads the model that a configuration names.

        Raises:
            UserError: Parts, weights or settings do not fit.
        """
        settings = resolve_settings(
            cfg.LLM.BITS,
            cfg.LLM.DTYPE,
            cfg.LLM.ATTN,
            cfg.DEVICE if device is None else device,
            cfg.MODEL.TRUST_REMOTE_CODE,
        )
        weights = cfg.RESUME_FROM or cfg.MODEL.WEIGHTS
        if not weights:
            return cls.from_parts(PartSources.of(cfg), settings)
        key = "RESUME_FROM" if cfg.RESUME_FROM else "MODEL.WEIGHTS"
        if not is_stage(weights):
            folder = resolve_weights(weights, cfg.MODEL.REVISION, key=key)
            return cls.from_folder(folder, settings, cfg, (weights, cfg.MODEL.REVISION))
        stage = open_stage(weights)
        if stage.model != cls.kind:
            raise CheckpointError(
                f"{key}: {weights} is a stage of the model {stage.model!r}: set MODEL.NAME "
                f"{stage.model}"
            )
        return cls.from_stage(stage, settings, cfg)

    @classmethod
    def from_stage(cls, stage: Stage, settings: LLMSettings, cfg: Any = None) -> Self:
        """Loads the base of a stage of training, and puts on it what the stage trained.

        Args:
            stage: It.
            settings: How the LLM is loaded.
            cfg: May name another template or image policy than the stage was trained with.

        Raises:
            UserError: The base is not there, or not the one that it was trained on.
        """
        if stage.base.parts:
            sources = PartSources.read(stage.base.parts)
            names = sources.names if cfg is None else PartNames.of(cfg, asdict(sources.names))
            model = cls.from_parts(replace(sources, names=names), settings)
        else:
            folder, origin = stage.base_folder(), (stage.base.weights, stage.base.revision)
            model = cls.from_folder(folder, settings, cfg, origin)
        stage.check_files(_digests(model.weight_files()), "what its base names")
        stage.compare_bits(settings.bits)
        apply_stage(model, stage, settings.dtype, settings.device)
        return model.eval()

    @classmethod
    def from_parts(cls, sources: PartSources, settings: LLMSettings) -> Self:
        """Puts a new model together: LLM and vision encoder as they are, the rest newly drawn.

        Raises:
            UserError: A part is not there, or they do not fit each other.
        """
        family, folder = sources.names.family, sources.llm_folder
        llm_config = llm_config_of(folder)
        tokenizer = family.tokenizer(folder, settings.trust_remote_code)
        with _described_by(folder):
            llm = family.load(folder, settings)
        # each drawn by the seed alone: the same in all processes and at all LLM.BITS
        with _drawn_by(sources.seed):
            encoder = sources.vision_encoder(settings.attn)
        with _drawn_by(sources.seed):
            model = cls(sources.names, encoder, llm, tokenizer)
        for part in (model.vision_encoder, model.projector):
            part.to(settings.device, settings.dtype)
        model.sources, model.llm_config = sources, llm_config
        model.origin = (str(folder) if not sources.llm else sources.llm, sources.llm_revision)
        model._untrained = True
        return model._settled(settings, sources.seed)

    @classmethod
    def from_folder(
        cls,
        folder: Path,
        settings: LLMSettings,
        cfg: Any = None,
        origin: tuple[str, str] = ("", ""),
    ) -> Self:
        """Loads a whole checkpoint, one tensor at a time.

        Args:
            folder: Where it lies.
            settings: How the LLM is loaded.
            cfg: May name another template or image policy than it was made with.
            origin: The folder or hub id that it was given as, and the revision.

        Raises:
            UserError: It is none, or damaged, or a setting does not fit it.
        """
        source = CheckpointFolder(folder)
        stored = read_stored(source)
        names = PartNames(**stored["parts"])
        if cfg is not None:
            names = PartNames.of(cfg, stored["parts"])
        size = int(stored["image_size"])
        if cfg is not None and cfg.INPUT.IMAGE_SIZE not in (0, size):
            raise ConfigError(
                f"INPUT.IMAGE_SIZE is {cfg.INPUT.IMAGE_SIZE}; this checkpoint is of {size}"
            )
        llm_config = llm_config_of(folder / LLM_FOLDER)
        tokenizer = names.family.tokenizer(folder / LLM_FOLDER, settings.trust_remote_code)
        with _described_by(folder), init_empty_weights(include_buffers=False):
            encoder = names.encoder_class.from_config(stored["vision"], size, settings.attn)
            llm = names.family.build(llm_config, settings.attn)
            model = cls(names, encoder, llm, tokenizer)
        llm.tie_weights()  # what is made on the meta device has lost its ties
        rules = model.stored_rules()
        source.check({n: tuple(t.shape) for n, t in model._stored().items()})
        bases = {f"llm.{weight}": name for weight, name in quantisable(llm).items()}
        place = make_place(settings.bits, settings.dtype, settings.device)
        buffers = {name: rules.pop(name) for name in model._buffers_stored()}
        load_weights(model, source, rules, settings.dtype, settings.device, bases, place)
        for name, value in source.read(buffers):
            model.get_buffer(name).copy_(value)
        llm.tie_weights()  # loaded one by one, they are two again
        model.source, model.llm_config = source, llm_config
        model.origin = origin if origin[0] else (str(folder), "")
        model._untrained = bool(stored.get("untrained", False))
        return model._settled(settings, 0)

    def _settled(self, settings: LLMSettings, seed: int) -> Self:
        """Frozen and in evaluation, tried on a blank image, with what identifies it."""
        self.requires_grad_(False).eval()
        tokens = self.names.try_together(
            self.image_policy, self.vision_encoder, self.projector, self.llm_width
        )
        if 0 < self.max_positions <= tokens:
            raise ConfigError(
                f"an image takes {tokens} tokens and the LLM {self.max_positions} positions in "
                "all: take a projector that makes fewer, a smaller INPUT.IMAGE_SIZE or another LLM"
            )
        self.identity = {
            "parts": asdict(self.names),
            "bits": settings.bits,
            "dtype": str(settings.dtype).removeprefix("torch."),
            "attention": settings.attn,
            "image_size": self.image_size,
            "revision": self.origin[1],
            "seed": seed,
        }
        if settings.trust_remote_code:
            self.identity["trust_remote_code"] = True
        return self

    @property
    def llm_width(self) -> int:
        """Width D of the LLM's embeddings."""
        return int(self.llm.get_input_embeddings().weight.shape[1])

    # ---- what it was made of

    def weight_files(self) -> dict[str, Path]:
        if self.sources is not None:
            return self.sources.files()
        if self.source is None:
            raise CheckpointError("the model came from no checkpoint, so nothing identifies it")
        folder = self.source.folder
        files = [*self.source.files, folder / "config.json", *(folder / LLM_FOLDER).iterdir()]
        return {file.relative_to(folder).as_posix(): file for file in files}

    def stored_config(self, dtype: torch.dtype) -> dict[str, Any]:
        """What config.json of a whole checkpoint says of it."""
        return {
            "model_type": MODEL_TYPE,
            "parts": asdict(self.names),
            "image_size": self.image_size,
            "vision": dict(self.vision_encoder.fields),
            "untrained": self.untrained,
            "torch_dtype": str(dtype).removeprefix("torch."),
        }

    def stage_base(self, folder: Path) -> Base:
        files = _digests(self.weight_files())
        base = base_of(self.origin, self.identity, files, folder)
        if self.sources is None:
            return base
        return replace(base, weights="", relative="", parts=self.sources.stored())

    def stored_rules(self) -> dict[str, TensorRule]:
        """Every parameter and buffer is stored under its own name, tied ones once."""
        names: dict[int, list[str]] = {}
        for name, tensor in self._named().items():
            names.setdefault(id(tensor), []).append(name)
        return {
            tied[0]: TensorRule(tuple(tied), partial(_repeated, count=len(tied)), itemgetter(0))
            if len(tied) > 1
            else TensorRule(tuple(tied))
            for tied in names.values()
        }

    def _named(self) -> dict[str, torch.Tensor]:
        """Parameters, tied ones under each of their names, and persistent buffers; no adapters."""
        found: dict[str, torch.Tensor] = {}
        for name, parameter in self.named_parameters(remove_duplicate=False):
            if ".lora_" not in name:
                found[name.replace(".base_layer.", ".")] = parameter
        return found | {name: self.get_buffer(name) for name in self._buffers_stored()}

    def _stored(self) -> dict[str, torch.Tensor]:
        named = self._named()
        return {name: named[name] for name in self.stored_rules()}

    def _buffers_stored(self) -> list[str]:
        return [
            f"{path}.{name}"
            for part in ("vision_encoder", "projector")
            for path, module in self.get_submodule(part).named_modules(prefix=part)
            for name, buffer in module._buffers.items()
            if buffer is not None and name not in module._non_persistent_buffers_set
        ]

    # ---- training

    def gradient_checkpointing_enable(self) -> None:
        """Recomputes each decoder layer in the backward pass."""
        self.llm.gradient_checkpointing_enable({"use_reentrant": False})

    @torch.no_grad()
    def reset_parameters(self, seed: int) -> None:
        """Draws all weights anew.

        Args:
            seed: Equal seeds give equal weights on every machine.
        """
        with _drawn_by(seed):
            encoder = type(self.vision_encoder).from_config(
                self.vision_encoder.fields, self.image_size, self.identity["attention"]
            )
            llm = self.names.family.build(self.llm_config, self.identity["attention"])
            projector = self.names.projector_between(encoder, self.llm_width)
        fresh: tuple[nn.Module, ...] = (encoder, projector, llm)
        for part, drawn in zip((self.vision_encoder, self.projector, self.llm), fresh, strict=True):
            part.load_state_dict(drawn.state_dict())

    def save_stage(self, folder: Path) -> None:
        """Writes what was trained, and of which base it is."""
        write_artefact(self, folder)

    @classmethod
    def merge_stage(cls, source: Path, target: Path, dtype: torch.dtype | None = None) -> Merged:
        from collavo.modeling.architectures.merge_parts import merge_parts

        return merge_parts(cls, open_stage(source), target, dtype)


@contextmanager
def _described_by(folder: Path) -> Iterator[None]:
    """Turns what building raises on fields of a wrong type or value into words."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # whatever a library may raise on what it cannot build
        said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise CheckpointError(f"{folder}: its config describes no model ({said})") from error


@contextmanager
def _drawn_by(seed: int) -> Iterator[None]:
    """Lets a seed decide on what is drawn in the block, and leaves the stream as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def _repeated(whole: torch.Tensor, count: int) -> tuple[torch.Tensor, ...]:
    return (whole,) * count


def _digests(files: Mapping[str, Path]) -> dict[str, str]:
    return {name: file_digest(file) for name, file in files.items()}
