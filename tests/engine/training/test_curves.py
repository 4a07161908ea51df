"""The picture of a training's curves."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from PIL import Image

from collavo.engine.training.curves import draw_curves, smoothed


@pytest.fixture
def figure(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Takes the figures that are saved."""
    saved: list[Figure] = []
    save = Figure.savefig

    def noted(self: Figure, *args: object, **kwargs: object) -> None:
        saved.append(self)
        save(self, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", noted)
    return saved


def rows(steps: int, **more: float) -> list[dict]:
    return [
        {"step": n, "loss": 4 * math.exp(-n / 40) + 0.02, "lr": 1e-4, "kind": "vl", **more}
        for n in range(1, steps + 1)
    ]


def panels(figure: Figure) -> dict[str, list[str]]:
    """The label of each panel's axis, with the names in its legend."""
    return {a.get_ylabel(): a.get_legend_handles_labels()[1] for a in figure.axes}


def test_the_mean_leans_neither_to_where_it_starts_nor_to_the_past() -> None:
    assert smoothed([3.0] * 5) == pytest.approx([3.0] * 5)
    assert smoothed([2.0, 4.0]) == pytest.approx([(2 + 0.9 * 4) / 1.9, (0.9 * 2 + 4) / 1.9])
    assert smoothed([]) == []
    falling = [100.0 - n for n in range(101)]
    assert smoothed(falling)[50] == pytest.approx(50.0)
    assert smoothed(falling)[45:56] == pytest.approx(falling[45:56], abs=0.5)


def test_a_panel_for_each_kind_of_figure(tmp_path: Path, figure: list[Figure]) -> None:
    made = rows(90, **{"loss/llava": 1.5, "loss/_crayon $1": 0.5})
    made[10] = {"step": 11, "loss": None, "lr": 1e-4, "kind": "", "bad": 1}
    found = [
        {"step": 30, "dataset": "pope_test", "headline": {"accuracy": 0.1}},
        {"step": 60, "dataset": "pope_test", "headline": {"accuracy": 0.7}},
        {"step": 30, "dataset": "pope_test", "headline": {"accuracy": 0.5}},  # after a restart
        {"step": 30, "dataset": "mme", "headline": {"total": 1200.0}},  # of another unit
    ]
    draw_curves(made, tmp_path / "curves.png", "a $stage", found)
    assert panels(figure[0]) == {
        "loss": ["vl"],
        "loss of each source": [r" _crayon \$1", "llava"],
        "pope_test": ["accuracy"],
        "mme": ["total"],
        "learning rate": ["learning rate"],
    }
    (line,) = figure[0].axes[2].get_lines()
    assert line.get_xydata().tolist() == [[30, 0.5], [60, 0.7]]
    assert len(figure[0].axes[0].get_lines()[0].get_xydata()) == 89
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.format == "PNG" and picture.width > 900


@pytest.mark.parametrize(("steps", "shift"), [(1, 0.0), (3, 0.0), (400, 0.0), (60, 50.0)])
def test_ticks_can_be_read(steps: int, shift: float, tmp_path: Path, figure: list[Figure]) -> None:
    """Whole steps; losses in plain numbers, at least two of them in sight where they differ."""
    made = [{**row, "loss": row["loss"] + shift} for row in rows(steps)]
    draw_curves(made, tmp_path / "curves.png", "stage")
    loss, rate = figure[0].axes
    low, high = loss.get_ylim()
    shown = [
        label.get_text()
        for label in loss.get_yticklabels()
        if low <= label.get_position()[1] <= high
    ]
    assert len([text for text in shown if text]) >= 2
    assert all(float(text.replace("\N{MINUS SIGN}", "-")) > -100 for text in shown if text)
    assert all(
        label.get_text().lstrip("\N{MINUS SIGN}").isdigit() for label in rate.get_xticklabels()
    )


@pytest.mark.parametrize(
    "made",
    [
        [],
        [{"step": 1, "loss": None, "lr": 0.0, "kind": ""}],
        [{"step": 1, "loss": -2.0, "lr": 0.0, "kind": "x"}, {"step": 2, "loss": 0.0, "lr": 1.0}],
        [{"step": 1, "loss": float("nan"), "lr": 1.0, "kind": "x"}],
    ],
)
def test_short_and_odd_trainings(made: list[dict], tmp_path: Path) -> None:
    draw_curves(made, tmp_path / "curves.png", "stage")
    assert (tmp_path / "curves.png").read_bytes()[:4] == b"\x89PNG"
