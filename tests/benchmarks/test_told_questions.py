"""What is read off told scenes is measured question by question; the backbone reads them."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.nn.functional import one_hot

from benchmarks import told_questions
from collavo.config.build import get_cfg
from collavo.registry import ARCHITECTURES

KINDS = {
    "above_or_under", "above_or_under_yes_no", "box", "left_or_right", "left_or_right_yes_no",
    "number", "number_yes_no",
}  # fmt: skip


class _Oracle:
    """Says at each position the token that comes next; where it slips, not the last one."""

    pad_token_id = 2

    def __init__(self, tokenizer: Any, slips: bool = False) -> None:
        self._tokenizer, self._slips = tokenizer, slips

    def known_tokenizer(self) -> Any:
        return self._tokenizer

    def __call__(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        said = torch.roll(input_ids, -1, 1)
        if self._slips:
            rows = torch.arange(len(said))
            said[rows, attention_mask.sum(1) - 2] = 0
        return SimpleNamespace(logits=one_hot(said, 1345))


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    cfg = get_cfg([], [])
    architecture: Any = ARCHITECTURES.get(cfg.MODEL.NAME)
    return architecture.from_config(cfg, "cpu").known_tokenizer()


@pytest.mark.parametrize(("slips", "expected"), [(False, 1), (True, 0)])
def test_one_wrong_token_is_a_wrong_answer(tokenizer: Any, slips: bool, expected: int) -> None:
    figures = told_questions.measure(_Oracle(tokenizer, slips), 6)
    assert figures.keys() == KINDS
    assert {row["accuracy"] for row in figures.values()} == {expected}


def test_the_backbone_reads_numbers_and_sides(capsys: pytest.CaptureFixture[str]) -> None:
    assert told_questions.main(["--scenes", "50"]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert figures.keys() == KINDS | {"weights"}
    for kind in ("number", "number_yes_no", "left_or_right", "left_or_right_yes_no"):
        least = 200 if "number" in kind else 50
        assert figures[kind]["questions"] > least and figures[kind]["accuracy"] > 0.85, kind
