"""What may cross a border does so in one place; read from the code itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import collavo

PACKAGE = Path(collavo.__file__).parent


def calls() -> Iterator[tuple[str, str, ast.Call]]:
    """Yields file, name called ("json.loads", ".from_pretrained") and the call."""
    seen = set()
    for root in (PACKAGE, *(p for p in PACKAGE.iterdir() if p.is_symlink())):
        for file in sorted(root.resolve().rglob("*.py")):
            if file in seen:
                continue
            seen.add(file)
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call):
                    yield file.name, ast.unparse(node.func), node


@pytest.fixture(scope="module")
def called() -> list[tuple[str, str, ast.Call]]:
    found = list(calls())
    assert len(found) > 5000
    return found


def test_pretrained_models_are_loaded_in_one_place(called: list[tuple[str, str, ast.Call]]) -> None:
    """There code of others is refused unless it is asked for, and every fault gets words."""
    own = ("cls", "CoLLaVO", "Predictor")  # methods of ours, which end there
    found = {
        file
        for file, name, _ in called
        if name.endswith(".from_pretrained") and name.rpartition(".")[0] not in own
    }
    assert found == {"pretrained.py"}


def test_no_pickle_is_loaded_unguarded(called: list[tuple[str, str, ast.Call]]) -> None:
    loads = [(f, n, c) for f, n, c in called if n in ("torch.load", "pickle.load", "pickle.loads")]
    for file, name, call in loads:
        options = {k.arg: ast.unparse(k.value) for k in call.keywords}
        assert name == "torch.load" and options.get("weights_only") == "True", file


def test_yaml_is_read_safely_and_nothing_is_evaluated(
    called: list[tuple[str, str, ast.Call]],
) -> None:
    unsafe = ("yaml.load", "yaml.unsafe_load", "yaml.full_load", "eval", "exec", "os.system")
    assert [(f, n) for f, n, _ in called if n in unsafe] == []
    shells = [f for f, _, c in called for k in c.keywords if k.arg == "shell"]
    assert shells == []
