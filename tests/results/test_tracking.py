"""WANDB: figures are sent, and never at the cost of the results."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from collavo.datasets.evaluation.base import Evaluation
from collavo.errors import UserError
from collavo.results import tracking
from collavo.results.report import Counts, Flags, Report


class ServerError(Exception):
    """Stands for wandb.errors.Error."""


@pytest.fixture()
def wandb(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A double of the package that keeps what it is given."""
    double = SimpleNamespace(given={}, summary={}, finished=False, error=None)

    def init(**given: Any) -> Any:
        if double.error:
            raise double.error
        double.given = given
        return SimpleNamespace(
            summary=double.summary, finish=lambda: setattr(double, "finished", 1)
        )

    double.init = init
    double.errors = SimpleNamespace(Error=ServerError)
    monkeypatch.setitem(sys.modules, "wandb", double)
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    return double


@pytest.fixture()
def report() -> Report:
    """A finished run."""
    evaluation = Evaluation({"f1": 0.5}, {"mean_f1": 0.5}, {"mean_f1": "fraction"}, {})
    about = {"config": {"LLM": {"BITS": 4}}}
    return Report("jsonl:mine", Counts(2, 2, 0), Flags(miniature=True), evaluation, about=about)


def test_figures_are_sent(wandb: SimpleNamespace, report: Report, tmp_path: Path) -> None:
    tracking.track(report, tmp_path / "abc123")
    assert wandb.summary["headline"] == {"mean_f1": 0.5}
    assert wandb.summary["counts"]["answered"] == 2
    assert wandb.given["id"] == "jsonl-mine-abc123"
    assert wandb.given["project"] == "collavo"
    assert wandb.given["config"] == {"LLM": {"BITS": 4}}
    assert wandb.given["tags"] == ["miniature"]
    assert wandb.given["resume"] == "allow"
    assert wandb.finished


def test_project_of_the_environment(
    wandb: SimpleNamespace, report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "theirs")
    tracking.track(report, tmp_path)
    assert wandb.given["project"] == "theirs"


def test_unreachable_server_is_a_warning(
    wandb: SimpleNamespace, report: Report, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wandb.error = ServerError("no key")
    tracking.track(report, tmp_path)
    assert "could not send the figures to Weights & Biases: no key" in caplog.text


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"WANDB is True but wandb is not installed.*WANDB False"):
        tracking.require_tracker()
