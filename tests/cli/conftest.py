"""What the tests of commands share: no root but their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from collavo.datasets.registration import roots

pytest.register_assert_rewrite("tests.cli.score_command")  # it asserts, and is no file of tests


@pytest.fixture
def no_root(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No root is set, and none is left behind."""
    for name in roots.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    yield
    roots.use_root("")
