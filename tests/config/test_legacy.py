"""The original's own YAML loads, and gives what its code did."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from collavo.config import default_cfg, get_cfg
from collavo.config.defaults import BLOCKS, KEYS
from collavo.config.legacy import DEPRECATED

NUMBERS_IT_IGNORED = ("TEMPERATURE", "TOP_P", "NUM_BEAMS", "MAX_NEW_TOKENS")


@pytest.mark.parametrize(("benchmark", "tokens"), [("pope", 5), ("mme", 5), ("textvqa", 128)])
def test_its_yaml_gives_what_its_code_did(original: Path, benchmark: str, tokens: int) -> None:
    cfg = get_cfg([original], benchmark=benchmark)
    assert (cfg.GENERATION.NUM_BEAMS, cfg.GENERATION.MAX_NEW_TOKENS) == (3, tokens)
    assert cfg.GENERATION.DO_SAMPLE is False
    assert (cfg.LLM.BITS, cfg.LLM.DTYPE) == (4, "fp16")
    assert (cfg.OPTIMIZER.LR, cfg.OPTIMIZER.LAST_LR) == (1e-5, 1e-6)
    assert isinstance(cfg.OPTIMIZER.LR, float)
    # its default pipeline had no benchmark: the dataset's own runs
    assert (cfg.PIPELINE, cfg.MODEL.NAME) == ("", "collavo")
    assert (cfg.SAVE_DIR, cfg.USER_DIR) == (".", "")
    assert (cfg.INPUT.IMAGE_SIZE, cfg.DATALOADER.NUM_WORKERS) == (490, 16)
    assert {cfg[block].TEST.BATCH_SIZE_TOTAL for block in BLOCKS} == {1}


def test_dead_keys_warn_once(original: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        get_cfg([original])
        get_cfg([original], benchmark="pope")
    (record,) = caplog.records
    text = record.getMessage()
    for name in ("<BENCHMARK>.TEST.NUM_BEAMS", "RESET_DATA_LOADER", "MODEL.DECODER.TEST.PANOPTIC"):
        assert name in text
    assert "GENERATION.NUM_BEAMS" in text
    # one name for the twelve benchmarks, and none of the keys that are honoured
    assert "POPE" not in text
    assert "BATCH_SIZE_TOTAL" not in text


def test_only_the_main_process_warns(
    original: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    with caplog.at_level(logging.WARNING):
        get_cfg([original])
    assert not caplog.records


@pytest.mark.parametrize("name", NUMBERS_IT_IGNORED)
def test_numbers_it_ignored_are_dead_keys(name: str, caplog: pytest.LogCaptureFixture) -> None:
    cfg = get_cfg(overrides=[f"MME.TEST.{name}", "1"])
    assert cfg == get_cfg()
    assert f"<BENCHMARK>.TEST.{name}" in caplog.text


def test_no_key_is_both_real_and_dead() -> None:
    assert not DEPRECATED & {key.name for key in KEYS}


def test_dead_keys_are_registered_with_yacs() -> None:
    cfg = default_cfg()
    assert all(cfg.key_is_deprecated(key) for key in DEPRECATED)
    cfg.merge_from_list(["POPE.TEST.NUM_BEAMS", "1"])
    assert cfg == default_cfg()


@pytest.mark.parametrize(
    ("words", "key", "value"),
    [
        (["base_path", "my_modules"], "USER_DIR", "my_modules"),
        (["base_path", "./"], "USER_DIR", ""),
        (["USER_DIR", "./"], "USER_DIR", "./"),
        (["PIPELINE", "MMEPipeline"], "PIPELINE", "MMEPipeline"),
        (["SAVE_DIR", ""], "SAVE_DIR", "."),
    ],
)
def test_old_names_and_values(words: list[str], key: str, value: str) -> None:
    assert get_cfg(overrides=words)[key] == value
