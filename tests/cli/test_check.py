"""`check`: what is there, what is missing, what is broken."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from collavo.cli.main import main
from collavo.datasets.miniature.build import miniature_root
from collavo.datasets.registration.layouts import use_layout


@pytest.fixture(autouse=True)
def _no_layout(no_root: None) -> Iterator[None]:
    yield
    use_layout("auto")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root that holds the miniature's POPE."""
    shutil.copytree(miniature_root() / "POPE", tmp_path / "POPE")
    shutil.copytree(miniature_root() / "coco2014", tmp_path / "coco2014")
    return tmp_path


def check(capsys: pytest.CaptureFixture[str], *words: str, root: Path | None = None) -> Any:
    """Runs `check --json` and returns its exit code and its JSON."""
    place = ["--overrides", "DATASETS.ROOT", str(root)] if root else []
    code = main(["check", "--json", *words, *place])
    out = capsys.readouterr().out
    return code, json.loads(out.strip().splitlines()[-1]) if out.strip() else None


def test_the_miniature_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    code, found = check(capsys, "pope_test")
    (pope,) = found["datasets"]
    assert code == 0 and pope["problems"] == [] and found["errors"] == {}
    assert pope["miniature"] and pope["layout"] == "original"
    assert (pope["questions"], pope["images"], pope["contents"]) == (360, 20, 20)
    assert pope["questions_per_image"] == {"min": 18, "mean": 18.0, "max": 18, "images": {"18": 20}}
    assert pope["categories"] == {"adversarial": 120, "popular": 120, "random": 120}
    assert [p["sample_id"] for p in pope["prompts"]] == [
        *("pope_test:random/1", "pope_test:popular/61", "pope_test:adversarial/120")
    ]
    assert all(p["prompt"].endswith("single word or phrase.") for p in pope["prompts"])
    for file in pope["files"]:
        data = Path(file["path"]).read_bytes()
        assert file["bytes"] == len(data)
        assert file["sha256"] == hashlib.sha256(data).hexdigest()
    assert len(pope["files"]) == 3


def test_counts_are_held_against_the_published(
    capsys: pytest.CaptureFixture[str], root: Path
) -> None:
    code, found = check(capsys, "pope_test", "--quick", root=root)
    assert code == 3
    (pope,) = found["datasets"]
    assert not pope["miniature"] and pope["contents"] is None
    assert pope["problems"] == [
        "360 questions; its owners publish 9000",
        *(f"{split}: 120 questions instead of 3000" for split in ("random", "popular")),
        "adversarial: 120 questions instead of 3000",
        "20 images; its owners publish 500",
    ]


def test_missing_and_broken_images(capsys: pytest.CaptureFixture[str], root: Path) -> None:
    images = sorted((root / "coco2014/val2014").iterdir())
    images[0].unlink()
    images[1].write_bytes(b"")
    images[2].write_bytes(images[2].read_bytes()[:900])
    images[3].write_bytes(b"<html>not found</html>")
    code, found = check(capsys, "pope_test", root=root)
    (pope,) = found["datasets"]
    assert code == 3
    assert [images[0].name in line for line in pope["missing"]] == [True]
    for image, said in zip(images[1:4], ("empty", "damaged or cut off", "is no JPEG"), strict=True):
        assert any(image.name in line and said in line for line in pope["broken"])
    assert {"1 image is missing", "3 images are broken"} <= set(pope["problems"])
    code, found = check(capsys, "pope_test", "--quick", root=root)
    assert len(found["datasets"][0]["missing"]) == 1 and len(found["datasets"][0]["broken"]) == 1


def test_older_releases_are_known(
    capsys: pytest.CaptureFixture[str], shared: Path, tmp_path: Path
) -> None:
    shutil.copytree(shared / "data/pope/legacy_2910", tmp_path / "POPE")
    code, found = check(capsys, "pope_test", "--quick", root=tmp_path)
    (pope,) = found["datasets"]
    assert pope["problems"] == ["500 images are missing"]
    assert pope["notes"] == ["8910 questions: the release before 2024, with 2,910 random questions"]
    for file in (shared / "data/pope").glob("coco_pope_*.json"):
        (tmp_path / "POPE" / file.name).unlink()
        shutil.copy(file, tmp_path / "POPE")
    _, found = check(capsys, "pope_test", "--quick", root=tmp_path)
    assert found["datasets"][0]["problems"] == ["500 images are missing"]
    assert found["datasets"][0]["notes"] == []


def test_datasets_that_cannot_be_read(capsys: pytest.CaptureFixture[str], root: Path) -> None:
    (root / "POPE/coco_pope_random.json").write_text('{"question_id": 1}\n')
    code, found = check(capsys, "pope_test", "mme", root=root)
    assert code == 2 and found["datasets"] == []
    assert "coco_pope_random.json, line 1: no field" in found["errors"]["pope_test"]
    assert "mme is missing" in found["errors"]["mme"]


def test_all_takes_what_is_there(capsys: pytest.CaptureFixture[str], root: Path) -> None:
    code, found = check(capsys, "all", "--quick", root=root)
    assert [d["dataset"] for d in found["datasets"]] == ["pope_test"]
    assert code == 3 and "mme" in found["absent"] and not found["errors"]
    shutil.rmtree(root / "POPE")
    code, found = check(capsys, "all", "--quick", root=root)
    assert code == 2 and "none of the datasets is there" in found["errors"]["all"]


def test_datasets_by_path(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    lines = [
        "index\timage\tquestion\tA\tB\tanswer",
        f"1\t{'A' * 100}\tWhich?\tx\ty\tB",
        "2\t1\tq\t",
    ]
    (tmp_path / "t.tsv").write_text("\n".join(lines) + "\n")
    code, found = check(capsys, f"tsv:{tmp_path}/t.tsv")
    (table,) = found["datasets"]
    assert code == 3 and table["root"] is None and not table["miniature"]
    assert (table["questions"], table["images"], table["answers_hidden"]) == (2, 1, 1)
    assert "t.tsv, line 2, image 1 is no JPEG" in table["broken"][0]


def test_what_is_printed(capsys: pytest.CaptureFixture[str], root: Path) -> None:
    next((root / "coco2014/val2014").iterdir()).unlink()
    code = main(["check", "pope_test", "--overrides", "DATASETS.ROOT", str(root)])
    out = capsys.readouterr().out
    assert code == 3
    for part in (
        *("questions  360 (its owners publish 9,000)", "sha256 ", "pixels"),
        *("| Answer the question using a single word", "  missing    ", "PROBLEM    1 image is"),
    ):
        assert part in out, part
    assert main(["check", "--overrides", "DATASETS.TEST", "mme"]) == 0
    assert "all is well" in capsys.readouterr().out


def test_no_dataset_and_unknown_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check"]) == 2
    assert "name datasets, as in check pope_test mme" in capsys.readouterr().err
    assert main(["check", "pope_tst"]) == 2
    assert "Did you mean: pope_test" in capsys.readouterr().err


def test_it_needs_no_torch(repository: Path) -> None:
    code = (
        "import sys\nfrom collavo.cli.main import main\n"
        "code = main(['check', 'pope_test', '--json'])\n"
        "print('HEAVY', [m for m in ('torch', 'transformers', 'pandas') if m in sys.modules], code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "HEAVY [] 0", done.stderr
