"""get_cfg: order, errors, aliases of the original, freezing, writing and reading back."""

from __future__ import annotations

from pathlib import Path

import pytest

from collavo.config import dump, get_cfg
from collavo.config.defaults import BLOCKS, KEYS
from collavo.errors import ConfigError, MissingFileError

# the run command of the original's README (February 2024), from --overrides on
RUN_COMMAND = (
    "WANDB False DATASETS.TEST pope_test PIPELINE CoLLaVOPOPEPipeline "
    "GQA.TEST.BATCH_SIZE_TOTAL 20 SCIENCEQA.TEST.BATCH_SIZE_TOTAL 20 "
    "TEXTVQA.TEST.BATCH_SIZE_TOTAL 20 POPE.TEST.BATCH_SIZE_TOTAL 20 "
    "MME.TEST.BATCH_SIZE_TOTAL 20 MMBENCH.TEST.BATCH_SIZE_TOTAL 20 "
    "MMVET.TEST.BATCH_SIZE_TOTAL 20 QBENCH.TEST.BATCH_SIZE_TOTAL 20 "
    "MATHVISTA.TEST.BATCH_SIZE_TOTAL 20 AI2D.TEST.BATCH_SIZE_TOTAL 20 "
    "SEED.TEST.BATCH_SIZE_TOTAL 20 HALLUSIONBENCH.TEST.BATCH_SIZE_TOTAL 20 "
    "WEIGHT True RESUME_FROM /path/to/CoLLaVO"
).split()


def test_defaults_are_those_of_the_table() -> None:
    cfg = get_cfg()
    for key in KEYS:
        node = cfg
        for part in key.name.split("."):
            node = node[part]
        assert node == key.default
        assert type(node) is type(key.default)
    assert len({key.name for key in KEYS}) == len(KEYS)


def test_later_sources_win(tmp_path: Path) -> None:
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text("LLM: {BITS: 8}\nSAVE_DIR: one\nVIS.SAMPLES: 1\nRANDOM_SEED: 1\n")
    two.write_text("SAVE_DIR: two\nVIS: {SAMPLES: 2}\nRANDOM_SEED: 2\n")
    cfg = get_cfg(
        [one, two],
        ["RANDOM_SEED", "4"],
        '{"VIS": {"SAMPLES": 3}, "RANDOM_SEED": 3}',
        benchmark="pope",
    )
    assert (cfg.LLM.BITS, cfg.SAVE_DIR, cfg.VIS.SAMPLES, cfg.RANDOM_SEED) == (8, "two", 3, 4)
    assert cfg.GENERATION.MAX_NEW_TOKENS == 5


def test_user_overrides_the_benchmark() -> None:
    cfg = get_cfg(overrides=["GENERATION.MAX_NEW_TOKENS", "7"], benchmark="pope")
    assert cfg.GENERATION.MAX_NEW_TOKENS == 7


@pytest.mark.parametrize(
    ("benchmark", "tokens"), [("pope", 5), ("mme", 5), ("gqa", 128), ("my_own", 128), (None, 128)]
)
def test_new_tokens_by_benchmark(benchmark: str | None, tokens: int) -> None:
    cfg = get_cfg(["configs/collavo_step2.yaml"], benchmark=benchmark)
    assert cfg.GENERATION.MAX_NEW_TOKENS == tokens
    assert (cfg.GENERATION.NUM_BEAMS, cfg.LLM.BITS) == (3, 4)


@pytest.mark.parametrize("name", ["collavo_eval.yaml", "configs/collavo_step2.yaml"])
def test_packaged_files_are_found_from_anywhere(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert get_cfg([name]).LLM.BITS == 4
    # a file of the same name that is at hand comes first
    (tmp_path / "configs").mkdir()
    (tmp_path / name).write_text("LLM: {BITS: 8}\n")
    assert get_cfg(name).LLM.BITS == 8


def test_run_command_of_the_original() -> None:
    cfg = get_cfg(["configs/collavo_step2.yaml"], RUN_COMMAND)
    assert cfg.PIPELINE == "CoLLaVOPOPEPipeline"
    assert cfg.DATASETS.TEST == "pope_test"
    assert cfg.RESUME_FROM == "/path/to/CoLLaVO"
    assert cfg.WANDB is False and cfg.WEIGHT is True
    assert len(BLOCKS) == 12
    assert {cfg[block].TEST.BATCH_SIZE_TOTAL for block in BLOCKS} == {20}


def test_words_and_equals_signs_mix() -> None:
    cfg = get_cfg(
        overrides=["LLM.BITS=4", "RESUME_FROM", "/models/a=b", "SAVE_DIR=out=1", "VIS.SAMPLES", "0"]
    )
    assert (cfg.LLM.BITS, cfg.RESUME_FROM, cfg.SAVE_DIR) == (4, "/models/a=b", "out=1")
    assert cfg.VIS.SAMPLES == 0


def test_json_words_as_the_shell_leaves_them() -> None:
    words = ['{"LLM.BITS":', "4,", '"EVAL": {"FRESH": true, "SAMPLES": ["a", "b"]}}']
    cfg = get_cfg(config_overrides=words)
    assert (cfg.LLM.BITS, cfg.EVAL.FRESH, cfg.EVAL.SAMPLES) == (4, True, "a,b")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["LLM.BIT", "4"], r"unknown key 'LLM\.BIT' \(value '4'\).*Did you mean: LLM\.BITS"),
        (["llm.bits", "4"], r"unknown key 'llm\.bits'.*LLM\.BITS"),
        (["NUM_BEAMS", "1"], r"GENERATION\.NUM_BEAMS"),
        (["POPE.TEST.BATCH_SIZE", "1"], r"POPE\.TEST\.BATCH_SIZE_TOTAL"),
        (["LLM", "4"], r"LLM is a section.*LLM\.ATTN, LLM\.BITS"),
        (["SEED", "4"], r"the random seed is RANDOM_SEED|The random seed is RANDOM_SEED"),
        (["LLM.BITS", "5"], r"LLM\.BITS cannot be '5'.*Allowed: 16, 8, 4.*Default: 16.*LLM\.ATTN"),
        (["WANDB", "perhaps"], r"WANDB cannot be 'perhaps'.*neither true nor false"),
        (["GENERATION.NUM_BEAMS", "0"], r"out of range.*from 1 to 1024"),
        (["LLM.DTYPE", "int4"], r"'auto', 'fp32', 'bf16', 'fp16'"),
        (["LLM.BITS"], r"ends with the key 'LLM\.BITS' without a value"),
        (["--limit", "4"], r"KEY VALUE or KEY=VALUE, got '--limit'"),
        (["TOTALLY_ELSE", "4"], r"unknown key 'TOTALLY_ELSE'.*docs/config\.md"),
        (["RESUME_FROM", "/w", "WEIGHT", "no"], r"RESUME_FROM is '/w' but WEIGHT is False"),
        (["INPUT.FORMAT", "BGR"], r"INPUT\.FORMAT cannot be 'BGR'"),
    ],
)
def test_wrong_words_are_named(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        get_cfg(overrides=words)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("LLM: {BTS: 4}", r"bad\.yaml: unknown key 'LLM\.BTS'.*LLM\.BITS"),
        ("LLM: 4", r"bad\.yaml: LLM is a section"),
        ("LLM.BITS: {A: 1}", r"unknown key 'LLM\.BITS\.A'"),
        ("SAVE_DIR: no", r"bad\.yaml: SAVE_DIR cannot be False"),
        ("LLM: [", r"bad\.yaml, line \d+ is not safe YAML"),
        ("- a\n- b", r"holds list, not a mapping"),
        ("just text", r"holds str, not a mapping"),
        ("A: !!python/object/apply:os.getcwd []", r"line 1 is not safe YAML"),
        ("_BASE_: nowhere.yaml\nLLM: {BITS: 4}", r"no configuration file .*nowhere\.yaml"),
        ("_BASE_: bad.yaml", r"leads back to itself"),
        ("GENERATION: {NUM_BEAMS: null}", r"NUM_BEAMS cannot be None"),
    ],
)
def test_wrong_files_are_named(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises((ConfigError, MissingFileError), match=message):
        get_cfg([file])


def test_file_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    file = tmp_path / "latin.yaml"
    file.write_bytes("SAVE_DIR: é".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"latin\.yaml is not UTF-8"):
        get_cfg([file])


def test_missing_file_says_where_it_looked() -> None:
    with pytest.raises(MissingFileError, match=r"'collavo_evl.yaml': looked at .*collavo_eval\."):
        get_cfg(["collavo_evl.yaml"])


@pytest.mark.parametrize(
    ("given", "message"),
    [('{"LLM.BITS": 4', "not JSON at character"), ("[1]", "must be a JSON object")],
)
def test_wrong_json_is_named(given: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        get_cfg(config_overrides=given)


def test_base_files_are_taken_in_first(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("LLM: {BITS: 8, ATTN: eager}\n")
    (tmp_path / "b.yaml").write_text("SAVE_DIR: b\n")
    (tmp_path / "c.yaml").write_text("_BASE_: [a.yaml, b.yaml]\nLLM: {BITS: 4}\n")
    cfg = get_cfg([tmp_path / "c.yaml"])
    assert (cfg.LLM.BITS, cfg.LLM.ATTN, cfg.SAVE_DIR) == (4, "eager", "b")


def test_empty_file_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("# nothing yet\nVIS: {}\n")
    assert get_cfg([tmp_path / "empty.yaml"]) == get_cfg()


def test_configuration_is_frozen() -> None:
    cfg = get_cfg()
    with pytest.raises(AttributeError, match="immutable"):
        cfg.LLM.BITS = 4
    with pytest.raises(AttributeError, match="immutable"):
        cfg.NEW = 1


def test_dump_reads_back_to_the_same_values(tmp_path: Path) -> None:
    cfg = get_cfg(["collavo_eval.yaml"], ["DATASETS.TEST", "a,b", "SAVE_DIR", "ausgänge"])
    file = tmp_path / "config.yaml"
    file.write_text(dump(cfg), encoding="utf-8")
    assert get_cfg([file]) == cfg
    assert dump(get_cfg([file])) == dump(cfg)


def test_configurations_do_not_share_values() -> None:
    first = get_cfg(overrides=["LLM.BITS", "4"])
    assert get_cfg().LLM.BITS == 16
    assert first.LLM.BITS == 4


def test_benchmark_section_holds_for_its_benchmark() -> None:
    words = ["POPE.INPUT.IMAGE_SIZE", "336", "POPE.DATALOADER.NUM_WORKERS", "0"]
    words += ["DATALOADER.NUM_WORKERS", "4", "MMVET.INPUT.IMAGE_SIZE", "224"]
    pope = get_cfg(overrides=words, benchmark="pope")
    assert (pope.INPUT.IMAGE_SIZE, pope.DATALOADER.NUM_WORKERS) == (336, 0)
    mme = get_cfg(overrides=words, benchmark="mme")
    assert (mme.INPUT.IMAGE_SIZE, mme.DATALOADER.NUM_WORKERS) == (0, 4)
    assert get_cfg(overrides=words, benchmark="mm-vet").INPUT.IMAGE_SIZE == 224


def test_no_model_means_a_dry_run() -> None:
    assert get_cfg(overrides=["LLM.LOAD_LLM", "false"]).EVAL.DRY_RUN is True
    assert get_cfg().EVAL.DRY_RUN is False
