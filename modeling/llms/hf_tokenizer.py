"""Tokenizers of transformers, with `<image>` as one id that stands for a whole image."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from transformers import AutoTokenizer

from collavo.errors import CheckpointError
from collavo.modeling.llms.chat import IMAGE_TOKEN
from collavo.modeling.pretrained import load_pretrained

TURN_ENDS = ("<|im_end|>", "<|eot_id|>", "<end_of_turn>", "[UNUSED_TOKEN_145]")
"""What chat models call the end of a turn where it is not their end of sequence."""

NAMES = (
    *("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json"),
    *("added_tokens.json", "vocab.json", "merges.txt", "vocab.txt", "chat_template.jinja"),
)
"""The files that a tokenizer of transformers is read from, as far as they are there."""


class HFTokenizer:
    """A tokenizer that `AutoTokenizer` reads.

    Args:
        folder: It holds the tokenizer's files.
        trust_remote_code: Whether code that the folder brings along may run.

    Raises:
        CheckpointError: There is none, or it is damaged.
    """

    def __init__(self, folder: str | Path, trust_remote_code: bool = False) -> None:
        self.folder = Path(folder)
        self._tokenizer = load_pretrained(
            AutoTokenizer, folder, "LLM.WEIGHTS", trust_remote_code, local_files_only=True
        )
        self._tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE_TOKEN]})
        self.image_token_id: int = self._tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
        self.bos_token_id: int | None = self._tokenizer.bos_token_id
        eos: int | None = self._tokenizer.eos_token_id
        if eos is None:
            raise CheckpointError(f"the tokenizer in {folder} has no end of sequence")
        pad: int | None = self._tokenizer.pad_token_id
        self.pad_token_id = eos if pad is None else pad
        known = self._tokenizer.get_vocab()
        ends = (known[piece] for piece in TURN_ENDS if piece in known)
        self.turn_end_id: int | None = next((end for end in ends if end != eos), None)
        self.files = tuple(self.folder / n for n in NAMES if (self.folder / n).is_file())

    def encode(self, text: str, add_bos: bool = True) -> list[int]:
        """Returns the ids of `text`; special tokens in it, `<image>` too, become their ids.

        Args:
            text: Any text.
            add_bos: Whether the id that begins a sequence comes first, where there is one.
        """
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False)
        return [self.bos_token_id, *ids] if add_bos and self.bos_token_id is not None else ids

    def decode(self, ids: Iterable[int]) -> str:
        """Returns the text of `ids` without special tokens."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=True)
        return text
