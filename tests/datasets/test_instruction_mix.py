"""Mixes of sources: limited, from folders, from files of mixes, and refused where wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from collavo.datasets.instruction.opening import open_mix
from collavo.datasets.instruction.selected import Selected
from collavo.datasets.miniature.training import build
from collavo.errors import ConfigError, DataError, MissingFileError
from tests.datasets.conversations import row, talk

pytestmark = pytest.mark.usefixtures("own_cache")


def test_bad_rows_end_the_opening_unless_allowed(
    write: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    path = write([row(n, **({} if n % 2 else {"image": None})) for n in range(30)])
    with pytest.raises(DataError, match="15 of 30 rows.*TRAIN.MAX_BAD_ROWS is 14") as caught:
        open_mix([str(path)], max_bad_rows=14)
    assert "\n  data:0: it has 1 '<image>' and no 'image'" in str(caught.value)
    assert str(caught.value).endswith("and 5 more") and "data:18" in str(caught.value)
    assert len(open_mix([str(path)], max_bad_rows=15)) == 15
    assert "15 of 30 rows of the training data cannot be used and are left out" in caplog.text


def test_limit_and_most_images(write: Callable[..., Path]) -> None:
    rows = [row(1), row(2, image=["a", "b"], conversations=talk("<image><image>x", "y")), row(3)]
    path = write(rows)
    mix = open_mix([f"{path}?limit=1"])
    assert len(mix) == 1 and isinstance(mix.sources[0], Selected)
    with pytest.raises(DataError, match="data:2: it has 2 images and the architecture takes 1"):
        open_mix([str(path)], max_images=1)
    mix = open_mix([f"{path}?limit=2"], max_images=1, max_bad_rows=1)
    source = mix.sources[0]
    assert [source[i].sample_id for i in range(len(source))] == ["data:1", "data:3"]
    assert (
        source.num_images(1) == 1
        and source.num_turns(1) == 2
        and source.has_image(0)
        and source.length(1) > 0
    )
    assert mix.bad.count == 1


def test_a_folder_has_a_task_a_file(write: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    write([row(n) for n in range(3)], "tasks/b.json")
    write("\n".join(json.dumps(row(n)) for n in range(1)), "tasks/a.jsonl")
    mix = open_mix([f"{tmp_path / 'tasks'}?weight=2&images={tmp_path}"])
    assert mix.names == ("a", "b")
    assert [s.spec.weight for s in mix.sources] == [0.5, 1.5]
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="holds no .json or .jsonl files, one a task"):
        open_mix([f"folder:{tmp_path / 'none'}"])


def test_a_named_mix_has_its_own_image_roots(write: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "coco").mkdir()
    write([row(1)], "one.json")
    write([row(2)], "two.json")
    inner = "- {path: two.json, images: coco, weight: 3}\n"
    write(inner, "inner.yaml")
    outer = "sources:\n- {path: one.json, name: first}\n- mix:inner.yaml?weight=2\n"
    mix = open_mix([f"mix:{write(outer, 'outer.yaml')}"])
    assert mix.names == ("first", "two")
    assert [s.spec.weight for s in mix.sources] == [1.0, 6.0]
    assert mix.sources[1][0].images[0].path == tmp_path / "coco/a/2.jpg"


def test_the_miniature_world(
    write: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(build, "training_root", lambda scenes: asked.append(scenes) or tmp_path)
    write([row(1)], "instructions.json")
    (tmp_path / "images").mkdir()
    mix = open_mix(["miniature:vl?scenes=9&weight=2"])
    assert mix.names == ("miniature_vl",) and mix.sources[0].spec.weight == 2
    assert mix.sources[0][0].images[0].path == tmp_path / "images" / "a" / "1.jpg"
    with pytest.raises(ConfigError, match="need the patch grid"):
        write({"images": [], "annotations": []}, "panoptic_train.json")
        open_mix(["miniature:crayon"])
    assert asked[0] == 9 and asked[1] > 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- {path: a", "is no YAML"),
        ("a: 1", "has to be a list of sources"),
        ("[]", "has to be a list of sources"),
        ("- self.yaml", "names itself, or mixes lie 8 deep"),
        ("- {path: a.json, wieght: 1}", "did you mean 'weight'"),
    ],
)
def test_wrong_mixes_are_refused(write: Callable[..., Path], text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_mix([str(write(text, "self.yaml"))])


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="source 'x': there is no .*x.json"):
        open_mix([str(tmp_path / "x.json")])
    with pytest.raises(ConfigError, match="it may be miniature:vl or "):
        open_mix(["miniature:all"])
