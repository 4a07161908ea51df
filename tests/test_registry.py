"""Registries: names without imports, one class a name, suggestions for unknown ones."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from collavo import registry as registries
from collavo.registry import PIPELINES, Registry, UnknownNameError


@pytest.fixture()
def things() -> Registry:
    """A registry of its own, with one class of two names."""
    registry: Registry = Registry("thing", "collavo.nowhere")

    @registry.register("red_thing", "RedThing", "CoLLaVORedThing")
    class Red:
        """Is red.

        And more.
        """

    return registry


@pytest.fixture()
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for the package of built-in classes of `registries.THINGS`."""
    folder = tmp_path / "collavo" / "things"
    folder.mkdir(parents=True)
    monkeypatch.setattr(registries, "__file__", str(tmp_path / "collavo" / "registry.py"))
    monkeypatch.setattr(registries, "THINGS", Registry("thing", "collavo.things"), raising=False)
    return folder


@pytest.mark.parametrize("name", ["red_thing", "RED_THING", "RedThing", "collavoredthing"])
def test_names_and_aliases_lead_to_the_class(things: Registry, name: str) -> None:
    assert things.get(name).__name__ == "Red"
    assert things.canonical(name) == "red_thing"
    assert name in things
    assert list(things) == ["red_thing"]


def test_entry_holds_the_first_line(things: Registry) -> None:
    (entry,) = things.entries()
    assert (entry.name, entry.description) == ("red_thing", "Is red.")
    assert entry.aliases == ("RedThing", "CoLLaVORedThing")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("red_thng", r"Unknown thing 'red_thng'. Did you mean: red_thing\? Available: red_thing$"),
        ("VOREDTHING", r"Did you mean: red_thing"),
        ("CoLLaVOThing", r"Unknown thing 'CoLLaVOThing'. Did you mean: CoLLaVORedThing\?"),
        ("blue", r"Unknown thing 'blue'\. Available: red_thing$"),
    ],
)
def test_unknown_name_suggests(things: Registry, name: str, message: str) -> None:
    with pytest.raises(UnknownNameError, match=message):
        things.get(name)
    assert name not in things


@pytest.mark.parametrize("names", [("red_thing",), ("RED_THING",), ("new", "redthing")])
def test_second_registration_is_refused(things: Registry, names: tuple[str, ...]) -> None:
    class Red:
        """Another."""

    with pytest.raises(ValueError, match=r"thing '[a-z_]+' is already registered by .*\.Red"):
        things.register(*names)(Red)
    assert things.get("red_thing").__doc__ != "Another."
    assert "new" not in things


def test_reload_takes_its_own_place(
    things: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(registries, "THINGS_OF_TEST", things, raising=False)
    (tmp_path / "blue_of_test.py").write_text(
        "from collavo.registry import THINGS_OF_TEST\n"
        "@THINGS_OF_TEST.register('blue', 'azure')\nclass Blue:\n    '''Is blue.'''\n"
    )
    module = importlib.import_module("blue_of_test")
    first = things.get("blue")
    importlib.reload(module)
    assert things.get("azure") is module.Blue
    assert things.get("azure") is not first
    monkeypatch.delitem(sys.modules, "blue_of_test")


@pytest.mark.parametrize("module", ["pipeline.mine", "datasets.evaluation.mine", "modeling.x"])
def test_module_imported_past_the_package_is_refused(things: Registry, module: str) -> None:
    cls = type("Stray", (), {"__module__": module})
    with pytest.raises(ValueError, match=rf"import it as 'collavo\.{module}'"):
        things.register("stray")(cls)
    assert "stray" not in things


@pytest.mark.parametrize("names", [("",), ("a", " "), (None,)])
def test_names_are_text(things: Registry, names: tuple) -> None:
    with pytest.raises(ValueError, match="registered under text"):
        things.register(*names)


def test_functions_register_too(things: Registry) -> None:
    @things.register("first_letter")
    def first_letter(text: str) -> str:
        """Returns the first letter."""
        return text[0]

    assert things.get("first_letter")("abc") == "a"
    assert things.entries()[0].description == "Returns the first letter."


def test_removed_name_is_free_again(things: Registry) -> None:
    things.remove("RedThing")
    assert list(things) == [] and "redthing" not in things
    things.register("redthing")(type("Other", (), {}))
    assert things.get("redthing").__name__ == "Other"


def test_built_ins_are_listed_without_import(package: Path) -> None:
    (package / "green.py").write_text(
        "raise RuntimeError('imported')\n@THINGS.register('Green', 'Verde')\n"
        "class Green:\n    '''Is green.'''\n"
        "@OTHERS.register('x')\nclass X: ...\n"
    )
    (package / "sub").mkdir()
    (package / "sub" / "grey.py").write_text("@THINGS.register('grey')\ndef grey(): ...\n")
    things = registries.THINGS  # type: ignore[attr-defined]
    entries = [(e.name, e.module, e.description, e.aliases) for e in things.entries()]
    assert entries == [
        ("green", "collavo.things.green", "Is green.", ("Verde",)),
        ("grey", "collavo.things.sub.grey", "", ()),
    ]
    assert things.canonical("VERDE") == "green"
    with pytest.raises(ValueError, match="'verde' is already registered by collavo.things.green"):
        things.register("verde")(type("Mine", (), {"__module__": "mine"}))


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ("@THINGS.register('GREEN')\nclass B: ...\n", "'green' is registered by .*a and by .*b"),
        ("@THINGS.register('b', 'Green')\nclass B: ...\n", "'green' is registered by"),
        ("@THINGS.register(NAME)\nclass B: ...\n", r"b\.py, line 1: .*literal names"),
    ],
)
def test_built_ins_that_clash_are_refused(package: Path, second: str, message: str) -> None:
    (package / "a.py").write_text("@THINGS.register('green')\nclass A: ...\n")
    (package / "b.py").write_text(second)
    with pytest.raises(ValueError, match=message):
        registries.THINGS.entries()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "registry", [r for r in vars(registries).values() if isinstance(r, Registry)],
    ids=lambda r: r.kind,
)  # fmt: skip
def test_every_built_in_can_be_had(registry: Registry) -> None:
    for entry in registry.entries():
        assert entry.description, f"{entry.module} gives {entry.name} no docstring"
        found = registry.get(entry.name)
        assert found.__module__ == entry.module
        assert all(registry.get(alias) is found for alias in entry.aliases)


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("CoLLaVOPOPEPipeline", "pope"),
        ("POPEPipeline", "pope"),
        ("CoLLaVOMMEPipeline", "mme"),
        ("MMEPipeline", "mme"),
    ],
)
def test_pipelines_of_both_generations(alias: str, name: str) -> None:
    assert PIPELINES.canonical(alias) == name


def test_unknown_pipeline_suggests() -> None:
    with pytest.raises(UnknownNameError, match="Unknown pipeline 'mne'. Did you mean: mme"):
        PIPELINES.get("mne")
