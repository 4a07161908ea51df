"""Reports: comparison with published figures, and the three files."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from rich.console import Console

from collavo.datasets.evaluation.base import Evaluation, SampleScore, Table
from collavo.results.files import cell, plain, write_report
from collavo.results.report import Counts, Flags, Report, flatten, versions
from collavo.results.table import print_report

EVALUATION = Evaluation(
    scores={"accuracy": 0.75, "random": {"f1": 0.5, "tp": 3}, "share": float("nan")},
    headline={"accuracy": 0.75},
    units={"accuracy": "fraction", "f1": "fraction"},
    per_sample={"a": SampleScore("yes", "yes", True)},
    notes=["a note with [brackets]"],
)


def published(metric: str, value: float, **more: str) -> dict[str, object]:
    return {"model": "Other", "metric": metric, "value": value, "unit": "fraction", **more}


def report(**changes: object) -> Report:
    given = {
        "dataset": "set",
        "counts": Counts(4, 4, 0),
        "flags": Flags(),
        "evaluation": EVALUATION,
        "tables": [Table("Splits", ("split", "accuracy"), [("random | b", 0.5), ("all", None)])],
        "published": [published("accuracy", 0.7), published("random.f1", 0.25)],
        "parser": "official",
        "about": {"config": {"A": 1}},
    }
    return Report(**{**given, **changes})


def test_published_figures_are_found_by_name_and_by_path():
    first, second = report().comparison()
    assert (first["ours"], first["same"]) == (0.75, True)
    assert first["difference"] == pytest.approx(0.05)
    assert (second["ours"], second["difference"]) == (0.5, 0.25)


@pytest.mark.parametrize(
    "row",
    [
        published("accuracy", 70.0) | {"unit": "percent"},
        published("accuracy", 0.7, parser="llava"),
        published("recall", 0.7),
    ],
    ids=["unit", "parser", "absent"],
)
def test_no_difference_where_the_figures_are_not_of_one_kind(row):
    compared = report(published=[row]).comparison()[0]
    assert compared["same"] is False and compared["difference"] is None


def test_the_same_parser_is_the_same():
    compared = report(published=[published("accuracy", 0.7, parser="official")]).comparison()[0]
    assert compared["same"] is True


@pytest.mark.parametrize("flag", ["miniature", "untrained", "subset", "failures"])
def test_flagged_runs_are_not_compared(flag, capsys):
    flags = Flags(**{flag: True})
    assert not flags.comparable and Flags().comparable
    print_report(report(flags=flags), Console(width=120))
    out = capsys.readouterr().out
    assert f"[{flag}]" in out and "not comparable" in out and "0.0500" not in out


def test_the_printed_report_names_figures_and_failures(capsys):
    failures = [(f"s{k}", "broken") for k in range(12)]
    print_report(report(counts=Counts(16, 4, 12), failures=failures), Console(width=120))
    out = capsys.readouterr().out
    assert "0.7500" in out and "0.0500" in out and "a note with [brackets]" in out
    assert "4 of 16 answered, 12 failed" in out
    assert "failed: s9: broken" in out and "s10" not in out and "2 more" in out


def test_no_score_is_said(capsys):
    print_report(report(evaluation=None, tables=[]), Console(width=120))
    assert "set: no score" in capsys.readouterr().out


def test_the_three_files(tmp_path):
    write_report(tmp_path, report(failures=[("s1", "broken\nimage")]))
    data = json.loads((tmp_path / "results.json").read_text())
    assert data["headline"] == {"accuracy": 0.75} and data["config"] == {"A": 1}
    assert data["scores"]["share"] is None  # NaN is no JSON
    assert data["failed"] == [{"sample_id": "s1", "error": "broken\nimage"}]
    rows = list(csv.reader((tmp_path / "results.csv").read_text().splitlines()))
    assert ["accuracy", "0.75", "fraction"] in rows and ["random.f1", "0.5", "fraction"] in rows
    text = (tmp_path / "results.md").read_text()
    assert "| random \\| b | 0.5000 |" in text and "| s1 | broken image |" in text
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "results.csv", "results.json", "results.md",
    ]  # fmt: skip


def test_plain_takes_numbers_of_any_library():
    value = {"a": np.float32(0.5), 1: (np.int64(2), {3}), "b": float("inf"), "c": None}
    assert plain(value) == {"a": 0.5, "1": [2, [3]], "b": None, "c": None}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (True, "yes"),
        (0.5, "0.5000"),
        (1531.167, "1531.17"),
        (-250.0, "-250.00"),
        (7, "7"),
    ],
)
def test_cells(value, text):
    assert cell(value) == text


def test_flatten():
    assert flatten({"a": 1, "b": {"c": {"d": 2}}}) == [("a", 1), ("b.c.d", 2)]


def test_versions_name_what_took_part():
    found = versions()
    assert found["collavo"] and found["torch"] and found["python"]
