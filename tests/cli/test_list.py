"""`list` names what is registered, quickly and without torch."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from collavo.cli.list import KINDS
from collavo.cli.main import main
from collavo.datasets.registration.catalog import DatasetCatalog, MetadataCatalog

ALL = ("datasets", *KINDS, "templates")


@pytest.mark.parametrize("kind", ALL)
def test_every_kind_has_described_names(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", kind, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows, f"no {kind} are registered"
    assert [r["name"] for r in rows] == sorted(r["name"] for r in rows)
    assert all(r["description"] for r in rows)
    assert main(["list", kind]) == 0
    table = capsys.readouterr().out
    assert all(r["name"] in table for r in rows)


def test_aliases_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    main(["list", "pipelines", "--json"])
    aliases = {r["name"]: r.get("aliases", []) for r in json.loads(capsys.readouterr().out)}
    assert "CoLLaVOPOPEPipeline" in aliases["pope"]
    assert "MMEPipeline" in aliases["mme"]


def test_only_datasets_with_a_pipeline(capsys: pytest.CaptureFixture[str]) -> None:
    DatasetCatalog.register("listed_set", list)
    try:
        main(["list", "datasets", "--json"])
        assert "listed_set" not in capsys.readouterr().out
        MetadataCatalog.get("listed_set").set(pipeline="pope", description="Listed.")
        main(["list", "datasets", "--json"])
        rows = json.loads(capsys.readouterr().out)
        own = {"name": "listed_set", "description": "Listed.", "files": {"kind": "own"}}
        assert own in rows
        assert {"pope_test", "mme"} <= {row["name"] for row in rows}
    finally:
        DatasetCatalog.remove("listed_set")
        MetadataCatalog.remove("listed_set")


def test_plugins_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from collavo.registry import PROJECTORS\n"
        "@PROJECTORS.register('of_a_plugin')\nclass P:\n    'Projects.'\n"
    )
    assert main(["list", "projectors", "--json", "--user_dir", str(file)]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {"name": "of_a_plugin", "description": "Projects."} in rows
    from collavo.registry import PROJECTORS

    PROJECTORS.remove("of_a_plugin")


def test_without_a_kind_the_kinds_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    printed = capsys.readouterr().out
    assert main(["list", "--json"]) == 0
    counts = json.loads(capsys.readouterr().out)
    assert tuple(counts) == ALL and all(f"  {kind} " in printed for kind in ALL)
    main(["list", "pipelines", "--json"])
    assert counts["pipelines"] == len(json.loads(capsys.readouterr().out))


def test_datasets_say_where_their_files_are(
    no_root: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def files(*words: str) -> dict[str, dict[str, str]]:
        assert main(["list", "datasets", "--json", *words]) == 0
        return {row["name"]: row["files"] for row in json.loads(capsys.readouterr().out)}

    assert {place["kind"] for place in files().values()} == {"miniature"}
    (tmp_path / "POPE").mkdir()
    for split in ("random", "popular", "adversarial"):
        (tmp_path / f"POPE/coco_pope_{split}.json").write_text("not read\n")
    found = files("--overrides", "DATASETS.ROOT", str(tmp_path))
    assert found["pope_test"]["kind"] == "root"
    assert found["pope_test"]["path"].startswith(str(tmp_path / "POPE"))
    assert found["mme"]["kind"] == "missing" and str(tmp_path) in found["mme"]["reason"]
    main(["list", "datasets", "--overrides", "DATASETS.ROOT", str(tmp_path)])
    printed = capsys.readouterr().out
    assert f"root: {tmp_path} (from DATASETS.ROOT)" in printed and "group paper: gqa_" in printed
    assert "missing: check NAME says what was looked for" in printed


def test_unknown_kind_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "model"]) == 2
    assert "invalid choice: 'model' (choose from" in capsys.readouterr().err


def test_list_is_quick_and_light(repository: Path) -> None:
    code = (
        "import sys; from collavo.cli.main import main; code = 0\n"
        f"for kind in {ALL}: code |= main(['list', kind])\n"
        "heavy = {'torch', 'transformers', 'pandas', 'datasets'} & set(sys.modules)\n"
        "raise SystemExit(f'loaded {heavy}' if heavy else code)"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, capture_output=True, text=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    taken = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert out.returncode == 0, out.stderr
    # all kinds in one process, in processor time: others may be at work on the machine
    assert taken < 3, f"{taken:.2f} s"
