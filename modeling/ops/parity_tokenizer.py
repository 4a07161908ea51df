"""Compares the tokenizer with ids that the original wrote down: `parity --tokenizer-case`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from collavo.errors import DataError, MissingFileError
from collavo.modeling.llms.tokenizer import CoLLaVOTokenizer

CASES_FILE = "cases.json"


def compare(folder: str | Path) -> dict[str, bool]:
    """Encodes every text of `folder/cases.json` with `folder/tokenizer.model`.

    Returns:
        `ids_equal`: all rows, with and without `<s>`, and the image token's id agree;
        `batch_equal`: the left-padded batch agrees in ids and attention mask.

    Raises:
        MissingFileError: `cases.json` or `tokenizer.model` is not there.
        DataError: `cases.json` is not what tests/golden/README.md describes.
    """
    file = Path(folder) / CASES_FILE
    if not file.is_file():
        raise MissingFileError(
            f"no {CASES_FILE} in {folder}: see tests/golden/README.md for its layout"
        )
    tokenizer = CoLLaVOTokenizer(folder)
    try:
        cases = json.loads(file.read_text(encoding="utf-8"))
        rows = cases["rows"]
        ids_equal = (
            cases.get("image_token_id", tokenizer.image_token_id) == tokenizer.image_token_id
        )
        for row in rows:
            ids_equal &= tokenizer.encode(row["text"]) == row["input_ids"]
            bare = row.get("no_special", row["input_ids"][1:])
            ids_equal &= tokenizer.encode(row["text"], add_bos=False) == bare
        batch_equal = _batch_equal(tokenizer, rows, cases["batch"])
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{file} is no readable JSON: {error}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{file} lacks or misplaces {error}; see tests/golden/README.md") from error
    return {"ids_equal": bool(ids_equal), "batch_equal": batch_equal}


def _batch_equal(
    tokenizer: CoLLaVOTokenizer, rows: list[dict[str, Any]], batch: dict[str, Any]
) -> bool:
    """The batch names no texts; each row is that of a text whose ids, unpadded, it holds."""
    texts = []
    by_ids = {tuple(row["input_ids"]): row["text"] for row in rows}
    for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True):
        kept = tuple(token for token, real in zip(ids, mask, strict=True) if real)
        if kept not in by_ids:
            return False
        texts.append(by_ids[kept])
    ids, mask = tokenizer.batch(texts)
    return ids.tolist() == batch["input_ids"] and mask.tolist() == batch["attention_mask"]
