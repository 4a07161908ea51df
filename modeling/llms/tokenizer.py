"""CoLLaVO's tokenizer: SentencePiece from `tokenizer.model` alone, with `<image>` added."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import sentencepiece
import torch

from collavo.errors import CheckpointError, MissingFileError
from collavo.modeling.llms.chat import IMAGE_TOKEN

if TYPE_CHECKING:
    from jaxtyping import Int
    from torch import Tensor

TOKENIZER_FILE = "tokenizer.model"
TURN_END_PIECES = ("[UNUSED_TOKEN_145]", "<|im_end|>")
"""What InternLM2's tokenizers call the end of a turn; the second name is of later releases."""


class CoLLaVOTokenizer:
    """Turns text into ids exactly as the original's slow SentencePiece tokenizer does.

    Special tokens (`<unk>`, `<s>`, `</s>`, `<image>`) are cut out of the text first; each stretch
    between them is encoded by itself, so with a dummy prefix each stretch gets one. `<image>` is
    the first id past the pieces. Chat pieces such as `[UNUSED_TOKEN_145]` are user-defined pieces
    and not special.

    Source: CoLLaVO commit fb419fa, collavo/arch/tokenization_internlm2.py, on transformers 4.39.

    Args:
        path: `tokenizer.model`, or the folder that holds it.

    Raises:
        MissingFileError: There is no such file.
        CheckpointError: The file is not a SentencePiece model, or lacks `<s>`, `</s>` or `<unk>`.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = tokenizer_path(path)
        self.files: tuple[Path, ...] = (self.path,)
        self._pieces = _load(self.path)
        self.bos_token_id: int = self._pieces.bos_id()
        self.eos_token_id: int = self._pieces.eos_id()
        self.unk_token_id: int = self._pieces.unk_id()
        self.pad_token_id: int = self.eos_token_id
        self.vocab_size: int = self._pieces.vocab_size()
        self.image_token_id: int = self.vocab_size
        self.turn_end_id: int | None = self._first_known(TURN_END_PIECES)
        specials = (self.unk_token_id, self.bos_token_id, self.eos_token_id)
        if min(specials) < 0:
            raise CheckpointError(
                f"{self.path} has no piece for one of <unk>, <s>, </s> (ids {specials}); "
                "use the tokenizer.model that was published with the checkpoint"
            )
        self._specials = {self._pieces.id_to_piece(i): i for i in specials}
        self._specials[IMAGE_TOKEN] = self.image_token_id
        self._special_ids = frozenset(self._specials.values())
        self._names = {i: name for name, i in self._specials.items()}
        self._cut = re.compile("(" + "|".join(map(re.escape, self._specials)) + ")")

    def __len__(self) -> int:
        """Pieces and the image token."""
        return self.vocab_size + 1

    def encode(self, text: str, add_bos: bool = True) -> list[int]:
        """Returns the ids of `text`; `<image>` stays one id.

        Args:
            text: Any text; special tokens in it become their ids.
            add_bos: Whether `<s>` comes first. An end of sequence is never added.
        """
        ids = [self.bos_token_id] if add_bos else []
        for part in self._cut.split(text):
            special = self._specials.get(part)
            if special is not None:
                ids.append(special)
            elif part:
                ids.extend(self._pieces.encode(part))
        return ids

    def decode(self, ids: Iterable[int], skip_special_tokens: bool = True) -> str:
        """Returns the text of `ids`.

        With special tokens skipped, what is left is decoded as one stretch, as the original does.
        Where the model has no dummy prefix the original drops the first character; this does not.

        Raises:
            IndexError: An id is outside the vocabulary.
        """
        kept: list[int] = []
        parts: list[str] = []
        for token in map(int, ids):
            if not 0 <= token <= self.image_token_id:
                raise IndexError(f"token id {token} is not in 0..{self.image_token_id}")
            if token not in self._special_ids:
                kept.append(token)
            elif not skip_special_tokens:
                parts += [self._pieces.decode(kept), self._names[token]]
                kept = []
        return "".join(parts) + self._pieces.decode(kept)

    def pad(
        self, rows: Sequence[Sequence[int]]
    ) -> tuple[Int[Tensor, "batch tokens"], Int[Tensor, "batch tokens"]]:
        """Pads rows of ids on the left with `</s>`.

        Returns:
            Ids and attention mask (1 = a token of the row), both int64.
        """
        width = max((len(row) for row in rows), default=0)
        ids = torch.full((len(rows), width), self.pad_token_id, dtype=torch.int64)
        mask = torch.zeros_like(ids)
        for i, row in enumerate(rows):
            if row:
                ids[i, width - len(row) :] = torch.tensor(row, dtype=torch.int64)
                mask[i, width - len(row) :] = 1
        return ids, mask

    def batch(
        self, texts: Sequence[str], add_bos: bool = True
    ) -> tuple[Int[Tensor, "batch tokens"], Int[Tensor, "batch tokens"]]:
        """Encodes several texts and pads them on the left; see `pad`."""
        return self.pad([self.encode(text, add_bos=add_bos) for text in texts])

    def piece_id(self, piece: str) -> int | None:
        """Returns the id of a piece such as `[UNUSED_TOKEN_145]`, or None if there is none."""
        if piece in self._specials:
            return self._specials[piece]
        found = self._pieces.piece_to_id(piece)
        return None if found == self.unk_token_id else found

    def _first_known(self, pieces: Sequence[str]) -> int | None:
        found = (self._pieces.piece_to_id(piece) for piece in pieces)
        return next((i for i in found if i != self.unk_token_id), None)


def published_tokenizer(folder: Path, vocab_size: int) -> CoLLaVOTokenizer | None:
    """Reads a checkpoint's tokenizer; None where it has none.

    Raises:
        CheckpointError: It is of another vocabulary.
    """
    file = folder / TOKENIZER_FILE
    if not file.is_file():
        return None
    tokenizer = CoLLaVOTokenizer(file)
    if tokenizer.vocab_size != vocab_size:
        raise CheckpointError(
            f"{file} has {tokenizer.vocab_size} pieces, but config.json says vocab_size "
            f"{vocab_size}: they are not of one checkpoint"
        )
    return tokenizer


def tokenizer_path(path: str | Path) -> Path:
    """Returns the `tokenizer.model` that `path` is or holds.

    Raises:
        MissingFileError: There is none.
    """
    file = Path(path)
    if file.is_dir():
        file = file / TOKENIZER_FILE
    if not file.is_file():
        raise MissingFileError(
            f"no {TOKENIZER_FILE} at {file}: place the SentencePiece model that was published with "
            "the checkpoint there"
        )
    return file


def _load(file: Path) -> sentencepiece.SentencePieceProcessor:
    data = file.read_bytes()
    pieces = sentencepiece.SentencePieceProcessor()
    try:
        loaded = bool(data) and pieces.LoadFromSerializedProto(data) and pieces.vocab_size() > 0
    except RuntimeError as error:
        raise _corrupt(file, len(data)) from error
    if not loaded:
        raise _corrupt(file, len(data))
    return pieces


def _corrupt(file: Path, size: int) -> CheckpointError:
    hint = ""
    if size < 1000:
        hint = " (a Git LFS pointer or a broken download has such a size)"
    return CheckpointError(
        f"{file} ({size} bytes) is no SentencePiece model{hint}; fetch the published file anew"
    )
