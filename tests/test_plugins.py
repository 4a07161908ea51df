"""Users' modules: a folder, a file, a package, an entry point; and what is said when one fails."""

from __future__ import annotations

import re
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from collavo import plugins
from collavo.datasets.registration.catalog import (
    DatasetCatalog,
    MetadataCatalog,
    dataset_names,
    samples_of,
)
from collavo.errors import MissingFileError
from collavo.plugins import PluginError, load_plugins, load_user_dir
from collavo.registry import ARCHITECTURES, EVALUATORS, PIPELINES, Registry

DATASET = """
from collavo.datasets.registration.catalog import DatasetCatalog, MetadataCatalog

def load():
    return [{"question": "Is it?", "image": None, "answer": "yes"}]

DatasetCatalog.register("plugin_set", load)
MetadataCatalog.get("plugin_set").set(pipeline="plugin_pipeline", description="From a plug-in.")
"""

PIPELINE = """
from collavo.pipeline.base import Pipeline
from collavo.registry import ARCHITECTURES, EVALUATORS, PIPELINES
from .names import NAME

@PIPELINES.register(NAME)
class Mine(Pipeline):
    "Asks as it likes."
    def prompt(self, sample): return sample.question

@EVALUATORS.register("plugin_evaluator")
class Judge:
    "Judges."

@ARCHITECTURES.register("plugin_model")
class Model:
    "Models."
"""


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch):
    """Forgets what a test brought in."""
    monkeypatch.setattr(plugins, "_loaded", {})
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith(("collavo_user_", "plugin_package")):
            del sys.modules[name]
    registries: tuple[tuple[Registry, str], ...] = (
        (PIPELINES, "plugin_pipeline"),
        (EVALUATORS, "plugin_evaluator"),
        (ARCHITECTURES, "plugin_model"),
    )
    for registry, name in registries:
        if name in registry:
            registry.remove(name)
    for catalog in (DatasetCatalog, MetadataCatalog):
        if "plugin_set" in catalog:
            catalog.remove("plugin_set")


def write(folder: Path) -> Path:
    """Writes a folder of plug-ins, one of which imports its neighbour."""
    folder.mkdir()
    (folder / "my_data.py").write_text(DATASET)
    (folder / "my_pipeline.py").write_text(PIPELINE)
    (folder / "names.py").write_text("NAME = 'plugin_pipeline'\n")
    (folder / "setup.py").write_text("raise SystemExit('setup.py is not a plug-in')\n")
    return folder


@pytest.mark.parametrize("packaged", [False, True])
def test_folder_brings_in_all_kinds(tmp_path: Path, packaged: bool) -> None:
    folder = write(tmp_path / "my plug-ins")
    if packaged:
        (folder / "__init__.py").write_text("from . import my_pipeline\n")
    load_plugins(str(folder))
    load_plugins(str(folder))
    assert PIPELINES.get("plugin_pipeline").__doc__ == "Asks as it likes."
    assert "plugin_evaluator" in EVALUATORS and "plugin_model" in ARCHITECTURES
    assert "plugin_set" in dataset_names()
    assert samples_of("plugin_set")[0].answers == ("yes",)


def test_one_file(tmp_path: Path) -> None:
    folder = write(tmp_path / "mine")
    load_plugins(str(folder / "my_data.py"))
    assert "plugin_set" in dataset_names()
    assert "plugin_pipeline" not in PIPELINES


def test_importable_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = write(tmp_path / "plugin_package")
    (folder / "__init__.py").write_text("")
    load_plugins("plugin_package.my_data, plugin_package.my_pipeline")
    assert "plugin_set" in dataset_names() and "plugin_pipeline" in PIPELINES


def test_folders_of_one_name_stay_apart(tmp_path: Path) -> None:
    for name, value in (("a", 1), ("b", 2)):
        (tmp_path / name / "plug").mkdir(parents=True)
        (tmp_path / name / "plug" / "one.py").write_text(f"VALUE = {value}\n")
    modules = [load_user_dir(str(tmp_path / n / "plug"))[-1] for n in ("a", "b")]
    assert [sys.modules[m].VALUE for m in modules] == [1, 2]


def test_plugin_shadows_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "json.py").write_text("raise_me = 1\n")
    load_user_dir(str(folder))
    import json

    assert hasattr(json, "dumps")
    assert sys.path[0] != str(folder)


@pytest.mark.parametrize("kind", ["module", "function"])
def test_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    text = DATASET if kind == "module" else "def register():\n" + DATASET.replace("\n", "\n    ")
    (tmp_path / f"plugin_package_{kind}.py").write_text(text)
    value = f"plugin_package_{kind}" + (":register" if kind == "function" else "")
    point = EntryPoint("mine", value, plugins.GROUP)
    monkeypatch.setattr(plugins, "entry_points", lambda group: EntryPoints([point]))
    load_plugins()
    load_plugins()
    assert "plugin_set" in dataset_names()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\ny = undefined_name\n", r"bad\.py, line 2: NameError: name 'undefined_name'"),
        ("x = (\n", r"bad\.py, line 1: SyntaxError"),
        ("import no_such_module_at_all\n", r"bad\.py, line 1: ModuleNotFoundError"),
        ("open('/no/such/file')\n", r"bad\.py, line 1: FileNotFoundError"),
    ],
)
def test_error_names_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "bad.py").write_text(text)
    for given in (folder, folder / "bad.py"):
        with pytest.raises(PluginError, match=message):
            load_plugins(str(given))


def test_error_in_init_is_named_each_time(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "__init__.py").write_text("1 / 0\n")
    for _ in range(2):
        with pytest.raises(PluginError, match=r"__init__\.py, line 1: ZeroDivisionError"):
            load_plugins(str(folder))


def test_name_of_a_built_in_is_refused(tmp_path: Path) -> None:
    taken = next(iter(PIPELINES))
    (tmp_path / "mine.py").write_text(
        f"from collavo.registry import PIPELINES\n@PIPELINES.register('{taken}')\nclass A: ...\n"
    )
    with pytest.raises(PluginError, match=f"line 2: ValueError: pipeline '{taken}' is already"):
        load_plugins(str(tmp_path / "mine.py"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("no/such/folder", r"'no/such/folder' is neither a folder, a \.py file nor an importable"),
        ("no_such_package.plug", "'no_such_package.?.*' is neither"),
        ("json.no_such_part", "is neither a folder"),
        ("{tmp}/notes.txt", r"notes\.txt is not a \.py file"),
        ("{tmp}/empty", r"holds no \.py file"),
    ],
)
def test_missing_plugin_is_named(tmp_path: Path, given: str, message: str) -> None:
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingFileError, match=message):
        load_plugins(given.format(tmp=tmp_path))


def test_examples_of_the_documentation(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (repository / "docs" / "plugins.md").read_text(encoding="utf-8")
    every = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    blocks = every[:2]  # the others run in test_docs_code.py
    row = re.search(r"`(\{\"question\".*?\})`", text)
    assert len(blocks) >= 2 and row is not None
    (tmp_path / "questions.jsonl").write_text(row[1] + "\n")
    for index, block in enumerate(blocks):
        code = block.replace("/data/my_set", str(tmp_path)).replace("my_set", "plugin_set")
        (tmp_path / f"part{index}.py").write_text(code.replace("my_pipeline", "plugin_pipeline"))
    load_plugins(str(tmp_path))
    (sample,) = samples_of("plugin_set")
    assert (sample.sample_id, sample.answers) == ("plugin_set:1", ("yes",))
    assert sample.images[0].path == tmp_path / "images" / "1.jpg"
    assert PIPELINES.get("plugin_pipeline")().prompt(sample).startswith("Is there a dog?\n")
