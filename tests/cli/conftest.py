"""The helpers of the tests of commands say what they found."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.cli.score_command")  # it asserts, and is no file of tests
