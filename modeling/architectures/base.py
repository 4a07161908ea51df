"""The contract of a vision-language architecture: encode an image once, answer its questions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor, nn

from collavo.errors import ConfigError
from collavo.modeling.architectures.reuse import ReuseCheck
from collavo.modeling.image_policies.base import VisualInput
from collavo.modeling.image_policies.square import Squash

if TYPE_CHECKING:
    from typing import Self

    from transformers.modeling_outputs import CausalLMOutputWithPast

    from collavo.modeling.architectures.merge import Merged
    from collavo.modeling.llms.chat import ChatTemplate, ChatTokenizer
    from collavo.records import CrayonPrompt

Visuals = Sequence[VisualInput]
"""The images of one question, in the order of their places in its prompt; none is no image."""


@dataclass(frozen=True)
class Generation:
    """How answers are generated.

    Args:
        num_beams: Beams; 1 is greedy (or sampling with `do_sample`).
        max_new_tokens: The most tokens an answer may have.
        do_sample: Draw tokens instead of taking the most likely.
        temperature: Divides the logits when drawing.
        top_p: Nucleus threshold in (0, 1] when drawing.
        seed: Seed of the drawing, combined with the row's key, so that batching changes nothing.
        stop: "turn_end" stops at the LLM's end of turn too; "original" only at the end of sequence.
        length_penalty: Exponent of the length by which beam scores are divided.
    """

    num_beams: int = 3
    max_new_tokens: int = 128
    do_sample: bool = False
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0
    stop: str = "turn_end"
    length_penalty: float = 1.0


@dataclass
class ImageContext:
    """Everything that a model computed of one image and of the prompt's part before the questions.

    Args:
        prefix_ids: The token ids that `cache` covers, the image token counted once.
        cache: The architecture's own state: KV cache for reuse "prefix", image embeddings for
            "vision".
        num_tokens: Positions in `cache` after expansion of the image token.
        nbytes: Memory that it holds, in bytes.
    """

    prefix_ids: tuple[int, ...]
    cache: Any
    num_tokens: int
    nbytes: int = 0


class Architecture(nn.Module, ABC):
    """A vision-language model behind two calls: `encode` an image, `answer` questions on it.

    What stands here is all that evaluation, training, `Predictor` and the commands use of a model.
    A subclass has to give `from_config`, `fingerprint`, `render`, `tokenize` and `generate`, and
    either `prepare` or an `image_size` and a `grid`; each of the rest has a default, or says what
    cannot be done without it.
    """

    supports_prefix: bool = False
    """Whether `encode` and `answer` share an image's prefix; else the engine uses `generate`."""

    mapper: str = "vqa"
    """The registered mapper that opens its images."""

    image_size: int = 0
    """Height and width in pixels of square images, for the default `prepare`; 0 without."""

    grid: tuple[int, int] = (0, 0)
    """Rows and columns (h, w) of the patch grid that Crayon maps lie on."""

    image_token_id: int | None = None
    """The id by which `tokenize` marks an image; None where the prompt holds no such id."""

    origin: tuple[str, str] = ("", "")
    """The folder or hub id that its weights were given as, and the revision; "" for none."""

    uses_crayon: bool = False
    """Whether it takes a Crayon Prompt."""

    max_images: int = 1
    """Images that one question or conversation may have."""

    max_positions: int = 0
    """Positions that a prompt may have, its images' tokens too; 0 where nothing is known."""

    identity: Mapping[str, Any] = {}
    """The settings that, with the weights' content, decide on every output."""

    roles: Mapping[str, tuple[str, ...]] = {}
    """Names for parameters that lie here and there in the model, with patterns of theirs."""

    pad_token_id: int = 0
    """Stands at padding in training's batches."""

    template: ChatTemplate | None = None
    """How it writes conversations; training takes it where TRAIN.TEMPLATE names no other."""

    @classmethod
    def from_config(cls, cfg: Any, device: torch.device | str | None = None) -> Self:
        """Loads the model that a configuration names; as `cfg.DEVICE` says where device is None.

        Raises:
            UserError: Weights or settings do not fit.
        """
        raise ConfigError(f"{cls.__name__} has no from_config, so MODEL.NAME cannot name it")

    @abstractmethod
    def fingerprint(self) -> str:
        """Hashes the weights' content and all settings of the model that change its output."""

    @property
    def untrained(self) -> bool:
        """Whether its weights are random, so that its answers mean nothing."""
        return False

    @property
    def reuse_levels(self) -> tuple[str, ...]:
        """Those of `REUSE_LEVELS` that it allows; "single" is allowed, named or not.

        By default all that needs no expanded cache, or, without a shared prefix, plain batches.
        """
        shared = ("prefix", "vision") if self.supports_prefix else ()
        return (*shared, "batch", "single")

    @property
    def device(self) -> torch.device:
        """Where the model runs."""
        return next((p.device for p in self.parameters()), torch.device("cpu"))

    def prepare(self, image: Image.Image) -> VisualInput:
        """Makes of one RGB image what the model takes; on the CPU, from several threads at once.

        By default it is squashed to a square of `image_size`, with a token for each patch of
        `grid`.

        Raises:
            DataError: The model cannot take an image of this kind.
        """
        return Squash(self.image_size, self.grid[0] * self.grid[1])(image)

    def expected_image_tokens(self) -> int:
        """Visual tokens of an image of usual shape, for plans that are made before any is read."""
        return self.prepare(Image.new("RGB", (640, 480))).num_tokens

    @abstractmethod
    def render(self, question: str, crayon_text: str | None, num_images: int = 1) -> str:
        """Returns the whole prompt: system, image placeholders, crayon text, question, template.

        Args:
            question: As the pipeline words it.
            crayon_text: The sentence about the objects, or None.
            num_images: How many images it is about; given only where `max_images` is above one.
        """

    @abstractmethod
    def tokenize(self, prompt: str) -> list[int]:
        """Returns the token ids of a rendered prompt; an image is one id."""

    @abstractmethod
    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        visuals: Sequence[Visuals],
        crayon: CrayonPrompt | None,
        generation: Generation,
    ) -> list[str]:
        """Answers each prompt by itself, nothing shared.

        Args:
            prompts: Token ids, B rows.
            visuals: The images of each row.
            crayon: The Crayon Prompt of all images, row by row, or None.
            generation: How to generate.
        """

    def image_features(self, visuals: Visuals) -> list[Tensor]:
        """Computes what VISION.CACHE keeps: the visual features, which depend on pixels alone.

        Args:
            visuals: Images of one shape key, I of them.

        Returns:
            Levels of features, each (I, N, C); `encode` takes them as `features`.
        """
        raise ConfigError(
            f"{type(self).__name__} keeps no vision features; leave VISION.CACHE empty"
        )

    def encode(
        self,
        visuals: Sequence[Visuals],
        crayon: CrayonPrompt | None,
        prefixes: Sequence[Sequence[int]],
        reuse: str = "prefix",
        features: Sequence[Tensor] | None = None,
    ) -> list[ImageContext]:
        """Computes the state of the prompts' shared part once.

        Args:
            visuals: For each prefix its images; none for prompts without image, whose options are
                to be scored.
            crayon: The Crayon Prompt of all images, prefix by prefix, or None.
            prefixes: For each of `visuals` the longest common token prefix of its prompts.
            reuse: "prefix" and "expanded" keep the prefix's keys and values, "vision" only what is
                computed of the images outside the LLM.
            features: What `image_features` gave for the images, where it is known; given only to
                architectures that have it.
        """
        raise TypeError(f"{type(self).__name__} shares no prefix; call generate")

    def answer(
        self,
        contexts: Sequence[ImageContext],
        suffixes: Sequence[Sequence[int]],
        owners: Sequence[int],
        generation: Generation,
    ) -> list[str]:
        """Answers questions on encoded images.

        Args:
            contexts: The images' states.
            suffixes: For each question the token ids after its image's prefix; never empty.
            owners: For each question the index of its image in `contexts`.
            generation: How to generate.
        """
        raise TypeError(f"{type(self).__name__} shares no prefix; call generate")

    def check_reuse(
        self,
        level: str,
        context: ImageContext,
        suffix: Sequence[int],
        visuals: Visuals,
        crayon: CrayonPrompt | None,
        features: Sequence[Tensor] | None = None,
    ) -> ReuseCheck | None:
        """Compares what `encode` shared with the same of one whole prompt, nothing shared.

        The engine asks for it on the first images of a run and on each new kind of prompt, and
        goes one level down where the check fails. It should cost no more than one prefill.

        Args:
            level: The level of reuse that `context` was encoded for.
            context: The state of one prompt's images.
            suffix: The token ids after the prefix that it covers.
            visuals: The images.
            crayon: Their Crayon Prompt, or None.
            features: As `encode` has them.

        Returns:
            The distance and its limit; None where there is nothing to compare, which passes.
        """
        return None

    def score_options(
        self,
        contexts: Sequence[ImageContext],
        suffixes: Sequence[Sequence[int]],
        owners: Sequence[int],
        options: Sequence[Sequence[Sequence[int]]],
    ) -> list[list[tuple[float, float]]]:
        """Scores given answers on encoded images, without decoding.

        Args:
            contexts: The images' states, of a level that shares the prefix.
            suffixes: For each question the token ids after its image's prefix; never empty.
            owners: For each question the index of its image in `contexts`.
            options: For each question the token ids of its options; none empty.

        Returns:
            For each question and option the sum and the mean of its tokens' log-probabilities.
        """
        raise ConfigError(
            f"{type(self).__name__} scores no given answers; set EVAL.SCORING generate"
        )

    def forward(
        self,
        input_ids: Tensor,
        visuals: Visuals = (),
        crayon: CrayonPrompt | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        logits_to_keep: int | None = 0,
        reduction: str = "mean",
    ) -> CausalLMOutputWithPast:
        """Runs the model on whole sequences, as training does.

        Args:
            input_ids: (B, T) int64; an image is one id.
            visuals: The images in the order of their ids, row by row.
            crayon: The images' Crayon Prompt.
            attention_mask: (B, T) 0 at padding, on either side.
            labels: (B, T) -100 where no loss is wanted.
            logits_to_keep: Logits of this many last positions, 0 for all, None for no logits.
            reduction: "mean", or "none" for the loss of each labelled token, (M,) row by row.
        """
        raise ConfigError(f"{type(self).__name__} has no forward, so it cannot be trained")

    def known_tokenizer(self) -> ChatTokenizer:
        """Returns the tokenizer that training's chat template writes with."""
        raise ConfigError(f"{type(self).__name__} names no tokenizer, so it cannot be trained")

    def gradient_checkpointing_enable(self) -> None:
        """Recomputes activations in the backward pass instead of keeping them."""
        raise ConfigError(f"{type(self).__name__} recomputes nothing; set TRAIN.GRAD_CKPT False")

    def set_dropout(self, probability: float) -> None:
        """Sets the dropout of its own parts, in training; without such parts nothing happens."""
        return None

    def reset_parameters(self, seed: int) -> None:
        """Draws all weights anew, for training from scratch."""
        raise ConfigError(f"{type(self).__name__} draws no weights; set TRAIN.INIT weights")

    @classmethod
    def merge_stage(cls, source: Path, target: Path, dtype: torch.dtype | None = None) -> Merged:
        """Writes what a stage of training left, folded into its base, as one checkpoint.

        Args:
            source: The folder that `save_stage` made.
            target: The folder to make; it must not be there, or be empty.
            dtype: Of what is written; None keeps the base's.
        """
        raise ConfigError(f"{cls.__name__} folds no stages into checkpoints")

    def save_stage(self, folder: Path) -> None:
        """Writes what a stage of training has made of it, for evaluations and the next stage."""
        raise ConfigError(f"{type(self).__name__} does not save what was trained")
