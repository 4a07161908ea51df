"""The catalogs: one suite for ours and, where it is installed, detectron2's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from collavo.datasets.registration import catalog, local_catalog, which_catalog
from collavo.errors import DataError
from collavo.registry import UnknownNameError


def ours() -> SimpleNamespace:
    return SimpleNamespace(
        datasets=local_catalog.LocalDatasetCatalog(), metadata=local_catalog.LocalMetadataCatalog()
    )


def detectron2s() -> SimpleNamespace:
    module = pytest.importorskip("detectron2.data.catalog", reason="detectron2 is not installed")
    return SimpleNamespace(
        datasets=type(module.DatasetCatalog)(), metadata=type(module.MetadataCatalog)()
    )


@pytest.fixture(params=[ours, detectron2s], ids=["ours", "detectron2"])
def catalogs(request: pytest.FixtureRequest) -> Any:
    """New, empty catalogs of either kind."""
    return request.param()


def test_registered_function_is_called_at_each_look_up(catalogs: Any) -> None:
    calls: list[int] = []

    def load() -> list[dict]:
        calls.append(1)
        return [{"question": "?"}]

    catalogs.datasets.register("mine", load)
    assert not calls
    assert catalogs.datasets.get("mine") == [{"question": "?"}]
    catalogs.datasets.get("mine")
    assert len(calls) == 2


def test_second_registration_is_refused(catalogs: Any) -> None:
    catalogs.datasets.register("mine", list)
    with pytest.raises(AssertionError, match="'mine' is already registered"):
        catalogs.datasets.register("mine", dict)
    assert catalogs.datasets.get("mine") == []


def test_only_functions_are_registered(catalogs: Any) -> None:
    with pytest.raises(AssertionError, match="function"):
        catalogs.datasets.register("mine", [{"question": "?"}])


def test_unknown_dataset_lists_the_known(catalogs: Any) -> None:
    catalogs.datasets.register("pope_test", list)
    with pytest.raises(KeyError, match="pope_test"):
        catalogs.datasets.get("pope_tset")


@pytest.mark.parametrize("which", ["datasets", "metadata"])
def test_dict_behaviour(catalogs: Any, which: str) -> None:
    target = getattr(catalogs, which)
    for name in ("a", "b", "c"):
        catalogs.datasets.register(name, list)
        catalogs.metadata.get(name)
    assert target.list() == ["a", "b", "c"]
    assert isinstance(target.list(), list)
    assert "a" in target and "z" not in target
    assert len(target) == 3 and list(target) == ["a", "b", "c"]
    target.remove("a")
    target.pop("b")
    assert target.list() == ["c"]
    with pytest.raises(KeyError):
        target.remove("a")
    assert "c" in str(target) and str(target) == repr(target)


def test_metadata_is_one_object_a_name(catalogs: Any) -> None:
    first = catalogs.metadata.get("mine")
    assert catalogs.metadata.get("mine") is first
    assert first.name == "mine"
    assert first.set(pipeline="pope", classes=["a"]) is first
    assert catalogs.metadata.get("mine").classes == ["a"]


def test_metadata_keeps_its_values(catalogs: Any) -> None:
    metadata = catalogs.metadata.get("mine").set(pipeline="pope")
    metadata.set(pipeline="pope")
    metadata.pipeline = "pope"
    with pytest.raises(AssertionError, match="'pipeline'.*'mine' cannot be set"):
        metadata.set(pipeline="mme")
    with pytest.raises(AssertionError, match="'pipeline'.*'mine' cannot be set"):
        metadata.pipeline = "mme"
    assert metadata.pipeline == "pope"
    del metadata.pipeline
    assert metadata.set(pipeline="mme").pipeline == "mme"


def test_metadata_get_and_as_dict(catalogs: Any) -> None:
    metadata = catalogs.metadata.get("mine").set(pipeline="pope")
    assert metadata.get("pipeline") == "pope"
    assert metadata.get("other") is None
    assert metadata.get("other", 3) == 3
    copied = metadata.as_dict()
    assert copied == {"name": "mine", "pipeline": "pope"}
    copied["pipeline"] = "mme"
    assert metadata.pipeline == "pope"


def test_missing_attribute_names_the_known(catalogs: Any) -> None:
    empty = catalogs.metadata.get("mine")
    with pytest.raises(AttributeError, match="'pipeline'.*'mine'|'mine'.*'pipeline'.*empty"):
        _ = empty.pipeline
    empty.set(evaluator_type="pope")
    with pytest.raises(AttributeError, match="evaluator_type"):
        _ = empty.pipeline
    assert not hasattr(empty, "pipeline")


def test_empty_name_is_refused(catalogs: Any) -> None:
    with pytest.raises(AssertionError):
        catalogs.metadata.get("")


def test_our_errors_are_the_users() -> None:
    kinds = ours()
    kinds.datasets.register("mine", list)
    with pytest.raises(DataError, match="registered by builtins.list; choose another name"):
        kinds.datasets.register("mine", dict)
    with pytest.raises(UnknownNameError, match="Did you mean: mine"):
        kinds.datasets.get("mien")


@pytest.fixture()
def undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    """The module that decides before its first use."""
    for name in ("DatasetCatalog", "MetadataCatalog"):
        monkeypatch.setitem(which_catalog.__dict__, name, None)
        monkeypatch.delitem(which_catalog.__dict__, name)


def test_ours_are_used_without_detectron2(undecided: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(which_catalog.importlib.util, "find_spec", lambda name: None)
    assert which_catalog.DatasetCatalog is local_catalog.DatasetCatalog
    assert which_catalog.MetadataCatalog is local_catalog.MetadataCatalog


def test_detectron2s_are_used_where_it_is(undecided: None, monkeypatch: pytest.MonkeyPatch) -> None:
    data = ModuleType("detectron2.data")
    data.DatasetCatalog, data.MetadataCatalog = object(), object()  # type: ignore[attr-defined]
    monkeypatch.setattr(which_catalog.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "detectron2", ModuleType("detectron2"))
    monkeypatch.setitem(sys.modules, "detectron2.data", data)
    assert which_catalog.DatasetCatalog is data.DatasetCatalog
    assert which_catalog.MetadataCatalog is data.MetadataCatalog


def test_broken_detectron2_is_said(
    undecided: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(which_catalog.importlib.util, "find_spec", lambda name: object())
    for name in ("detectron2", "detectron2.data"):
        monkeypatch.setitem(sys.modules, name, None)
    assert which_catalog.MetadataCatalog is local_catalog.MetadataCatalog
    assert "detectron2 is installed but cannot be imported" in caplog.text


def test_built_in_datasets_are_found_at_the_first_look(repository: Path) -> None:
    """In a new interpreter, however the catalogs are had and whatever is asked of them first."""
    code = """
from collavo.datasets.registration.catalog import DatasetCatalog, MetadataCatalog
from collavo.datasets.registration import catalog
print({})
"""
    for question in (
        'len(DatasetCatalog.get("pope_test")) > 0',
        '"mme" in DatasetCatalog',
        '"mme" in DatasetCatalog.list() and "mme" in list(catalog.DatasetCatalog)',
        'MetadataCatalog.get("pope_test").pipeline == "pope"',
    ):
        command = [sys.executable, "-c", code.format(question)]
        done = subprocess.run(command, cwd=repository, capture_output=True, text=True)
        assert done.stdout.strip() == "True", (question, done.stderr)


def test_other_names_of_the_module_are_missing() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = catalog.Nothing


def test_unknown_dataset_suggests() -> None:
    with pytest.raises(
        UnknownNameError, match="Unknown dataset 'pope_tst'. Did you mean: pope_tes"
    ):
        catalog.samples_of("pope_tst")
    with pytest.raises(UnknownNameError, match="Unknown dataset 'nope'.*Available: .*mme.*pope_te"):
        catalog.metadata_of("nope")


def test_datasets_without_a_pipeline_are_not_listed() -> None:
    catalog.DatasetCatalog.register("only_rows", list)
    try:
        assert "only_rows" not in catalog.dataset_names()
        assert catalog.samples_of("only_rows") == []
    finally:
        catalog.DatasetCatalog.remove("only_rows")
        catalog.MetadataCatalog.remove("only_rows")
