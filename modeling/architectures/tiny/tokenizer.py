"""Trains the tiny model's SentencePiece model: BPE with byte fallback, as InternLM2's."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence

import sentencepiece

from collavo.datasets.miniature.training.told import GRID
from collavo.modeling.llms.chat_templates import SYSTEM

VOCAB_SIZE = 1344
CHAT_PIECES = ("[UNUSED_TOKEN_145]", "[UNUSED_TOKEN_146]")
_EDGES = tuple(dict.fromkeys(f"{k / GRID:.2f}" for k in range(GRID + 1)))

PHRASES = (
    SYSTEM,
    "user\n",
    "assistant\n",
    "\n",
    "\nAnswer the question using a single word or phrase.",
    "\nAnswer with the option's letter from the given choices directly.",
    " Please answer yes or no.",
    "The image includes ",
    "(#",
    ") [",
    "], (#",
    "].",
    *_EDGES,
    *(f", {edge}" for edge in _EDGES),
    *"0123456789",
    *(f" {digit}" for digit in range(10)),
)
"""What every prompt says, and the numbers of boxes: one piece each, so that a sequence is half as
long, and an edge is one token, which can be compared with another."""


def train_tokenizer(
    lines: Iterable[str], vocab_size: int = VOCAB_SIZE, phrases: Sequence[str] = ()
) -> bytes:
    """Returns the serialised model; equal lines give equal bytes (one thread, nothing drawn).

    Args:
        lines: The corpus.
        vocab_size: Pieces in all: control, chat and byte pieces among them.
        phrases: Texts that are one piece wherever they stand.
    """
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=out,
        model_type="bpe",
        vocab_size=vocab_size,
        byte_fallback=True,
        character_coverage=1.0,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=False,
        split_by_unicode_script=True,
        split_by_number=True,
        allow_whitespace_only_pieces=True,
        # SentencePiece writes a space as U+2581 in its pieces, and finds them only like that.
        user_defined_symbols=[*CHAT_PIECES, *(p.replace(" ", "\u2581") for p in phrases)],
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=-1,
        num_threads=1,
        shuffle_input_sentence=False,
        input_sentence_size=0,
        minloglevel=2,
    )
    return out.getvalue()
