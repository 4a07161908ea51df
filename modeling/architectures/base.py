"""The contract of a vision-language architecture: encode an image once, answer its questions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

if TYPE_CHECKING:
    from collavo.records import CrayonPrompt


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
    """A vision-language model behind two calls: `encode` an image, `answer` questions on it."""

    supports_prefix: bool = False
    """Whether `encode` and `answer` share an image's prefix; else the engine uses `generate`."""

    image_size: int
    """Height and width in pixels of the square images that it takes."""

    grid: tuple[int, int]
    """Rows and columns (h, w) of the patch grid that Crayon maps lie on."""

    origin: tuple[str, str] = ("", "")
    """The folder or hub id that its weights were given as, and the revision; "" for none."""

    uses_crayon: bool = False
    """Whether it takes a Crayon Prompt."""

    max_images: int = 1
    """Images that one conversation or question may have."""

    roles: Mapping[str, tuple[str, ...]] = {}
    """Names for parameters that lie here and there in the model, with patterns of theirs."""

    @abstractmethod
    def render(self, question: str, crayon_text: str | None) -> str:
        """Returns the whole prompt: system, image placeholder, crayon text, question, template."""

    @abstractmethod
    def tokenize(self, prompt: str) -> list[int]:
        """Returns the token ids of a rendered prompt; an image is one id."""

    @abstractmethod
    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        pixel_values: Tensor | None,
        crayon: CrayonPrompt | None,
        generation: Generation,
    ) -> list[str]:
        """Answers each prompt by itself, nothing shared: row i has image i (uint8 (B, 3, H, W))."""

    def set_dropout(self, probability: float) -> None:
        """Sets the dropout of its own parts, in training; without such parts nothing happens."""
        return None

    def reset_parameters(self, seed: int) -> None:
        """Draws all weights anew, for training from scratch."""
        raise TypeError(f"{type(self).__name__} draws no weights; set TRAIN.INIT weights")

    def save_stage(self, folder: Path) -> None:
        """Writes what a stage of training has made of it, for evaluations and the next stage."""
        raise TypeError(f"{type(self).__name__} does not save what was trained")

    def look(self, pixel_values: Tensor) -> list[Tensor]:
        """Computes what VISION.CACHE keeps: the visual features, which depend on pixels alone.

        Args:
            pixel_values: uint8 RGB (B, 3, H, W) in [0, 255].

        Returns:
            Levels of features, each (B, N, C); `encode` takes them as `features`.
        """
        raise TypeError(f"{type(self).__name__} keeps no vision features; leave VISION.CACHE empty")

    def encode(
        self,
        pixel_values: Tensor | None,
        crayon: CrayonPrompt | None,
        prefixes: Sequence[Sequence[int]],
        reuse: str = "prefix",
        features: Sequence[Tensor] | None = None,
    ) -> list[ImageContext]:
        """Computes the prefix state of each image once.

        Args:
            pixel_values: uint8 RGB (B, 3, H, W) in [0, 255]; None for prompts without image, whose
                options are to be scored.
            crayon: The Crayon Prompt of the batch, or None.
            prefixes: For each image the longest common token prefix of its prompts.
            reuse: "prefix" keeps the prefix's keys and values, "vision" only what is computed of
                the image outside the LLM.
            features: What `look` gave for the images, where it is known; given only to
                architectures that have `look`.
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

    def score_options(
        self,
        contexts: Sequence[ImageContext],
        suffixes: Sequence[Sequence[int]],
        owners: Sequence[int],
        options: Sequence[Sequence[Sequence[int]]],
    ) -> list[list[tuple[float, float]]]:
        """Scores given answers on encoded images, without decoding.

        Args:
            contexts: The images' states, of reuse "prefix".
            suffixes: For each question the token ids after its image's prefix; never empty.
            owners: For each question the index of its image in `contexts`.
            options: For each question the token ids of its options; none empty.

        Returns:
            For each question and option the sum and the mean of its tokens' log-probabilities.
        """
        raise TypeError(f"{type(self).__name__} scores no given answers; set EVAL.SCORING generate")
