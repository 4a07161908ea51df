"""The tokenizer against ids of the original, special tokens in text, and broken files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import sentencepiece

from collavo.errors import CheckpointError, DataError, MissingFileError
from collavo.modeling.llms.tokenizer import CoLLaVOTokenizer
from collavo.modeling.ops.parity_tokenizer import compare


@pytest.fixture(scope="module")
def folder(golden: Path) -> Path:
    return golden / "tokenizer_a"


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> CoLLaVOTokenizer:
    return CoLLaVOTokenizer(folder / "tokenizer.model")


@pytest.fixture(scope="module")
def cases(folder: Path) -> dict:
    return json.loads((folder / "cases.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def bare_prefix(tmp_path_factory: pytest.TempPathFactory) -> CoLLaVOTokenizer:
    """A model without dummy prefix, as the published one's cases may have."""
    folder = tmp_path_factory.mktemp("bare")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a dog on the grass", "is there a cat in the image?"] * 20),
        model_prefix=str(folder / "tokenizer"),
        model_type="bpe",
        vocab_size=300,
        byte_fallback=True,
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        normalization_rule_name="identity",
        hard_vocab_limit=False,
        minloglevel=2,
    )
    return CoLLaVOTokenizer(folder)


def test_ids_are_the_originals(tokenizer: CoLLaVOTokenizer, cases: dict) -> None:
    assert tokenizer.image_token_id == cases["image_token_id"]
    for row in cases["rows"]:
        assert tokenizer.encode(row["text"]) == row["input_ids"], row["text"]
        assert tokenizer.encode(row["text"], add_bos=False) == row["no_special"], row["text"]


def test_decoding_gives_the_originals_text(tokenizer: CoLLaVOTokenizer, cases: dict) -> None:
    for row in cases["rows"]:
        assert tokenizer.decode(row["input_ids"]) == row["decoded"]


def test_batch_is_padded_on_the_left(tokenizer: CoLLaVOTokenizer, cases: dict) -> None:
    ids, mask = tokenizer.batch([row["text"] for row in cases["rows"][:2]])
    assert ids.tolist() == cases["batch"]["input_ids"]
    assert mask.tolist() == cases["batch"]["attention_mask"]
    ids, mask = tokenizer.pad([])
    assert ids.shape == mask.shape == (0, 0)


def test_special_tokens_in_text_become_their_ids(tokenizer: CoLLaVOTokenizer) -> None:
    a, b = tokenizer.encode("a", add_bos=False), tokenizer.encode("b", add_bos=False)
    assert tokenizer.encode("a</s>b", add_bos=False) == [*a, 2, *b]
    assert tokenizer.encode("<s><unk></s>", add_bos=False) == [1, 0, 2]
    assert tokenizer.encode("<image><image>") == [1, 420, 420]
    assert tokenizer.decode([*a, 2, *b], skip_special_tokens=False) == "a</s>b"
    assert tokenizer.decode([1, 420]) == ""


def test_turn_end_and_special_ids(
    tokenizer: CoLLaVOTokenizer, bare_prefix: CoLLaVOTokenizer
) -> None:
    assert tokenizer.turn_end_id == tokenizer.piece_id("[UNUSED_TOKEN_145]") == 5
    assert tokenizer.piece_id("[UNUSED_TOKEN_146]") == 6
    assert tokenizer.piece_id("<image>") == 420
    assert tokenizer.piece_id("no such piece") is None
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (1, 2, 2)
    assert len(tokenizer) == 421
    assert bare_prefix.turn_end_id is None


def test_without_dummy_prefix_nothing_is_lost(bare_prefix: CoLLaVOTokenizer) -> None:
    for text in ("dog", " dog", "a<image>b", "é\n\tdog  cat "):
        ids = bare_prefix.encode(text)
        assert bare_prefix.decode(ids) == text.replace("<image>", "")


def test_unknown_ids_are_refused(tokenizer: CoLLaVOTokenizer) -> None:
    with pytest.raises(IndexError, match=r"token id 421 is not in 0\.\.420"):
        tokenizer.decode([421])


def test_broken_files_are_named(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(MissingFileError, match="no tokenizer.model at"):
        CoLLaVOTokenizer(tmp_path)
    file = tmp_path / "tokenizer.model"
    whole = (folder / "tokenizer.model").read_bytes()
    broken = (b"", b"version https://git-lfs", whole[: len(whole) // 2 + 1], b"\x00" * 3000)
    for content in broken:
        file.write_bytes(content)
        with pytest.raises(CheckpointError, match="is no SentencePiece model"):
            CoLLaVOTokenizer(file)


def test_parity_sees_a_difference(tmp_path: Path, folder: Path, cases: dict) -> None:
    assert compare(folder) == {"ids_equal": True, "batch_equal": True}
    shutil.copy(folder / "tokenizer.model", tmp_path)
    changed = json.loads(json.dumps(cases))
    changed["rows"][3]["input_ids"][2] += 1
    changed["batch"]["attention_mask"][0][0] = 1
    (tmp_path / "cases.json").write_text(json.dumps(changed))
    assert compare(tmp_path) == {"ids_equal": False, "batch_equal": False}
    (tmp_path / "cases.json").write_text("{")
    with pytest.raises(DataError, match="no readable JSON"):
        compare(tmp_path)
    (tmp_path / "cases.json").write_text("{}")
    with pytest.raises(DataError, match="'rows'"):
        compare(tmp_path)
    (tmp_path / "cases.json").unlink()
    with pytest.raises(MissingFileError, match=r"cases\.json"):
        compare(tmp_path)
