"""Configuration files that would break a machine, or the program, are refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from collavo.config.files import read_yaml
from collavo.errors import ConfigError, UserError

ODD = {
    "bomb": "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    + "".join(f"{k}: &{k} [{', '.join([f'*{p}'] * 10)}]\n" for p, k in zip("abcdefgh", "bcdefghi")),  # noqa: B905
    "cycle": "a: &a\n  b: *a\n",
    "list in itself": "a: &a [*a]\n",
    "deep": "a: " + "[" * 5000 + "]" * 5000,
    "date": "a: 2024-99-99\n",
    "code": "a: !!python/object/apply:os.system [ls]\n",
    "tab": "a:\n\tb: 1\n",
    "list": "- 1\n",
    "text": "hello\n",
    "digits": f"a: {'9' * 6000}\n",
    "base": "_BASE_: [1]\n",
    "base of itself": "_BASE_: odd.yaml\n",
    "missing base": "_BASE_: none.yaml\n",
    "keys": "? [1, 2]\n: 3\n",
    "null": "a: \0\n",
}


@pytest.mark.parametrize("content", ODD.values(), ids=ODD)
def test_odd_files_are_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "odd.yaml"
    file.write_text(content)
    with pytest.raises(UserError) as error:
        read_yaml(file)
    said = str(error.value)
    assert "odd.yaml" in said or "none.yaml" in said
    assert len(said) < 2000


def test_files_that_are_none(tmp_path: Path) -> None:
    file = tmp_path / "odd.yaml"
    file.write_bytes(b"a: \xff\n")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        read_yaml(file)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_yaml(tmp_path)


def test_aliases_that_are_small_stay_possible(tmp_path: Path) -> None:
    file = tmp_path / "fine.yaml"
    file.write_text("a: &a [1, 2]\nb: *a\n")
    assert read_yaml(file) == {"a": [1, 2], "b": [1, 2]}
