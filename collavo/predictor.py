"""The Python way in: a model, its segmenter and a question about an image, in three lines."""

from __future__ import annotations

import base64
import html
import io
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import torch
from PIL import Image

from collavo.config import get_cfg
from collavo.config.build import changed
from collavo.datasets.mappers.given import ImageLike, Images, paired
from collavo.datasets.mappers.image import open_image
from collavo.engine.images import visual_of
from collavo.engine.models import generation_of, load_model
from collavo.engine.plan import common_prefix
from collavo.engine.prepare import pictures_of
from collavo.modeling.crayon.draw import draw_crayon
from collavo.modeling.crayon.prompt import make_crayon_prompt
from collavo.records import CrayonPrompt, ImageRef, Segments

if TYPE_CHECKING:
    from collavo.modeling.architectures.base import Architecture, Generation
    from collavo.modeling.image_policies.base import VisualInput
    from collavo.modeling.segmenters.base import Segmenter

logger = logging.getLogger(__name__)

IMAGES_AT_ONCE = 8

SHOWN = 800
"""Pixels of the longer side of a picture in a notebook."""


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
    """

    answer: str
    question: str
    prompt: str
    crayon: CrayonPrompt | None
    crayon_text: str
    segments: Segments | None
    class_names: tuple[str, ...]
    image: ImageRef

    def __repr__(self) -> str:
        """The answer, the question and the image, on one line."""
        return f"Prediction({self.answer!r} to {self.question!r} about {self.image.label!r})"

    def _repr_html_(self) -> str:
        """What a notebook shows: the picture with its crayon map, the question, the answer."""
        stream = io.BytesIO()
        picture = self.draw()
        picture.thumbnail((SHOWN, SHOWN))
        picture.convert("RGB").save(stream, "PNG")
        data = base64.b64encode(stream.getvalue()).decode("ascii")
        return (
            f'<figure style="margin:0"><img alt="{html.escape(self.image.label)}" '
            f'src="data:image/png;base64,{data}"><figcaption><p><i>{html.escape(self.question)}'
            f"</i></p><p><b>{html.escape(self.answer)}</b></p></figcaption></figure>"
        )

    def draw(self) -> Image.Image:
        """Returns the image with its crayon map and a legend; the image alone without segments."""
        image = open_image(self.image)
        if self.segments is None:
            return image
        return draw_crayon(image, self.segments, self.class_names)


class Predictor:
    """Answers questions about images.

    Args:
        cfg: The configuration, as `collavo.config.get_cfg` makes it; the defaults if None, and
            with them the built-in tiny model.
        architecture: A model to use instead of the configuration's.
        segmenter: A segmenter to use instead of the configuration's.
        urls: Whether images given as http(s) URLs are downloaded; off, they are refused.

    Raises:
        ConfigError: The configuration does not fit this machine.
        MissingFileError: Weights are not there.
        CheckpointError: Weights are not what they should be.
    """

    def __init__(
        self,
        cfg: Any = None,
        architecture: Architecture | None = None,
        segmenter: Segmenter | None = None,
        urls: bool = False,
    ) -> None:
        cfg = get_cfg() if cfg is None else cfg
        self.cfg, self.urls = cfg, urls
        model = load_model(cfg, architecture=architecture, segmenter=segmenter)
        self.architecture = model.architecture
        self.architecture.eval()
        self.mode = cfg.CRAYON.MODE if self.architecture.uses_crayon else "none"
        self.segmenter = model.segmenter
        self.generation = generation_of(cfg)
        self._visual = partial(visual_of, mapper=model.mapper, prepare=self.architecture.prepare)
        for part, role in ((self.architecture, "the model"), (self.segmenter, "the segmenter")):
            if part is not None and part.untrained:
                logger.warning("%s is untrained: it shows the way, not the answers", role)

    @classmethod
    def from_pretrained(
        cls,
        weights: str | Path = "",
        segmenter: str | Path = "",
        conf_files: Sequence[str | Path] = (),
        settings: Mapping[str, Any] | None = None,
        urls: bool = False,
    ) -> Predictor:
        """Loads a model and its segmenter.

        Args:
            weights: Folder or hub id of the model; empty for the built-in tiny one.
            segmenter: Folder or hub id of the segmenter; empty for the model's own.
            conf_files: Configuration files, such as "collavo_demo.yaml".
            settings: Configuration keys, such as `{"LLM.BITS": 4}`; they win.
            urls: Whether images given as http(s) URLs are downloaded.
        """
        named = {"MODEL.WEIGHTS": str(weights), "SEGMENTER.WEIGHTS": str(segmenter)}
        keys = {k: v for k, v in named.items() if v} | dict(settings or {})
        return cls(get_cfg(conf_files, config_overrides=keys), urls=urls)

    @overload
    def __call__(self, image: ImageLike, question: str, **generation: Any) -> Prediction: ...

    @overload
    def __call__(
        self, image: ImageLike | Images, question: list[str] | tuple[str, ...], **generation: Any
    ) -> list[Prediction]: ...

    @overload
    def __call__(self, image: Images, question: str, **generation: Any) -> list[Prediction]: ...

    def __call__(
        self, image: Any, question: Any, **generation: Any
    ) -> Prediction | list[Prediction]:
        """Answers one question about one image, or several.

        A list of images with one question, one image with a list of questions, or two lists of the
        same length give a list of predictions. What depends on an image alone is computed once.

        Args:
            image: One image or a list of them.
            question: One question or a list of them.
            generation: Keys of `GENERATION` for this call, in lower case: `num_beams=1`,
                `max_new_tokens=20`, `do_sample=True`, `temperature=0.7`, ...

        Returns:
            A `Prediction`, or a list of them if either argument was a list.

        Raises:
            ConfigError: There is no such key of `GENERATION`, or its value cannot be that.
            DataError: An image cannot be opened, or the lists differ in length.
        """
        keys = {f"GENERATION.{name.upper()}": value for name, value in generation.items()}
        how = generation_of(changed(self.cfg, keys, "Predictor")) if keys else self.generation
        asked = paired(image, question, self.urls)
        images = list(dict.fromkeys(ref for ref, _ in asked))
        found: dict[int, Prediction] = {}
        for start in range(0, len(images), IMAGES_AT_ONCE):
            part = images[start : start + IMAGES_AT_ONCE]
            rows = [(i, part.index(r), q) for i, (r, q) in enumerate(asked) if r in part]
            found |= self._predict(part, rows, how)
        single = isinstance(question, str) and not isinstance(image, (list, tuple))
        return found[0] if single else [found[i] for i in range(len(asked))]

    @torch.inference_mode()
    def _predict(
        self,
        refs: Sequence[ImageRef],
        rows: Sequence[tuple[int, int, str]],
        generation: Generation,
    ) -> dict[int, Prediction]:
        """Answers (number, index in `refs`, question) rows; returns predictions by number."""
        visuals = [self._visual(ref) for ref in refs]
        segments: list[Segments | None] = [None] * len(refs)
        crayon = None
        texts: list[str | None] = [None] * len(refs)
        names: tuple[str, ...] = ()
        if self.segmenter is not None:
            names = self.segmenter.class_names
            segments = list(self.segmenter.segment(pictures_of(visuals, "cpu"), refs))
            crayon = make_crayon_prompt([s for s in segments if s], names, self.mode)
            texts = list(crayon.text)
        prompts = [self.architecture.render(q, texts[owner]) for _, owner, q in rows]
        owners = [owner for _, owner, _ in rows]
        answers = self._answers(visuals, crayon, prompts, owners, generation)
        found = {}
        for (number, owner, question), prompt, answer in zip(rows, prompts, answers, strict=True):
            found[number] = Prediction(
                answer,
                question,
                prompt,
                _of_rows(crayon, torch.tensor([owner])),
                texts[owner] or "",
                segments[owner],
                names,
                refs[owner],
            )
        return found

    def _answers(
        self,
        visuals: Sequence[VisualInput],
        crayon: CrayonPrompt | None,
        prompts: Sequence[str],
        owners: Sequence[int],
        generation: Generation,
    ) -> list[str]:
        model = self.architecture
        maps = crayon if crayon is not None and crayon.semantic is not None else None
        ids = [tuple(model.tokenize(prompt)) for prompt in prompts]
        if not model.supports_prefix:
            rows = _of_rows(maps, torch.tensor(owners))
            return model.generate(ids, [(visuals[o],) for o in owners], rows, generation)
        shared = [
            common_prefix([row for row, o in zip(ids, owners, strict=True) if o == image])
            for image in range(len(visuals))
        ]
        first = {owner: row for row, owner in zip(ids, owners, strict=True)}
        prefixes = [first[image][:length] for image, length in enumerate(shared)]
        suffixes = [row[shared[owner] :] for row, owner in zip(ids, owners, strict=True)]
        contexts = model.encode([(visual,) for visual in visuals], maps, prefixes)
        return model.answer(contexts, suffixes, owners, generation)


def _of_rows(crayon: CrayonPrompt | None, index: torch.Tensor) -> CrayonPrompt | None:
    """The Crayon Prompt of a batch with these images of it."""
    if crayon is None:
        return None
    semantic, number = (
        None if table is None else table[index.to(table.device)]
        for table in (crayon.semantic, crayon.number)
    )
    return CrayonPrompt(semantic, number, [crayon.text[i] for i in index.tolist()])
