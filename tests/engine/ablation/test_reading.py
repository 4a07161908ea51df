"""A plan's mistakes are told before anything is run, with what was meant."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from collavo.config.paths import configs_dir
from collavo.engine.ablation.jobs import Given, make_jobs
from collavo.engine.ablation.reading import read_plan
from collavo.errors import ConfigError, MissingFileError

GOOD: dict[str, Any] = {
    "stages": ["collavo_step1.yaml"],
    "reference": "full",
    "figures": [{"name": "pope", "dataset": "pope_test", "figure": "mean_accuracy"}],
    "arms": [{"name": "full"}, {"name": "no_text", "weights_of": "full"}],
}


def read(tmp_path: Path, change: Any = None) -> Any:
    plan = copy.deepcopy(GOOD)
    if change is not None:
        change(plan)
    file = tmp_path / "plan.yaml"
    file.write_text(yaml.safe_dump(plan))
    return read_plan(file)


def put(*path: Any) -> Any:
    """A change: sets what the path leads to, its last element, in the plan."""
    *way, key, value = path

    def change(plan: Any) -> None:
        node = plan
        for step in way:
            node = node[step]
        if key is None:
            node.append(value)
        else:
            node[key] = value

    return change


def test_a_plan_has_defaults(tmp_path):
    plan = read(tmp_path)
    assert (plan.name, plan.title, plan.seeds) == ("plan", "plan", (0, 1, 2))
    assert plan.datasets == ("pope_test",)
    assert [arm.name for arm in plan.line("no_text")] == ["full", "no_text"]
    assert plan.arms["full"].stages[0].file.name == "collavo_step1.yaml"
    table = plan.tables[0]
    assert (table.arms, table.figures, table.reference) == (("full", "no_text"), ("pope",), "full")


def test_terms_are_added(tmp_path):
    plan = read(tmp_path, put("figures", 0, "figure", "tasks.a.score + tasks.b.score"))
    assert plan.figures["pope"].terms == ("tasks.a.score", "tasks.b.score")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("sedes", 3), "unknown key 'sedes'. Did you mean 'seeds'?"),
        (put("arms", 0, "stage", []), "entry 1: unknown key 'stage'. Did you mean 'stages'?"),
        (put("arms", 1, "weights_of", "ful"), "weights_of: no arm 'ful'. Did you mean 'full'?"),
        (put("reference", "best"), "reference: no arm 'best'. There are: full, no_text"),
        (put("seeds", 0), "seeds: 0 names no seed"),
        (put("seeds", []), "seeds: [] names no seed"),
        (put("seeds", [1, 1]), "seeds: [1, 1] names a seed twice"),
        (put("seeds", "many"), "seeds is 'many'; it must be a whole number, at least 0"),
        (put("seeds", True), "seeds is True; it must be a whole number"),
        (put("arms", []), "needs 'arms'"),
        (put("arms", "full"), "arms must be a list with at least one entry"),
        (put("arms", None, {"name": "full"}), "arms: 'full' is there twice"),
        (put("arms", None, {"label": "x"}), "entry 3 needs 'name'"),
        (put("arms", None, {"name": "a b"}), "the name 'a b' must be letters, digits and"),
        (put("arms", None, {"name": "../a"}), "the name '../a' must be letters"),
        (put("arms", 1, "stages", []), "says more than one of stages, weights_of and weights"),
        (put("arms", 1, "train", {"A": 1}), "(no_text) trains nothing, so it takes no settings"),
        (put("stages", []), "arms, entry 1 (full) has no weights: give stages to train"),
        (put("stages", "a.yaml"), "stages is 'a.yaml'; it must be a list of files"),
        (put("arms", 0, "paper", {"pop": 3}), "paper: no figure 'pop'. Did you mean 'pope'?"),
        (put("arms", 0, "paper", {"pope": "x"}), "it must be a mapping of figures to numbers"),
        (put("arms", 0, "set", ["x"]), "set is ['x']; it must be a mapping of configuration keys"),
        (put("figures", 0, "figure", "a + "), "figure is 'a +'; name a figure, or several with +"),
        (put("figures", 0, {"dataset": "pope_test"}), "figures, entry 1 needs 'figure'"),
        (put("tables", [{"title": "T", "arms": ["x"]}]), "entry 1, arms: no arm 'x'."),
        (put("tables", [{"title": "T", "figures": "pope"}]), "figures is 'pope'; it must be"),
        (put("title", 3), "title is 3; it must be text"),
    ],
)  # fmt: skip
def test_a_mistake_is_told(tmp_path, change, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        read(tmp_path, change)


def test_arms_that_use_each_other_in_a_circle(tmp_path):
    def change(plan: Any) -> None:
        plan["arms"] += [
            {"name": "a", "weights_of": "b"},
            {"name": "b", "weights_of": "c"},
            {"name": "c", "weights_of": "a"},
        ]

    with pytest.raises(ConfigError, match="weights in a circle: a -> b -> c -> a"):
        read(tmp_path, change)


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(MissingFileError, match=r"'collavo_step9\.yaml'.*collavo_step1\.yaml"):
        read(tmp_path, put("stages", ["collavo_step9.yaml"]))
    with pytest.raises(MissingFileError, match="no configuration file"):
        read_plan(tmp_path / "none.yaml")


def test_every_configuration_is_checked_before_any_work(tmp_path):
    def jobs(change: Any) -> Any:
        plan = read(tmp_path, change)
        return make_jobs(plan, tuple(plan.arms), (0,), Given(), tmp_path)

    with pytest.raises(ConfigError, match=r"arm full, .*step1\.yaml: .*unknown key 'TRAIN\.STEP'"):
        jobs(put("train", {"TRAIN.STEP": 3}))
    with pytest.raises(ConfigError, match=r"arm no_text, evaluation: .*CRAYON\.MODE cannot be"):
        jobs(put("arms", 1, "eval", {"CRAYON": {"MODE": "half"}}))
    with pytest.raises(ConfigError, match=r"TRAIN\.DIR is set by the ablation itself"):
        jobs(put("train", {"TRAIN.DIR": "x"}))
    with pytest.raises(ConfigError, match=r"arm full: .* says not what to train"):
        jobs(put("train", {"TRAIN.MODULES": []}))


def test_folders_stand_for_their_names(tmp_path, monkeypatch):
    from collavo.datasets.miniature import build

    monkeypatch.setattr(build, "miniature_root", lambda: Path("/mini"))
    plan = read(tmp_path, put("set", {"SEGMENTER.PRECOMPUTED.JSON": "{miniature}/p.json"}))
    plan_jobs = make_jobs(plan, ("full",), (5,), Given(), tmp_path)
    assert plan_jobs[0].evaluation["SEGMENTER.PRECOMPUTED.JSON"] == "/mini/p.json"
    plan = read(tmp_path, put("set", {"SEGMENTER.WEIGHTS": "{assets}/tiny/segmenter"}))
    found = make_jobs(plan, ("full",), (5,), Given(), tmp_path)[0]
    assert Path(found.stages[0].settings["SEGMENTER.WEIGHTS"]).is_dir()
    assert found.stages[0].settings["RANDOM_SEED"] == 5


@pytest.mark.parametrize("file", sorted(configs_dir().glob("**/ablation*.yaml")), ids=str)
def test_the_packaged_plans_can_be_read(file):
    if not (configs_dir() / "tiny" / "cit.yaml").is_file():
        pytest.skip("the stages of the tiny model are not there")
    plan = read_plan(file)
    assert len(plan.seeds) >= 3
    for table in plan.tables:
        assert table.reference in table.arms
