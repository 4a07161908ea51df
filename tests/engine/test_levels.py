"""Levels of reuse in whole runs: what a model allows, what the self-check finds, the ladder."""

from __future__ import annotations

import json
import logging
from collections import Counter

import pytest
from PIL import Image

from collavo.cli.main import main
from collavo.modeling.architectures.composition import ComposedVLM
from tests.engine.conftest import PLUGIN
from tests.engine.test_processes import finish

BOTH = ("--user_dir", f"{PLUGIN},{PLUGIN.with_name('ladder.py')}")


@pytest.fixture
def ladder(bench, monkeypatch, tmp_path):
    """Runs a model and returns the run, its `reuse`, and a count of what the model was called for.

    `right` are the bytes of predictions.jsonl where nothing is shared at all.
    """
    log = tmp_path / "calls.log"
    monkeypatch.setenv("LADDER_LOG", str(log))

    def run(name, *options, **keys):
        log.unlink(missing_ok=True)
        made = bench.run(*BOTH, *options, MODEL__NAME=name, **keys)
        calls = Counter(log.read_text().splitlines()) if log.exists() else Counter()
        return made, made.results.get("reuse"), calls

    run.bench = bench
    run.right = bench.run(EVAL__REUSE="none").bytes
    return run


def test_a_prefix_that_holds_stays(ladder):
    run, reuse, calls = ladder("causal")
    assert (reuse["asked"], reuse["level"], reuse["reason"]) == ("prefix", "prefix", "")
    (check,) = reuse["checks"]
    assert check.items() >= {"passed": True, "deviation": 0.0, "limit": 1e-3, "images": 1}.items()
    assert calls["check prefix"] == 1 and not any("generate" in call for call in calls)
    assert run.bytes == ladder.right
    assert "Reuse" not in (run.folder / "results.md").read_text()


@pytest.mark.parametrize(
    ("name", "wrong", "level"),
    [
        ("two_way", "prefix", "vision"),
        ("two_way", "prefix vision", "batch"),
        ("two_way_all", "prefix", "expanded"),
        ("two_way_all", "prefix expanded", "vision"),
        ("two_way_all", "prefix expanded vision", "batch"),
        ("two_way_batch", "prefix", "batch"),
        ("two_way_single", "prefix", "single"),
    ],
)
@pytest.mark.parametrize("rows", [0, 1, 7])
def test_a_prefix_that_depends_on_what_follows_falls(
    ladder, monkeypatch, capsys, caplog, name, wrong, level, rows
):
    monkeypatch.setenv("FAKE_WRONG", wrong)
    caplog.set_level(logging.WARNING)
    run, reuse, calls = ladder(name, EVAL__BATCH_SIZE=rows)
    assert run.bytes == ladder.right
    assert (reuse["asked"], reuse["level"]) == ("prefix", level)
    assert "self-check of reuse prefix" in reuse["reason"] and "1.8" in reuse["reason"]
    assert "limit 0.001" in reuse["reason"]
    failed = [c["level"] for c in reuse["checks"] if not c["passed"]]
    assert failed == wrong.split()
    assert all(calls[f"check {each}"] == 1 for each in failed), "once a kind of prompt"
    assert calls["check batch"] == calls["check single"] == 0
    said = [r.getMessage() for r in caplog.records if "self-check" in r.getMessage()]
    assert len(said) == 1 and "going on with" in said[0], said
    out = " ".join(capsys.readouterr().out.split())
    assert out.count(f"Reuse: {level}, prefix asked:") == 1
    assert f"- Reuse: {level}" in (run.folder / "results.md").read_text()
    if level == "single":
        assert calls["generate 1"] == 30


def test_unchecked_it_would_be_wrong(ladder, monkeypatch):
    """So the test above has something to find."""
    monkeypatch.setenv("FAKE_APART", "0.0009")
    run, reuse, _ = ladder("two_way")
    assert reuse["level"] == "prefix" and run.bytes != ladder.right


@pytest.mark.parametrize("apart", ["nan", "inf", "0.00101"])
def test_what_is_not_within_the_limit_fails(ladder, monkeypatch, apart):
    monkeypatch.setenv("FAKE_APART", apart)
    run, reuse, _ = ladder("two_way")
    assert reuse["level"] == "vision" and run.bytes == ladder.right
    json.loads((run.folder / "results.json").read_text(), parse_constant=pytest.fail)


@pytest.mark.parametrize(
    ("name", "asked", "level"),
    [
        ("fake", "prefix", "prefix"),
        ("fake", "vision", "vision"),
        ("fake", "none", "batch"),
        ("fake_plain", "prefix", "batch"),
        ("fake_plain", "none", "batch"),
        ("only_prefix", "prefix", "prefix"),
        ("only_prefix", "vision", "single"),
        ("only_expanded", "prefix", "expanded"),
        ("only_expanded", "vision", "batch"),
        ("only_vision", "prefix", "vision"),
        ("only_batch", "prefix", "batch"),
        ("only_single", "prefix", "single"),
        ("only_single", "none", "single"),
        ("nothing", "vision", "single"),
        ("unordered", "prefix", "prefix"),
    ],
)
def test_a_model_begins_at_the_next_level_that_it_allows(ladder, name, asked, level):
    run, reuse, calls = ladder(name, EVAL__REUSE=asked)
    begins = {"none": "batch"}.get(asked, asked)
    assert (reuse["asked"], reuse["level"]) == (begins, level)
    assert (reuse["reason"] == "") == (level == begins), reuse["reason"]
    assert f"not {begins}" in reuse["reason"] or level == begins
    assert run.bytes == ladder.right
    if level == "single" and name != "fake":
        assert calls["generate 1"] == 30
    if level in ("batch", "single"):
        assert not reuse["checks"] and not any("check" in call for call in calls)


def test_questions_without_image_are_not_checked(ladder):
    rows = [{**row, "image": None} for row in ladder.bench.rows()]
    ladder.bench.write_rows(rows)
    right = ladder.bench.run(EVAL__REUSE="none").bytes
    run, reuse, calls = ladder("two_way")
    assert (reuse["level"], reuse["checks"]) == ("prefix", [])
    assert run.bytes == right and not any("check" in call for call in calls)
    _, reuse, calls = ladder("only_single")
    assert calls["generate 1"] == 30 and reuse["level"] == "single"


def test_each_new_kind_of_prompt_is_checked_and_falls_for_itself(ladder):
    bench = ladder.bench
    for k, width in enumerate((20, 20, 24, 40, 40, 44)):
        Image.new("RGB", (width, 12), (k * 30, 9, 9)).save(bench.data / f"{k}.png")
    right = bench.run(EVAL__REUSE="none").bytes
    run, reuse, calls = ladder("two_way_wide")
    assert run.bytes == right
    assert reuse["level"] == "vision"
    passed = {(c["shapes"][0], c["level"]): c["passed"] for c in reuse["checks"]}
    assert passed == {
        ("20", "prefix"): True, ("24", "prefix"): True, ("40", "prefix"): False,
        ("44", "prefix"): False, ("40", "vision"): True, ("44", "vision"): True,
    }  # fmt: skip
    assert calls["check prefix"] == 4 and calls["check vision"] == 2


def test_the_kinds_that_are_checked_are_not_without_number(ladder, monkeypatch):
    monkeypatch.setattr("collavo.engine.levels.MOST_KINDS", 3)
    for k, width in enumerate((20, 21, 22, 40, 41, 42)):
        Image.new("RGB", (width, 12), (k * 30, 9, 9)).save(ladder.bench.data / f"{k}.png")
    _, reuse, calls = ladder("two_way_wide")
    assert calls["check prefix"] == 3 and reuse["level"] == "prefix"


def test_resumed_runs_tell_of_all_their_launches(ladder):
    run, reuse, _ = ladder("two_way")
    again, same, calls = ladder("two_way")
    assert (again.folder, again.bytes, same) == (run.folder, run.bytes, reuse)
    assert not calls
    part = next((run.folder / "parts").glob("*.jsonl"))
    lines = part.read_text().splitlines(keepends=True)
    part.write_text("".join(lines[:20]))
    resumed, same, calls = ladder("two_way")
    assert (resumed.bytes, same) == (run.bytes, reuse), "the same checks, told once"
    assert calls["check prefix"] == 1 and len(list((run.folder / "checks").iterdir())) == 2
    _, fresh, _ = ladder("two_way", "--fresh")
    assert fresh == reuse and len(list((run.folder / "checks").iterdir())) == 1


@pytest.mark.parametrize(
    "row",
    [{}, {"level": "all"}, {"limit": "1"}, {"passed": 1}, {"shapes": 3}, {"after": None},
     {"deviation": "x"}],
)  # fmt: skip
def test_a_damaged_line_is_named(ladder, capsys, row):
    run, _, _ = ladder("two_way")
    file = next((run.folder / "checks").iterdir())
    good = json.loads(file.read_text().splitlines()[0])
    file.write_text(json.dumps({**good, **row} if row else {}) + "\n")
    code = ladder("two_way")[0].code
    assert code == 2 and "folder 'checks' is damaged" in capsys.readouterr().err


def test_an_unknown_level_is_refused(ladder, capsys):
    assert ladder("unknown_level")[0].code == 2
    error = capsys.readouterr().err
    assert "reuse_levels names all; there are prefix, expanded, vision, batch, single" in error


def test_likelihoods_need_a_prefix_that_holds(ladder, capsys):
    run, reuse, calls = ladder("causal", EVAL__SCORING="likelihood")
    assert run.code == 0 and reuse["checks"][0]["passed"] and calls["check prefix"] == 1
    assert ladder("two_way", EVAL__SCORING="likelihood")[0].code == 2
    error = " ".join(capsys.readouterr().err.split())
    assert "EVAL.SCORING likelihood needs a model that shares prefixes and EVAL.REUSE prefix" in (
        error
    )
    assert "self-check of reuse prefix found the state 1.8 off" in error
    assert "set EVAL.SCORING generate" in error
    assert ladder("only_vision", EVAL__SCORING="likelihood")[0].code == 2
    assert "allows vision, batch, single, not prefix" in capsys.readouterr().err
    run, reuse, _ = ladder("two_way_all", EVAL__SCORING="likelihood")  # by the expanded cache
    assert run.code == 0 and reuse["level"] == "expanded"


def test_two_processes_tell_of_one_run(ladder):
    words = ladder.bench.words(*BOTH, "--fresh", MODEL__NAME="two_way", EVAL__BATCH_SIZE=2)
    output = finish(ladder.bench.launch(*words, FAKE_SLEEP="0.05"))
    folder = ladder.bench.folder()
    assert (folder / "exit_code").read_text() == "0\n", output
    assert (folder / "predictions.jsonl").read_bytes() == ladder.right
    reuse = json.loads((folder / "results.json").read_text())["reuse"]
    assert reuse["level"] == "vision"
    assert [(c["level"], c["passed"]) for c in reuse["checks"]] == [
        ("prefix", False), ("vision", True),
    ]  # fmt: skip
    assert len(list((folder / "checks").iterdir())) == 2, "each process checks for itself"
    assert output.count("going on with vision") == 1
    assert output.count("Reuse: vision, prefix asked") == 1


def test_a_dry_run_checks_and_writes_nothing(ladder):
    run, _, calls = ladder("two_way", "--dry-run")
    assert calls["check prefix"] == 1
    assert not list(ladder.bench.save.rglob("checks"))


def test_the_built_in_model_passes_and_a_broken_prefix_of_its_falls(no_root, tmp_path, monkeypatch):
    """The whole way: crayon, images, keys and values of the last layer."""

    def run(*keys: str):
        words = ["DATASETS.TEST=pope_test", "VIS.SAMPLES=0", f"SAVE_DIR={tmp_path}", *keys]
        assert main(["eval", "--fresh", "--limit", "24", "--overrides", *words]) == 0
        made = max(tmp_path.glob("*/*/results.json"), key=lambda f: f.stat().st_mtime_ns)
        reuse = json.loads(made.read_text())["reuse"]
        return made.with_name("predictions.jsonl").read_bytes(), reuse

    whole, reuse = run()
    (check,) = reuse["checks"]
    assert reuse["level"] == "prefix" and check["passed"] and check["deviation"] < 1e-4
    encode = ComposedVLM.encode

    def broken(self, visuals, crayon, prefixes, reuse="prefix", features=None):
        contexts = encode(self, visuals, crayon, prefixes, reuse, features)
        if reuse == "prefix":
            contexts[0].cache.values[-1][:, -1] += 0.5  # one position of the first image
        return contexts

    monkeypatch.setattr(ComposedVLM, "encode", broken)
    fallen, reuse = run()
    assert (reuse["asked"], reuse["level"], fallen) == ("prefix", "vision", whole)
    assert [c["passed"] for c in reuse["checks"]] == [False]
    assert "the last layer's keys and values of the prefix" in reuse["reason"]
