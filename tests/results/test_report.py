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
from collavo.results.table import print_report, print_summary

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


def test_tables_show_fractions_as_percent_and_the_files_keep_them(tmp_path):
    """One unit in what people read: 0.7 of a table beside 70.0 of another is misread."""
    units = {"accuracy": "fraction", "acc": "percent", "sum": "points of 2000", "f1": "fraction"}
    evaluation = Evaluation(
        scores={}, headline={"accuracy": 2 / 3, "acc": 200 / 3, "sum": 1531.25},
        units=units, per_sample={},
    )  # fmt: skip
    table = Table(
        "T", ("split", "questions", "f1", "acc"), [("a", 3, 0.5, 50.0), ("b", 1, None, 1.0)]
    )
    rows = [published("accuracy", 0.7), published("acc", 70.0) | {"unit": "percent"}]
    given = report(evaluation=evaluation, tables=[table], published=rows)
    assert [row[1:3] for row in given.headline_rows()] == [
        (pytest.approx(200 / 3), "percent"), (pytest.approx(200 / 3), "percent"),
        (1531.25, "points of 2000"),
    ]  # fmt: skip
    assert given.shown_tables()[0][1:] == (
        ["split", "questions", "f1 %", "acc %"], [["a", 3, 50.0, 50.0], ["b", 1, None, 1.0]]
    )  # fmt: skip
    assert [row[2:6] for row in given.published_rows()] == [
        (pytest.approx(70), pytest.approx(200 / 3), pytest.approx(200 / 3 - 70), "percent")
    ] * 2
    write_report(tmp_path, given)
    data = json.loads((tmp_path / "results.json").read_text())
    assert data["headline"]["accuracy"] == 2 / 3 and data["tables"][0]["rows"][0][2] == 0.5
    assert data["published"][0]["published"] == 0.7
    assert "| accuracy | 66.67 | percent |" in (tmp_path / "results.md").read_text()


@pytest.mark.parametrize("flag", ["miniature", "untrained", "subset", "failures"])
def test_flagged_runs_are_not_compared(flag, capsys):
    flags = Flags(**{flag: True})
    assert not flags.comparable and Flags().comparable
    print_report(report(flags=flags), Console(width=120))
    out = capsys.readouterr().out
    assert f"[{flag}]" in out and "not comparable" in out and " 5.00 " not in out


def test_the_printed_report_names_figures_and_failures(capsys):
    failures = [(f"s{k}", "broken") for k in range(12)]
    print_report(report(counts=Counts(16, 4, 12), failures=failures), Console(width=120))
    out = capsys.readouterr().out
    assert "75.00" in out and "5.00" in out and "a note with [brackets]" in out
    assert "4 of 16 answered, 12 failed" in out
    assert "failed: s9: broken" in out and "s10" not in out and "2 more" in out


def test_the_builtin_model_stands_beside_no_published_figure(tmp_path, capsys):
    named = {
        "name": "collavo", "weights": "built-in tiny",
        "segmenter": "mask2former", "segmenter_weights": "",
    }  # fmt: skip
    given = report(flags=Flags(builtin_model=True), about={"model": named})
    print_report(given, Console(width=120))
    write_report(tmp_path, given)
    line = "model: collavo (built-in tiny), segmenter: mask2former"
    for text in (capsys.readouterr().out, (tmp_path / "results.md").read_text()):
        assert line in text and "arXiv" not in text and "Published" not in text
        assert "builtin_model: the built-in tiny model" in text
    assert json.loads((tmp_path / "results.json").read_text())["published"] == []


def test_a_summary_of_several_datasets(capsys):
    reports = [
        report(),
        report(dataset="other", flags=Flags(subset=True), evaluation=None, tables=[]),
    ]
    print_summary(reports, Console(width=120))
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "2 datasets"
    assert "set accuracy 75.00 percent 4 of 4" in lines
    assert "other no score - 4 of 4 subset" in lines


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
    assert "| random \\| b | 50.00 |" in text and "| s1 | broken image |" in text
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
        (0.5, "0.50"),
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
