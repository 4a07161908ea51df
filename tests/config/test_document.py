"""docs/config.md is what the defaults say."""

from __future__ import annotations

from pathlib import Path

from collavo.config.defaults import BLOCKS, KEYS
from collavo.config.document import reference


def test_reference_is_current(repository: Path) -> None:
    written = (repository / "docs" / "config.md").read_text(encoding="utf-8")
    assert written == reference(), "run: python -m collavo.config.document docs/config.md"


def test_every_key_is_explained() -> None:
    text = reference()
    for key in KEYS:
        block, _, rest = key.name.partition(".")
        name = f"<BENCHMARK>.{rest}" if block in BLOCKS else key.name
        assert f"| `{name}` |" in text
        assert key.help.endswith(".") and len(key.help) > 10
