"""The parts of a model by their registered names: where they come from, and whether they fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image

from collavo.errors import CheckpointError, ConfigError, UserError
from collavo.modeling.architectures.published import VIT, vision_fields
from collavo.modeling.checkpoints.folder import CheckpointFolder
from collavo.modeling.llms.chat_templates import get_chat_template
from collavo.modeling.llms.internlm2 import InternLM2
from collavo.modeling.vision_encoders.clip_vit import CLIPVisionEncoder
from collavo.modeling.weights import builtin_weights, resolve_weights, weight_files
from collavo.registry import IMAGE_POLICIES, LLMS, PROJECTORS, VISION_ENCODERS, Registry

if TYPE_CHECKING:
    from collavo.modeling.image_policies.base import ImagePolicy
    from collavo.modeling.llms.base import LLMFamily
    from collavo.modeling.llms.chat import ChatTemplate
    from collavo.modeling.projectors.base import Projector
    from collavo.modeling.vision_encoders.base import VisionEncoder

_REGISTRIES: dict[str, Registry[Any]] = {
    "vision_encoder": VISION_ENCODERS,
    "projector": PROJECTORS,
    "llm": LLMS,
    "image_policy": IMAGE_POLICIES,
}

FREE = ("template", "image_policy")
"""Parts without weights: another one may be named for a checkpoint that was made with one."""


@dataclass(frozen=True)
class PartNames:
    """What a model is put together of, by the names in the registries (and of chat templates)."""

    vision_encoder: str
    projector: str
    llm: str
    template: str
    image_policy: str

    @classmethod
    def of(cls, cfg: Any, stored: Mapping[str, str] | None = None) -> PartNames:
        """Reads MODEL.VISION_ENCODER, MODEL.PROJECTOR, MODEL.LLM, … of a configuration.

        Args:
            cfg: The configuration.
            stored: What a checkpoint was made of; its parts with weights cannot be others.

        Raises:
            ConfigError: A part is not named, or another than the checkpoint's.
            UnknownNameError: There is none of that name.
        """
        names = {}
        for field in fields(cls):
            part, key = field.name, part_key(field.name)
            named, known = named_part(cfg, part), (stored or {}).get(part, "")
            if known and named and named != known and part not in FREE:
                raise ConfigError(
                    f"{key} is {named!r}, but the checkpoint was made with {known!r}: leave it "
                    "empty, or put a new model together of LLM.WEIGHTS and VISION.WEIGHTS, without "
                    "MODEL.WEIGHTS"
                )
            names[part] = named or known
            if not names[part]:
                raise ConfigError(f"{key} is empty, and nothing else names that part; set it")
        return cls(**names)

    @property
    def chat_template(self) -> ChatTemplate:
        """The chat template.

        Raises:
            ConfigError: There is none of that name, or it has no place for images.
        """
        found = get_chat_template(self.template, part_key("template"))
        if not found.has_image_slot:
            raise ConfigError(
                f"{part_key('template')} {self.template!r} has no place for images: its `first` "
                "needs {images} where they go"
            )
        return found

    @property
    def family(self) -> type[LLMFamily]:
        """The LLM's family."""
        return LLMS.get(self.llm)

    @property
    def encoder_class(self) -> type[VisionEncoder]:
        """The vision encoder's class."""
        return VISION_ENCODERS.get(self.vision_encoder)

    def projector_between(self, encoder: VisionEncoder, width: int) -> Projector:
        """Builds the projector, with newly drawn weights.

        Raises:
            ConfigError: It cannot stand between these two.
        """
        with self._fitting("projector"):
            return PROJECTORS.get(self.projector).between(encoder, width)

    def policy_before(self, encoder: VisionEncoder, projector: Projector) -> ImagePolicy:
        """Builds the image policy.

        Raises:
            ConfigError: It prepares nothing that these two could take.
        """
        with self._fitting("image_policy"):
            return IMAGE_POLICIES.get(self.image_policy).before(encoder, projector)

    def try_together(
        self, policy: ImagePolicy, encoder: VisionEncoder, projector: Projector, width: int
    ) -> int:
        """Takes a blank image through all parts, and says how many visual tokens it becomes.

        Raises:
            ConfigError: Sizes, levels, grids, widths or token counts do not agree.
        """
        where = next((p for p in encoder.parameters()), torch.empty(0))
        with torch.inference_mode(), self._fitting("image_policy"):
            visual = policy(Image.new("RGB", (64, 48)))
            pixels = visual.tensors["pixel_values"][None].to(where.device)
        with torch.inference_mode(), self._fitting("vision_encoder"):
            levels = encoder(pixels).levels
        shapes = ", ".join(str(tuple(level.shape[1:])) for level in levels)
        gives = (
            f"{part_key('vision_encoder')} {self.vision_encoder!r} gives {len(levels)} level(s) of "
        )
        gives += f"(patches, width) {shapes} on a grid of {encoder.grid}"
        if len(levels) < projector.num_levels:
            raise ConfigError(
                f"{part_key('projector')} {self.projector!r} takes {projector.num_levels} levels; "
                f"{gives}"
            )
        with torch.inference_mode(), self._fitting("projector", gives):
            made = projector(levels)
        if made.ndim != 3 or made.shape[-1] != width:
            raise ConfigError(
                f"{part_key('projector')} {self.projector!r} makes {tuple(made.shape)} of an "
                f"image; {part_key('llm')} takes (1, tokens, {width}); {gives}"
            )
        if made.shape[1] != visual.num_tokens:
            raise ConfigError(
                f"{part_key('image_policy')} {self.image_policy!r} counts {visual.num_tokens} "
                f"visual tokens; {part_key('projector')} {self.projector!r} makes {made.shape[1]}; "
                f"{gives}"
            )
        return int(made.shape[1])

    @contextmanager
    def _fitting(self, part: str, beside: str = "") -> Iterator[None]:
        """Turns what a part raises into words about it."""
        try:
            yield
        except ConfigError:
            raise
        except Exception as error:  # whatever a plug-in's part may raise on what it cannot take
            kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
            said = " ".join(f"{kind}{error}".split())[:300]
            name = getattr(self, part)
            raise ConfigError(
                f"{part_key(part)} {name!r} does not fit the other parts ({said})"
                + (f"; {beside}" if beside else "")
            ) from error


@dataclass(frozen=True)
class PartSources:
    """Where the weights of a model come from that is put together of parts.

    Args:
        names: The parts.
        llm: Folder or hub id of the LLM; "" is the built-in one.
        llm_revision: The hub revision.
        vision: Folder or hub id of the vision encoder; "" is the built-in one, or none.
        vision_revision: The hub revision.
        image_size: Height and width of the images in pixels; 0 is the encoder's own.
        seed: Draws what has no weights yet.
    """

    names: PartNames
    llm: str = ""
    llm_revision: str = ""
    vision: str = ""
    vision_revision: str = ""
    image_size: int = 0
    seed: int = 0

    @classmethod
    def of(cls, cfg: Any) -> PartSources:
        """Reads LLM.WEIGHTS, VISION.WEIGHTS and the parts' names."""
        return cls(
            PartNames.of(cfg),
            _absolute(cfg.LLM.WEIGHTS),
            cfg.LLM.REVISION,
            _absolute(cfg.VISION.WEIGHTS),
            cfg.VISION.REVISION,
            cfg.INPUT.IMAGE_SIZE,
            cfg.RANDOM_SEED,
        )

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> PartSources:
        """Reads what `stored` made.

        Raises:
            CheckpointError: It is not that.
        """
        try:
            return cls(**{**stored, "names": PartNames(**stored["names"])})
        except (TypeError, KeyError) as error:
            raise CheckpointError(f"the parts of the base cannot be read: {error}") from error

    def stored(self) -> dict[str, Any]:
        """What a stage's `stage.json` says of its base."""
        return asdict(self)

    @property
    def llm_folder(self) -> Path:
        """The LLM's folder, fetched from the hub where it is not here."""
        if not self.llm and self.names.family is not InternLM2:
            raise ConfigError(
                f"LLM.WEIGHTS is empty, and the built-in LLM is no {self.names.llm!r}: name the "
                "LLM's folder or hub id, or set MODEL.LLM internlm2"
            )
        if not self.llm:
            return builtin_weights("collavo")
        wanted = self.names.family.files
        return resolve_weights(self.llm, self.llm_revision, wanted, "LLM.WEIGHTS")

    @property
    def vision_folder(self) -> Path | None:
        """The vision encoder's folder; None where it is drawn anew."""
        if self.vision:
            return resolve_weights(
                self.vision, self.vision_revision, ("config.json",), "VISION.WEIGHTS"
            )
        built_in = self.names.encoder_class is CLIPVisionEncoder and not self.llm
        return builtin_weights("collavo") if built_in else None

    def vision_encoder(self, attn: str) -> VisionEncoder:
        """Loads or draws the vision encoder.

        Raises:
            ConfigError: It does not take images of the size that is asked for.
        """
        encoder = self._vision_encoder(attn)
        if self.image_size not in (0, encoder.image_size):
            raise ConfigError(
                f"INPUT.IMAGE_SIZE is {self.image_size}, but {part_key('vision_encoder')} "
                f"{self.names.vision_encoder!r} takes images of {encoder.image_size} pixels"
            )
        return encoder

    def _vision_encoder(self, attn: str) -> VisionEncoder:
        folder, kind = self.vision_folder, self.names.encoder_class
        if folder is None:
            return kind.from_config({}, self.image_size, attn)
        if kind is CLIPVisionEncoder and _holds_published(folder):
            return _published_tower(folder, self.image_size, attn)
        return kind.load(folder, self.image_size, attn)

    def files(self) -> dict[str, Path]:
        """The files that decide on what the parts compute, by names that are the same anywhere."""
        found = {f"llm/{k}": v for k, v in _files(self.llm_folder).items()}
        if self.vision_folder is not None:
            found |= {f"vision/{k}": v for k, v in _files(self.vision_folder).items()}
        return found


def _absolute(name: str) -> str:
    """A folder's whole path, by which a stage finds its base again; a hub id as it is."""
    path = Path(name).expanduser()
    return str(path.resolve()) if name and path.is_dir() else name


def _files(folder: Path) -> dict[str, Path]:
    beside = [f for p in ("*.json", "*.model", "*.txt", "*.jinja") for f in folder.glob(p)]
    files = {*weight_files(folder, "LLM.WEIGHTS"), *beside}
    return {f.relative_to(folder).as_posix(): f for f in sorted(files)}


def _holds_published(folder: Path) -> bool:
    return any(name.startswith(f"{VIT}.") for name in CheckpointFolder(folder).tensors)


def _published_tower(folder: Path, image_size: int, attn: str) -> CLIPVisionEncoder:
    """The CLIP tower of a checkpoint in CoLLaVO's or InternLM-XComposer2's format."""
    source = CheckpointFolder(folder)
    fields = vision_fields(source.config)
    size = image_size or int(fields["image_size"])
    encoder = CLIPVisionEncoder.from_config(fields, size, attn)
    names = [name for name in source.tensors if name.startswith(f"{VIT}.")]
    # cloned, since what `read` yields is valid until the next alone
    state = {n.removeprefix(f"{VIT}."): t.clone() for n, t in source.read(names)}
    encoder.load_tower(state)
    return encoder


def part_key(part: str) -> str:
    """Returns the configuration key that names a part."""
    return f"MODEL.{part.upper()}"


def named_part(cfg: Any, part: str) -> str:
    """Returns the name that a configuration gives a part, no alias; "" where it gives none.

    Raises:
        UnknownNameError: There is none of that name; the message suggests the nearest.
    """
    model = cfg.MODEL
    name = {
        "vision_encoder": model.VISION_ENCODER,
        "projector": model.PROJECTOR,
        "llm": model.LLM,
        "template": model.TEMPLATE,
        "image_policy": model.IMAGE_POLICY,
    }[part]
    return _REGISTRIES[part].canonical(name) if name and part in _REGISTRIES else name
