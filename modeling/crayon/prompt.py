"""The Crayon Prompt of a batch, in the mode that CRAYON.MODE names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from collavo.errors import ConfigError
from collavo.modeling.crayon.maps import crayon_maps
from collavo.modeling.crayon.text import crayon_sentence
from collavo.records import CrayonPrompt, Segments


@dataclass(frozen=True)
class CrayonMode:
    """Which parts of the Crayon Prompt a mode keeps.

    Args:
        maps: The semantic and number maps, fused into the LLM at the image's tokens.
        text: The sentence in front of the question.
        numbers: The numbering, in whichever of the two is kept.
    """

    maps: bool
    text: bool
    numbers: bool


MODES = {
    "full": CrayonMode(maps=True, text=True, numbers=True),
    "map_only": CrayonMode(maps=True, text=False, numbers=True),
    "text_only": CrayonMode(maps=False, text=True, numbers=True),
    "semantic_only": CrayonMode(maps=True, text=True, numbers=False),
    "none": CrayonMode(maps=False, text=False, numbers=False),
}


def get_mode(name: str) -> CrayonMode:
    """Returns the mode called `name`.

    Raises:
        ConfigError: There is none of that name.
    """
    if name not in MODES:
        raise ConfigError(f"CRAYON.MODE is {name!r}; it may be one of {', '.join(MODES)}")
    return MODES[name]


def make_crayon_prompt(
    segments: Sequence[Segments], class_names: Sequence[str], mode: str = "full"
) -> CrayonPrompt:
    """Makes the Crayon Prompt of a batch of images.

    Args:
        segments: The segments of each image, all on one grid.
        class_names: The cleaned name of each label id.
        mode: full, map_only, text_only, semantic_only or none.

    Returns:
        Maps of shape (B, h, w), which are None in the modes without maps, and one sentence an
        image, which is None in the modes without text.
    """
    parts = get_mode(mode)
    made = [crayon_maps(s, class_names) for s in segments]
    semantic = number = None
    if parts.maps and made:
        semantic = torch.stack([m[0] for m in made])
        number = torch.stack([m[1] for m in made])
        if not parts.numbers:
            # row 0, "unknown", rather than None: the embedding is a sum of both tables
            number = torch.zeros_like(number)
    text = [crayon_sentence(m[2], parts.numbers) if parts.text else None for m in made]
    return CrayonPrompt(semantic, number, text)
