"""Which code a fingerprint covers: what makes answers, with a plug-in's own neighbours."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from collavo.config import get_cfg
from collavo.engine import imports
from collavo.engine.fingerprint import code_digest
from collavo.engine.imports import answering_files
from collavo.pipeline.pope import POPEPipeline
from collavo.plugins import load_user_dir
from collavo.registry import ARCHITECTURES


@pytest.fixture(scope="module")
def model() -> Any:
    return ARCHITECTURES.get("collavo").from_config(get_cfg(config_overrides={"DEVICE": "cpu"}))


def test_the_code_that_makes_answers_is_covered_and_no_other(model: Any) -> None:
    names = set(answering_files([*model.modules(), POPEPipeline()]))
    assert {
        "collavo.modeling.architectures.composition",
        "collavo.modeling.adapters.plora",
        "collavo.modeling.ops.shared_prefix",
        "collavo.modeling.image_policies.square",
        "collavo.engine.prepare",
        "collavo.engine.asking",
        "collavo.pipeline.pope",
        "collavo.records",
    } <= names
    outside = ("collavo.results", "collavo.cli", "collavo.engine.ablation", "collavo.engine.train")
    outside += ("collavo.datasets.evaluation", "collavo.engine.store", "collavo.config")
    assert not [name for name in names if name.startswith(outside)]
    assert "collavo.pipeline.mme" not in names, "another benchmark's pipeline makes no answer here"


def _plugin(folder: Path, files: dict[str, str]) -> Any:
    """Loads a plug-in whose part.py has a class Part, and returns one of it."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    load_user_dir(str(folder))
    module = next(m for n, m in list(sys.modules.items()) if n.endswith(".part") and _in(m, folder))
    return module.Part()


def _in(module: ModuleType, folder: Path) -> bool:
    return str(getattr(module, "__file__", "")).startswith(str(folder))


PART = "class Part:\n    pass\n"


@pytest.mark.parametrize(
    ("files", "neighbour"),
    [
        ({"part.py": "from near_a import SALT\n" + PART, "near_a.py": "SALT = 1"}, "near_a.py"),
        ({"part.py": "import layers_b\n" + PART, "layers_b.py": "SALT = 1"}, "layers_b.py"),
        ({"part.py": "from . import near\n" + PART, "near.py": "SALT = 1"}, "near.py"),
        ({"part.py": "from .near import *\n" + PART, "near.py": "SALT = 1"}, "near.py"),
        (
            {"part.py": "class Part:\n    def f(self):\n        import layers_c\n",
             "layers_c.py": "SALT = 1"},
            "layers_c.py",
        ),
        (
            {"part.py": "from inner_d.deep import SALT\n" + PART, "inner_d/__init__.py": "",
             "inner_d/deep.py": "from .deeper import SALT", "inner_d/deeper.py": "SALT = 1"},
            "inner_d/deeper.py",
        ),
        (
            {"part.py": "from base_e import Base\nclass Part(Base):\n    pass\n",
             "base_e.py": "from low_e import SALT\nclass Base:\n    pass\n",
             "low_e.py": "SALT = 1"},
            "low_e.py",
        ),
        (
            {"part.py": "from space_f.deep import SALT\n" + PART, "space_f/deep.py": "SALT = 1"},
            "space_f/deep.py",
        ),
    ],
)  # fmt: skip
def test_neighbours_of_a_plug_in_count(
    tmp_path: Path, files: dict[str, str], neighbour: str
) -> None:
    (tmp_path / "unused.py").write_text("SALT = 1")
    part = _plugin(tmp_path, files)
    before = code_digest(part)
    (tmp_path / "unused.py").write_text("SALT = 2")
    assert code_digest(part) == before, "what is not imported makes no answer"
    path = tmp_path / neighbour
    path.write_text(path.read_text().replace("1", "2"))
    assert code_digest(part) != before


def test_what_checkers_alone_import_does_not_count(tmp_path: Path) -> None:
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import hints_g\n"
    part = _plugin(tmp_path, {"part.py": text + PART, "hints_g.py": "X = 1"})
    assert not [f for f in answering_files([part]).values() if f.name == "hints_g.py"]


def test_circles_and_broken_neighbours_end(tmp_path: Path) -> None:
    files = {"part.py": "def f():\n    import loop_h\n    import broken_h\n" + PART}
    files |= {"loop_h.py": "import part", "broken_h.py": ""}
    part = _plugin(tmp_path, files)
    (tmp_path / "broken_h.py").write_text("def (")
    names = {file.name for file in answering_files([part]).values()}
    assert {"part.py", "loop_h.py", "broken_h.py"} <= names


def test_the_list_of_engine_modules_is_of_modules_that_are_there() -> None:
    assert all(importlib.util.find_spec(name) for name in imports.ENGINE)
