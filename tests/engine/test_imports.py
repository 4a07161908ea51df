"""Which code a fingerprint covers: what makes answers, with a plug-in's own neighbours."""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from collavo import plugins
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
    names = set(answering_files([*model.modules(), POPEPipeline()], imports.ENGINE).values())
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
        (
            {"part.py": "import one_g.layers, two_g.layers\n" + PART, "one_g/layers.py": "SALT = 1",
             "two_g/layers.py": "SALT = 2"},
            "one_g/layers.py",
        ),
        (
            {"__init__.py": "SALT = 1", "part.py": PART},
            "__init__.py",
        ),
        (
            {"__init__.py": "", "inner/__init__.py": "from . import deep",
             "inner/deep.py": "import low_i", "low_i.py": "SALT = 1",
             "part.py": "from .inner import deep\n" + PART},
            "low_i.py",
        ),
        (
            {"part.py": "from space_j import deep\n" + PART, "space_j/deep.py": "import low_j",
             "low_j.py": "SALT = 1"},
            "low_j.py",
        ),
        (
            {"inner/part.py": "from ..near import SALT\n" + PART, "near.py": "SALT = 1",
             "first.py": "from .inner import part"},
            "near.py",
        ),
        (
            {"part.py": "import importlib\nclass Part:\n    def f(self):\n"
             "        importlib.import_module('lazy_k')\n", "lazy_k.py": "SALT = 1"},
            "lazy_k.py",
        ),
        (
            {"part.py": "try:\n    import fast_l\nexcept ImportError:\n    import slow_l\n" + PART,
             "slow_l.py": "SALT = 1"},
            "slow_l.py",
        ),
        (
            {"part.py": "from typing import TYPE_CHECKING\nif not TYPE_CHECKING:\n"
             "    import real_m\n" + PART, "real_m.py": "SALT = 1"},
            "real_m.py",
        ),
        (
            {"part.py": "from importlib import import_module\nclass Part:\n"
             "    def __init__(self):\n"
             "        self.policies = [{'a': import_module('chosen' + '_n').Policy()}]\n",
             "chosen_n.py": "from low_n import SALT\nclass Policy:\n    pass\n",
             "low_n.py": "SALT = 1"},
            "low_n.py",
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
    assert not [f for f in answering_files([part]) if f.name == "hints_g.py"]


def test_two_modules_of_one_name_are_told_apart(tmp_path: Path) -> None:
    files = {"part.py": "import one_o.layers, two_o.layers\n" + PART}
    files |= {"one_o/layers.py": "SALT = 1", "two_o/layers.py": "SALT = 2"}
    part = _plugin(tmp_path, files)
    before = code_digest(part)
    (tmp_path / "one_o" / "layers.py").write_text("SALT = 2")
    (tmp_path / "two_o" / "layers.py").write_text("SALT = 1")
    assert code_digest(part) != before


def test_a_plug_in_may_lie_elsewhere(tmp_path: Path) -> None:
    files = {"part.py": "from .inner_p import deep\n" + PART, "inner_p/deep.py": "SALT = 1"}
    digests = {code_digest(_plugin(tmp_path / place, files)) for place in ("a", "b/c")}
    assert len(digests) == 1


def test_an_installed_plug_in_counts_and_a_library_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(imports, "_LIBRARIES", (tmp_path,))
    monkeypatch.setattr(plugins, "_loaded", dict(plugins._loaded))
    package = tmp_path / "installed_q"
    package.mkdir()
    (package / "__init__.py").write_text("from .base import Part")
    (package / "base.py").write_text(PART)
    part = importlib.import_module("installed_q").Part()
    assert not answering_files([part]), "its version would have to change"
    load_user_dir("installed_q")
    assert {file.name for file in answering_files([part])} == {"__init__.py", "base.py"}
    plugins._loaded["point"] = ["other_q.models:register"]
    assert {"installed_q", "other_q"} <= plugins.packages()


def test_code_that_was_typed_is_known_in_its_session_alone() -> None:
    text = (
        "from collavo.engine.fingerprint import code_digest\n"
        "class Part:\n    def f(self):\n        return 1\n"
        "print(code_digest(Part()), code_digest(Part()), code_digest())"
    )
    root = str(Path(imports.__file__).parents[2])
    said = [
        subprocess.run(
            [sys.executable, "-c", text],
            env={**os.environ, "PYTHONPATH": root},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for _ in range(2)
    ]
    assert said[0][0] == said[0][1] != said[1][0]
    assert said[0][2] == said[1][2] != said[0][0]


def test_the_frame_is_no_root_and_the_engine_only_where_it_is_named(model: Any) -> None:
    assert not any(".engine." in n for n in answering_files([*model.modules()]).values())
    outer = {name.partition(".")[0] for name in answering_files([model]).values()}
    assert outer == {"collavo"}


def test_circles_and_broken_neighbours_end(tmp_path: Path) -> None:
    files = {"part.py": "def f():\n    import loop_h\n    import broken_h\n" + PART}
    files |= {"loop_h.py": "import part", "broken_h.py": ""}
    part = _plugin(tmp_path, files)
    (tmp_path / "broken_h.py").write_text("def (")
    names = {file.name for file in answering_files([part])}
    assert {"part.py", "loop_h.py", "broken_h.py"} <= names


def test_the_list_of_engine_modules_is_of_modules_that_are_there() -> None:
    assert all(importlib.util.find_spec(name) for name in imports.ENGINE)
