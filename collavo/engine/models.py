"""The one place where the model and the segmenter that a configuration names are built."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from collavo.engine.display import main_warning
from collavo.engine.fingerprint import (
    code_digest,
    prompts_digest,
    samples_digest,
)
from collavo.engine.imports import ENGINE
from collavo.engine.plan import rendered
from collavo.engine.tasks import Task, architecture_name
from collavo.modeling.weights import BUILTIN, is_builtin
from collavo.registry import ARCHITECTURES, MAPPERS, SEGMENTERS

if TYPE_CHECKING:
    import torch

    from collavo.engine.images import Mapper
    from collavo.modeling.architectures.base import Architecture, Generation
    from collavo.modeling.segmenters.base import Segmenter


@dataclass(frozen=True)
class Model:
    """A loaded model with what belongs to it.

    Args:
        architecture: The model.
        segmenter: Its segmenter, None where no Crayon Prompt is wanted.
        mapper: Opens images for it.
        device: The torch device string.
        weights: What its weights are called where they are not those that a configuration names.
    """

    architecture: Architecture
    segmenter: Segmenter | None
    mapper: Mapper
    device: str
    weights: str = ""

    @property
    def untrained(self) -> bool:
        """Whether the model's or the segmenter's weights are random."""
        segmenter = self.segmenter
        return self.architecture.untrained or (segmenter is not None and segmenter.untrained)

    def named(self, cfg: Any) -> dict[str, str]:
        """Names for the reader what answers: model, weights, segmenter, its weights."""
        given = cfg.RESUME_FROM or cfg.MODEL.WEIGHTS or self.architecture.origin[0]
        weights = self.weights or _weights(str(given))
        found = {"name": str(cfg.MODEL.NAME), "weights": weights}
        if self.segmenter is None:
            return {**found, "segmenter": "none", "segmenter_weights": ""}
        theirs = _weights(str(cfg.SEGMENTER.WEIGHTS or self.segmenter.origin))
        return {**found, "segmenter": str(cfg.SEGMENTER.NAME), "segmenter_weights": theirs}


def _weights(name: str) -> str:
    return BUILTIN if is_builtin(name) else name


class Models:
    """Loads models and keeps the last one.

    Args:
        device: The torch device string.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._key = ""
        self._model: Model | None = None

    def get(self, cfg: Any) -> Model:
        """Returns the model of a configuration, loading it if the last one was another."""
        key = repr(
            (
                [cfg[k] for k in ("MODEL", "LLM", "VISION", "INPUT", "SEGMENTER", "CRAYON")],
                (cfg.DEVICE, cfg.RESUME_FROM, cfg.WEIGHT, cfg.GENERATION.STOP, cfg.RANDOM_SEED),
            )
        )
        if self._model is None or key != self._key:
            self._model = None  # frees the other one first
            loaded = load_model(cfg, self._device)
            loaded.architecture.eval()
            if loaded.untrained:
                main_warning("the weights are untrained: the answers mean nothing")
            self._model, self._key = loaded, key
        return self._model


def load_model(
    cfg: Any,
    device: torch.device | str | None = None,
    architecture: Architecture | None = None,
    segmenter: Segmenter | None = None,
) -> Model:
    """Builds what a configuration names, for evaluation, training and `Predictor` alike.

    Args:
        cfg: The configuration.
        device: Where it runs; as `cfg.DEVICE` says if None.
        architecture: A model to use instead of the configuration's.
        segmenter: A segmenter to use instead of the configuration's.

    Raises:
        UserError: Weights or settings do not fit.
    """
    if architecture is None:
        architecture = architecture_of(cfg).from_config(cfg, device)
    if not architecture.uses_crayon or cfg.CRAYON.MODE == "none":
        segmenter = None
    elif segmenter is None:
        where = architecture.device if device is None else device
        chosen = SEGMENTERS.get(cfg.SEGMENTER.NAME)
        segmenter = chosen.from_config(cfg, grid=architecture.grid, device=where)
    mapper = MAPPERS.get(architecture.mapper)(architecture.image_size)
    return Model(architecture, segmenter, mapper, str(device or architecture.device))


def architecture_of(cfg: Any) -> type[Architecture]:
    """Returns the class that MODEL.ARCHITECTURE names, or MODEL.NAME where that is empty.

    Raises:
        UnknownNameError: It is neither registered nor a file of configs/models; the nearest names
            are suggested.
    """
    return ARCHITECTURES.get(architecture_name(cfg))


def generation_of(cfg: Any) -> Generation:
    """Reads how to generate from a configuration."""
    from collavo.modeling.architectures.base import Generation

    g = cfg.GENERATION
    return Generation(
        num_beams=g.NUM_BEAMS,
        max_new_tokens=g.MAX_NEW_TOKENS,
        do_sample=g.DO_SAMPLE,
        temperature=g.TEMPERATURE,
        top_p=g.TOP_P,
        seed=cfg.RANDOM_SEED,
        stop=g.STOP,
        length_penalty=g.LENGTH_PENALTY,
    )


def fingerprint_items(task: Task, model: Model) -> dict[str, Any]:
    """Lists everything that could change an answer, apart from the images' content."""
    cfg, architecture, pipeline = task.cfg, model.architecture, task.pipeline
    prompts = (rendered(architecture, pipeline, s, None) for s in task.samples)
    dtype = next((str(p.dtype) for p in architecture.parameters() if p.is_floating_point()), "")
    segmenter = model.segmenter
    return {
        "dataset": {"name": task.folder_name, "samples": samples_digest(task.samples)},
        "prompts": {
            "pipeline": type(pipeline).__name__,
            "questions": prompts_digest(prompts),
            "template": prompts_digest([_worded(architecture)]),
        },
        "model": {"name": cfg.MODEL.NAME, "weights": architecture.fingerprint()},
        "segmenter": {
            "name": cfg.SEGMENTER.NAME if segmenter is not None else "none",
            "weights": segmenter.fingerprint() if segmenter is not None else "none",
        },
        "precision": {
            "bits": cfg.LLM.BITS,
            "dtype": dtype,
            "attention": cfg.LLM.ATTN,
            "device": model.device.split(":")[0],
        },
        "image": {
            "size": architecture.image_size,
            "grid": list(architecture.grid),
            "mapper": type(model.mapper).__name__,
        },
        "crayon": {"mode": cfg.CRAYON.MODE if segmenter is not None else "none"},
        "generation": asdict(generation_of(cfg)),
        "scoring": cfg.EVAL.SCORING,
        "reuse": cfg.EVAL.REUSE,
        "code": code_digest(
            *(*architecture.modules(), pipeline, segmenter, model.mapper), roots=ENGINE
        ),
    }


def _worded(architecture: Architecture) -> str:
    """How the template words a question, with the text of a Crayon Prompt where it takes one."""
    return architecture.render("question", "crayon text" if architecture.uses_crayon else None)
