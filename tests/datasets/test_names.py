"""What users call datasets: short names, groups and paths."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from collavo.datasets.registration import catalog
from collavo.datasets.registration.names import (
    ALIASES,
    ALL,
    GROUPS,
    dataset_name,
    dataset_names,
)
from collavo.errors import ConfigError, MissingFileError


@pytest.mark.parametrize(
    ("given", "name"),
    [
        *(("pope", "pope_test"), ("POPE", "pope_test"), ("pope_test", "pope_test")),
        *(("Pope-Test", "pope_test"), ("MME", "mme"), ("mm_vet", "mm-vet"), ("MMVet", "mm-vet")),
        *(("sqa", "scienceqa_test"), ("ScienceQA", "scienceqa_test"), ("textvqa", "textvqa_val")),
        *(("TextVQA", "textvqa_val"), ("gqa", "gqa_testdev_balanced"), ("qbench", "qbench_dev")),
        *(("SEED-Bench", "seed"), ("refcoco+", "refcocop_val"), ("mmbench_dev_cn", "mmbench_cn")),
        *(("all", ALL), ("nothing_like_it", "nothing_like_it")),
        *(("jsonl:/x/a.jsonl?metric=vqa", "jsonl:/x/a.jsonl?metric=vqa"),),
    ],
)
def test_names_and_short_names(given: str, name: str) -> None:
    assert dataset_name(given) == name


def test_every_alias_names_one_registered_dataset() -> None:
    names = catalog.dataset_names()
    aliases = [alias for listed in ALIASES.values() for alias in listed]
    assert set(ALIASES) <= set(names) and len(aliases) == len(set(aliases))
    assert all(dataset_name(alias) == name for name in ALIASES for alias in ALIASES[name])
    assert all(dataset_name(name) == name for name in names), "no alias hides a name"
    assert all(set(group) <= set(names) for group in GROUPS.values())


def test_groups_and_lists_are_taken_apart_each_dataset_once() -> None:
    assert len(dataset_names("paper")) == 12
    assert dataset_names("pope, Paper,MME")[:2] == ["pope_test", "gqa_testdev_balanced"]
    assert len(dataset_names("pope, Paper,MME")) == 12
    assert dataset_names(["sqa", "pope,mme"]) == ["scienceqa_test", "pope_test", "mme"]
    assert dataset_names("all,pope") == [ALL, "pope_test"] and dataset_names(" , ") == []
    with pytest.raises(ConfigError, match="'paper' names 12 datasets: gqa_testdev"):
        dataset_name("paper")


def test_a_name_that_a_user_registers_wins_over_an_alias() -> None:
    catalog.DatasetCatalog.register("pope", list)
    try:
        assert dataset_name("pope") == "pope"
    finally:
        catalog.DatasetCatalog.remove("pope")


@pytest.mark.parametrize(
    ("file", "kind"), [("a.jsonl", "jsonl"), ("a.JSON", "json"), ("a.tsv", "tsv"), ("folder", "hf")]
)
def test_a_path_is_taken_for_a_kind(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    file: str,
    kind: str,
) -> None:
    caplog.set_level(logging.INFO)
    (tmp_path / "folder").mkdir()
    (tmp_path / file).exists() or (tmp_path / file).write_text("")
    monkeypatch.chdir(tmp_path)
    for path in (str(tmp_path / file), file, f"./{file}"):
        for options in ("", "?metric=text"):
            assert dataset_name(path + options) == f"{kind}:{path}{options}"
    assert f"{file} is taken for {kind}:{file}" in caplog.text


def test_paths_that_are_no_dataset_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"gone.jsonl'.*nor a path to something"):
        dataset_name(str(tmp_path / "gone.jsonl"))
    for name in ("a.csv", "a.xlsx", "a"):
        (tmp_path / name).write_text("")
        with pytest.raises(ConfigError, match=r"read by its path: \.jsonl, \.json, \.tsv"):
            dataset_name(str(tmp_path / name))
    assert dataset_name("x" * 5000) == "x" * 5000
    with pytest.raises(MissingFileError):
        dataset_name("/" + "x" * 5000)
