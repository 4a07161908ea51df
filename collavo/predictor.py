"""The Python way in: a model, its segmenter and a question about an image, in three lines."""

from __future__ import annotations

import base64
import copy
import html
import io
import itertools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypedDict, Unpack, overload

import torch
from fvcore.common.config import CfgNode
from PIL import Image

from collavo.config import get_cfg
from collavo.config.build import changed
from collavo.datasets.mappers.given import ImageLike, paired
from collavo.datasets.mappers.image import open_image
from collavo.engine.asking import Answer
from collavo.engine.assemble import asking_parts, first_limits, segment_cache
from collavo.engine.crayons import CrayonMaker
from collavo.engine.images import ImageLoader, Loaded
from collavo.engine.models import generation_of, load_model
from collavo.engine.plan import make_units
from collavo.engine.prepare import Batch, Row, Stats
from collavo.errors import ConfigError, DataError
from collavo.modeling.architectures.base import Architecture, Generation
from collavo.modeling.crayon.draw import draw_crayon
from collavo.modeling.crayon.prompt import make_crayon_prompt
from collavo.modeling.segmenters.base import Segmenter
from collavo.records import CrayonPrompt, ImageRef, Sample, Segments
from collavo.registry import PIPELINES

logger = logging.getLogger(__name__)

Setting = bool | int | float | str | Sequence[bool | int | float | str] | None
"""The value of a configuration key."""

_SHOWN_TEXT = 60
_SHOWN_SIDE = 1200


class GenerationSettings(TypedDict, total=False):
    """The fields of `Generation`, for one call."""

    num_beams: int
    max_new_tokens: int
    do_sample: bool
    temperature: float
    top_p: float
    seed: int
    stop: str
    length_penalty: float


@dataclass(frozen=True, repr=False)
class Prediction:
    """An answer and all that led to it.

    Args:
        answer: The model's answer.
        question: What was asked.
        prompt: The whole prompt, as text.
        crayon: The Crayon Prompt of the one image (B = 1), or None without one.
        crayon_text: The sentence about the objects as the prompt has it, "" if it has none.
        segments: The segments on the patch grid, or None without a segmenter.
        class_names: The names of the segments' label ids.
        image: The image.
        picture: uint8 RGB (3, H, W): what the segmenter was shown, which the grid lies on.
    """

    answer: str
    question: str
    prompt: str
    crayon: CrayonPrompt | None
    crayon_text: str
    segments: Segments | None
    class_names: tuple[str, ...]
    image: ImageRef
    picture: torch.Tensor | None = field(default=None, compare=False)

    def draw(self, caption: bool = True) -> Image.Image:
        """Returns the photo beside its crayon map, with a legend, and the question and answer.

        Args:
            caption: Whether question and answer stand below. Without segments the photo is
                returned as it is.
        """
        photo = open_image(self.image)
        if self.segments is None:
            return photo
        asked = [(self.question, self.answer)] if caption else []
        return draw_crayon(photo, self.segments, self.class_names, asked, self.picture)

    def __repr__(self) -> str:
        objects = ""
        if self.segments is not None:
            objects = f", objects={len(self.segments.segments)}"
        shown = (f"{_short(text)!r}" for text in (self.answer, self.question, self.image.label))
        return "Prediction(answer={}, question={}, image={}{})".format(*shown, objects)

    def _repr_html_(self) -> str:
        """Shows picture, question and answer in a notebook; every text is escaped."""
        drawn = self.draw(caption=False)
        drawn.thumbnail((_SHOWN_SIDE, _SHOWN_SIDE))
        stream = io.BytesIO()
        drawn.save(stream, format="PNG")
        source = f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
        label, question, answer = (
            html.escape(text) for text in (self.image.label, self.question, self.answer)
        )
        style = 'style="white-space: pre-wrap"'
        return (
            f'<figure><img src="{source}" alt="{label}" style="max-width: 100%">'
            f"<figcaption><p {style}><b>Question:</b> {question}</p>"
            f"<p {style}><b>Answer:</b> {answer}</p></figcaption></figure>"
        )


class Predictor:
    """Answers questions about images, the same way as `eval` does: same inputs, same answers.

    Args:
        cfg: The configuration, as `collavo.config.get_cfg` makes it; the defaults if None, and
            with them the built-in tiny model.
        architecture: A model to use instead of the configuration's.
        segmenter: A segmenter to use instead of the configuration's.
        urls: Whether images may be given as http(s) URLs, which are then fetched.

    Raises:
        ConfigError: The configuration does not fit this machine.
        MissingFileError: Weights are not there.
        CheckpointError: Weights are not what they should be.
    """

    def __init__(
        self,
        cfg: CfgNode | None = None,
        architecture: Architecture | None = None,
        segmenter: Segmenter | None = None,
        urls: bool = False,
    ) -> None:
        self.cfg = get_cfg() if cfg is None else cfg
        self.urls = urls
        self.model = load_model(self.cfg, architecture=architecture, segmenter=segmenter)
        self.architecture = self.model.architecture
        self.architecture.eval()
        self.segmenter = self.model.segmenter
        self.mode: str = self.cfg.CRAYON.MODE if self.segmenter is not None else "none"
        self.generation = generation_of(self.cfg)
        cache = segment_cache(self.cfg, self.model)
        self._limits = first_limits(self.cfg, self.model)
        self._preparer, self._asker = asking_parts(
            self.cfg,
            self.model,
            PIPELINES.get("open")(),  # asks a question as it stands
            CrayonMaker(self.segmenter, self.mode, cache),
            self._limits,
            Stats(),
        )
        self._numbers = itertools.count()  # no two questions of its have one id
        self._loader = ImageLoader(
            self.model.mapper, self.architecture.prepare, lambda sample, digest: False, workers=0
        )
        for part, role in ((self.architecture, "the model"), (self.segmenter, "the segmenter")):
            if part is not None and part.untrained:
                logger.warning("%s is untrained: it shows the way, not the answers", role)

    @classmethod
    def from_pretrained(
        cls,
        weights: str | Path = "",
        segmenter: str | Path = "",
        conf_files: Sequence[str | Path] = (),
        settings: Mapping[str, Setting] | None = None,
        urls: bool = False,
    ) -> Predictor:
        """Loads a model and its segmenter.

        Args:
            weights: Folder or hub id of the model; empty for the built-in tiny one.
            segmenter: Folder or hub id of the segmenter; empty for the model's own.
            conf_files: Configuration files, such as "collavo_demo.yaml".
            settings: Configuration keys, such as `{"LLM.BITS": 4}`; they win.
            urls: Whether images may be given as http(s) URLs, which are then fetched.
        """
        named = {"MODEL.WEIGHTS": str(weights), "SEGMENTER.WEIGHTS": str(segmenter)}
        keys: dict[str, Setting] = {k: v for k, v in named.items() if v}
        return cls(get_cfg(conf_files, config_overrides=keys | dict(settings or {})), urls=urls)

    def __repr__(self) -> str:
        named = ", ".join(f"{k}={v!r}" for k, v in self.model.named(self.cfg).items() if v)
        return f"Predictor({named}, device={self.model.device!r})"

    @overload
    def __call__(  # type: ignore[overload-overlap]  # text is a sequence of texts, too
        self,
        image: ImageLike,
        question: str,
        generation: Generation | None = None,
        **settings: Unpack[GenerationSettings],
    ) -> Prediction: ...

    @overload
    def __call__(
        self,
        image: ImageLike | Sequence[ImageLike],
        question: str | Sequence[str],
        generation: Generation | None = None,
        **settings: Unpack[GenerationSettings],
    ) -> list[Prediction]: ...

    def __call__(
        self,
        image: ImageLike | Sequence[ImageLike],
        question: str | Sequence[str],
        generation: Generation | None = None,
        **settings: Unpack[GenerationSettings],
    ) -> Prediction | list[Prediction]:
        """Answers one question about one image, or several.

        A list of images with one question, one image with a list of questions, or two lists of the
        same length give a list of predictions. What depends on an image alone is computed once.

        Args:
            image: One image or a list of them; `collavo.datasets.mappers.given.ImageLike` says in
                which forms.
            question: One question or a list of them.
            generation: How to generate, in this call; as the configuration says if None.
            settings: Single settings of this call, such as `num_beams=1, max_new_tokens=16`.

        Returns:
            A `Prediction`, or a list of them if either argument was a list.

        Raises:
            DataError: An image cannot be opened, or the lists differ in length.
            ConfigError: A generation setting is unknown or not allowed.
        """
        chosen = self._generation(self.generation if generation is None else generation, settings)
        samples = [
            Sample(f"asked:{number}", images=(ref,), question=text, question_id=number)
            for (ref, text), number in zip(
                paired(image, question, self.urls), self._numbers, strict=False
            )
        ]
        found = self._predict(samples, chosen)
        single = isinstance(question, str) and not isinstance(image, (list, tuple))
        return found[0] if single else found

    def _generation(self, base: Generation, settings: Mapping[str, object]) -> Generation:
        """Changes single settings; all are checked as the configuration's keys of their meaning."""
        if not isinstance(base, Generation):
            raise ConfigError(
                f"generation is a collavo.Generation, not a {type(base).__name__}; single settings "
                "are given by name, such as num_beams=1"
            )
        keys = {
            "RANDOM_SEED" if name == "seed" else f"GENERATION.{name.upper()}": value
            for name, value in (asdict(base) | dict(settings)).items()
        }
        return generation_of(changed(self.cfg, keys, "Predictor"))

    @torch.inference_mode()
    def _predict(self, samples: Sequence[Sample], generation: Generation) -> list[Prediction]:
        """Answers samples, a few images at once; returns predictions in their order."""
        found: dict[str, Prediction] = {}
        asker = copy.copy(self._asker)
        asker.generation = generation
        units = make_units(samples)
        while units:
            most = self._limits.images
            loaded = [self._loader.load(unit) for unit in units[:most]]
            units = units[most:]
            kinds: dict[object, list[Loaded]] = {}  # images of equal shapes are computed together
            for item in loaded:
                if item.error is not None:
                    raise DataError(item.error)
                kinds.setdefault(tuple(v.shape_key for v in item.visuals), []).append(item)
            for items in kinds.values():
                batch = self._preparer.prepare(items, self.cfg.EVAL.REUSE != "none")
                answered: list[tuple[Row, Answer]] = []
                asker.ask(batch, answered.extend)
                for row, (text, _) in answered:
                    found[row.sample.sample_id] = self._prediction(row, text, batch)
        return [found[sample.sample_id] for sample in samples]

    def _prediction(self, row: Row, answer: str, batch: Batch) -> Prediction:
        item = batch.items[row.owner]
        crayon, segments = None, None
        names: tuple[str, ...] = ()
        if self.segmenter is not None and item.segments:
            segments, names = item.segments[0], self.segmenter.class_names
            crayon = make_crayon_prompt([segments], names, self.mode)
        return Prediction(
            answer,
            row.sample.question,
            row.prompt,
            crayon,
            batch.texts[row.owner] or "",
            segments,
            names,
            item.unit.images[0],
            item.visuals[0].picture,
        )


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN_TEXT else f"{text[: _SHOWN_TEXT - 3]}..."
