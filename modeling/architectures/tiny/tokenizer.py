"""Trains the tiny model's SentencePiece model: BPE with byte fallback, as InternLM2's."""

from __future__ import annotations

import io
from collections.abc import Iterable

import sentencepiece

VOCAB_SIZE = 1344
CHAT_PIECES = ("[UNUSED_TOKEN_145]", "[UNUSED_TOKEN_146]")


def train_tokenizer(lines: Iterable[str], vocab_size: int = VOCAB_SIZE) -> bytes:
    """Returns the serialised model; equal lines give equal bytes (one thread, nothing drawn).

    Args:
        lines: The corpus.
        vocab_size: Pieces in all: control, chat and byte pieces among them.
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
        user_defined_symbols=list(CHAT_PIECES),
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
