"""Training a vision-language model on conversations."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor, nn

from collavo.datasets.instruction.collate import Batch, with_blank_image
from collavo.engine.assemble import segment_cache
from collavo.engine.crayons import CrayonMaker
from collavo.engine.images import visual_of
from collavo.engine.models import Model, load_model
from collavo.engine.training.data import TrainingData, open_data
from collavo.engine.training.examples import ExampleMaker
from collavo.engine.training.setup import has_parted_weights
from collavo.engine.training.task import LossParts, Place
from collavo.errors import ConfigError
from collavo.modeling.llms.chat import IGNORE_INDEX
from collavo.modeling.llms.chat_templates import CHAT_TEMPLATES, get_chat_template
from collavo.modeling.losses.base import Rows
from collavo.registry import LOSSES

if TYPE_CHECKING:
    from collavo.datasets.instruction.mix import Mix
    from collavo.modeling.architectures.base import Architecture
    from collavo.modeling.losses.base import TokenLoss
    from collavo.modeling.segmenters.base import Segmenter

logger = logging.getLogger(__name__)


def _vocabulary(mix: Mix, segmenter: Segmenter | None) -> tuple[str, ...] | None:
    """The classes of the annotated sources, which images that are segmented have to share.

    Raises:
        ConfigError: A source's images would get the segmenter's classes, another's its own.
    """
    names = mix.class_names
    if names is None or segmenter is None or names == segmenter.class_names:
        return names
    for source in mix.sources:
        if source.class_names is None and any(map(source.has_image, range(len(source)))):
            raise ConfigError(
                f"TRAIN.DATA: images of {source.spec.name} get the segmenter's classes "
                f"({', '.join(segmenter.class_names[:3])}, ...), those of annotated sources "
                f"{', '.join(names[:3])}, ..., and a model has one crayon vocabulary: train them "
                "apart, or set SEGMENTER.NAME precomputed with SEGMENTER.PRECOMPUTED.CLASSES own"
            )
    logger.warning(
        "the crayon vocabulary of this training is %s, ...; evaluate it with maps of the same "
        "categories (SEGMENTER.NAME precomputed, SEGMENTER.PRECOMPUTED.CLASSES own): the segmenter "
        "that is set has other classes",
        ", ".join(names[:3]),
    )
    return names


class VLMTask:
    """A registered architecture, conversations from any mix of sources, and a loss over tokens.

    Args:
        model: The architecture, on its device: `vlm`, and `model`, which the loop trains.
        segmenter: Makes its Crayon Prompts, or None.
        data: The conversations and which of them each step takes.
        make: Turns conversations into a batch.
        loss: Weighs the tokens.
        parts: What an evaluation in between works with.
    """

    name = "vlm"

    def __init__(
        self,
        model: Architecture,
        data: TrainingData,
        make: ExampleMaker,
        loss: TokenLoss,
        parts: Model,
    ) -> None:
        self.vlm = model
        self.model: nn.Module = model
        self.data, self._make, self._loss, self._parts = data, make, loss, parts
        self._tasks = {name: number for number, name in enumerate(data.names)}
        segmenter = "none" if parts.segmenter is None else parts.segmenter.fingerprint()
        self._start = {
            "model": model.fingerprint(),
            "segmenter": segmenter,
            "data": data.fingerprint(),
        }

    @classmethod
    def from_config(cls, cfg: Any, device: str, is_main: bool = True) -> VLMTask:
        """Builds model and data as the configuration says.

        Raises:
            UserError: Anything in it does not fit.
        """
        loss = LOSSES.get(cfg.TRAIN.LOSS)()
        parts = load_model(cfg, device)
        model = parts.architecture
        template = get_chat_template(cfg.TRAIN.TEMPLATE) if cfg.TRAIN.TEMPLATE else model.template
        if template is None:
            raise ConfigError(
                f"{type(model).__name__} names no chat template, so TRAIN.TEMPLATE has to: one of "
                f"{', '.join(CHAT_TEMPLATES)}"
            )
        if cfg.TRAIN.INIT == "random":
            model.reset_parameters(cfg.RANDOM_SEED)
        model.set_dropout(cfg.TRAIN.PLORA_DROPOUT)
        tokenizer = model.known_tokenizer()
        data = open_data(cfg, model, tokenizer, template, is_main)
        crayons = CrayonMaker(
            parts.segmenter,
            cfg.CRAYON.MODE,
            segment_cache(cfg, parts),
            class_names=_vocabulary(data.mix, parts.segmenter),
        )
        make = ExampleMaker(
            data.mix,
            partial(visual_of, mapper=parts.mapper, prepare=model.prepare),
            crayons,
            tokenizer,
            template,
            pad_id=model.pad_token_id,
            max_length=cfg.TRAIN.MAX_LENGTH,
            max_bad_images=cfg.TRAIN.MAX_BAD_IMAGES,
        )
        return cls(model, data, make, loss, parts)

    @property
    def steps_per_epoch(self) -> int:
        """Steps of a pass over the data."""
        return self.data.plan.steps_per_epoch

    def kind(self, step: int) -> str:
        """The adapter that a step trains, "" where steps are not parted."""
        return self.data.plan.kind(step)

    def load(self, step: int, place: Place) -> Batch:
        """Reads this share of a step's conversations."""
        return self._make(self.data.plan.step(step).refs[place.share])

    def counts(self, batch: Batch) -> Tensor:
        """What the loss is normalised by, and the labelled tokens of each task."""
        rows = self._rows(batch)
        return torch.cat([rows.by_task(rows.tokens), self._loss.counts(rows)])

    def tokens(self, batch: Batch) -> int:
        """Tokens that the LLM sees."""
        # each image is one id of the mask, and so many visual tokens in the LLM
        return int(batch.attention_mask.sum()) + sum(v.num_tokens - 1 for v in batch.visuals)

    def sample_ids(self, batch: Batch) -> list[str]:
        """Names the conversations."""
        return list(batch.sample_ids)

    def loss(self, model: nn.Module, batch: Batch, totals: Tensor) -> LossParts:
        """Runs the model; the mean loss of each task goes to the log where there are several."""
        rows, totals = self._rows(batch), totals.cpu()
        weights = self._loss.weights(rows, totals[len(self._tasks) :])
        if not batch.visuals and has_parted_weights(self.vlm):
            # parts of parted weights are gathered by all processes at once, so all need an image
            image_id = self.vlm.known_tokenizer().image_token_id
            blank = self.vlm.prepare(Image.new("RGB", (64, 64))).to(batch.input_ids.device)
            maps = self.vlm.grid if self._make.makes_maps else None
            batch = with_blank_image(batch, image_id, blank, maps)
        output = model(
            input_ids=batch.input_ids,
            visuals=batch.visuals,
            crayon=batch.crayon,
            attention_mask=batch.attention_mask,
            labels=batch.labels,
            logits_to_keep=None,
            reduction="none",
        )
        each: Tensor = output.loss
        weighted = weights.repeat_interleave(rows.tokens).to(each.device, each.dtype)
        scalars: dict[str, Tensor] = {}
        if len(self._tasks) > 1:
            owner = rows.tasks.repeat_interleave(rows.tokens).to(each.device)
            sums = each.new_zeros(len(self._tasks)).index_add_(0, owner, each.detach())
            for name, number in self._tasks.items():
                if totals[number] > 0:  # in the whole step, so alike in all processes
                    scalars[f"loss/{name}"] = sums[number] / float(totals[number])
        return LossParts((each * weighted).sum(), scalars)

    def export(self, folder: Path) -> None:
        """Writes the published format; with adapters, a stage's artefact."""
        self.vlm.save_stage(folder)

    @torch.no_grad()
    def probe(self) -> Tensor:
        """Logits of a short prompt without image."""
        was = self.vlm.training
        self.vlm.eval()
        ids = self.vlm.known_tokenizer().encode("Is there a dog?")
        found = self.vlm(torch.tensor([ids], device=self.vlm.device)).logits.float().cpu()
        self.vlm.train(was)
        return found

    def fingerprint(self) -> Mapping[str, Any]:
        """The weights it begins with, the segmenter's, and the data."""
        return self._start

    def evaluated(self, step: int) -> Model:
        """Returns the model as it is, for the evaluation engine; its identity names the step."""
        self.vlm.identity = {**self.vlm.identity, "training": {"step": step, **self._start}}
        self.vlm.eval()
        return replace(self._parts, weights=f"in training, after step {step}")

    def _rows(self, batch: Batch) -> Rows:
        return Rows(
            (batch.labels[:, 1:] != IGNORE_INDEX).sum(1),
            batch.attention_mask.sum(1),
            torch.tensor([self._tasks[name] for name in batch.tasks]),
            len(self._tasks),
        )
