"""AI2D: layouts, options inside questions, and letters drawn over a diagram's labels."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from collavo.datasets.evaluation.ai2d import AI2DEvaluator
from collavo.datasets.registration.ai2d import split_options
from collavo.datasets.registration.catalog import metadata_of, samples_of
from collavo.datasets.registration.roots import use_root
from collavo.errors import DataError
from collavo.registry import PIPELINES

Image = pytest.importorskip("PIL.Image")


def _question(number: int, letters: bool, answer: Any = 1) -> dict[str, Any]:
    return {
        "abcLabel": letters,
        "answerTexts": ["A", "B", "C", "D"] if letters else ["one", "two", "three", "four"],
        "correctAnswer": answer,
        "questionId": f"0.png-{number}",
    }


def _release(root: Path) -> None:
    """The authors' tree, with a grey diagram whose label is black."""
    base = root / "ai2d"
    for name in ("images", "questions", "annotations"):
        (base / name).mkdir(parents=True)
    (base / "ai2d_test_ids.csv").write_text("0\n17\n")
    asked = {"Which?": _question(0, False), "What is A?": _question(1, True)}
    value = {"imageName": "0.png", "questions": asked}
    (base / "questions/0.png.json").write_text(json.dumps(value))
    diagram = Image.new("RGB", (120, 80), (128, 128, 128))
    diagram.paste((0, 0, 0), (40, 20, 80, 40))
    diagram.save(base / "images/0.png")
    text = {"T0": {"rectangle": [[40, 20], [80, 40]], "replacementText": "B", "value": "leaf"}}
    (base / "annotations/0.png.json").write_text(json.dumps({"text": text}))
    use_root(root)


def test_letters_are_drawn_where_the_authors_images_are_not_there(tmp_path: Path) -> None:
    _release(tmp_path)
    plain, lettered = samples_of("ai2d")
    assert (plain.sample_id, lettered.sample_id) == ("ai2d:0.png-0", "ai2d:0.png-1")
    assert (plain.answers, plain.category, lettered.category) == (("B",), "plain", "abc")
    assert plain.images
    assert lettered.images
    drawn = Image.open(io.BytesIO(lettered.images[0].read()))
    assert drawn.getpixel((42, 22)) == (255, 255, 255)
    assert drawn.getpixel((10, 10)) == (128, 128, 128)
    inside = drawn.convert("L").crop((41, 21, 80, 40))
    assert 20 < sum(inside.histogram()[:100]) < 400
    assert lettered.images[0].read() == lettered.images[0].read()
    assert lettered.images[0].digest() != plain.images[0].digest()
    # the authors' own image is preferred
    (tmp_path / "ai2d/abc_images").mkdir()
    (tmp_path / "ai2d/abc_images/0.png").write_bytes(b"theirs")
    theirs = samples_of("ai2d")[1].images[0]
    assert theirs is not None
    assert theirs.read() == b"theirs"


@pytest.mark.parametrize(
    "rectangle",
    [None, [[1, 2]], [[1, 2], [3, "x"]], [[float("nan"), 0], [1, 1]], "xy", [[1e9, 0], [1, 1]]],
)
def test_broken_rectangles_are_named(tmp_path: Path, rectangle: Any) -> None:
    _release(tmp_path)
    text = {"T7": {"rectangle": rectangle, "replacementText": "B"}}
    (tmp_path / "ai2d/annotations/0.png.json").write_text(json.dumps({"text": text}))
    image = samples_of("ai2d")[1].images[0]
    assert image is not None
    with pytest.raises(DataError, match="text T7: 'rectangle' must"):
        image.read()


def test_the_originals_list(tmp_path: Path) -> None:
    base = tmp_path / "ai2d"
    (base / "ai2d_images/abc_images").mkdir(parents=True)
    rows = [
        {"imageName": "0.png", "question": "Which?", "metadata": _question(0, False)},
        {"imageName": "0.png", "question": "What is A?", "metadata": _question(1, True, 3)},
    ]
    (base / "ai2d_test.json").write_text(json.dumps(rows))
    use_root(tmp_path)
    plain, lettered = samples_of("ai2d")
    assert plain.images
    assert plain.images[0].path == base / "ai2d_images/images/0.png"
    assert lettered.images
    assert lettered.images[0].path == base / "ai2d_images/abc_images/0.png"
    assert lettered.answers == ("D",)


def test_every_rule_beside_the_others(tmp_path: Path) -> None:
    _release(tmp_path)
    samples = samples_of("ai2d")
    answers = {"ai2d:0.png-0": "The answer is B", "ai2d:0.png-1": "b"}
    found = AI2DEvaluator().evaluate(samples, answers)
    assert {name: figures["accuracy"] for name, figures in found.scores["parsers"].items()} == {
        "official": 50.0, "lmms_eval": 50.0, "collavo": 0.0, "collavo_offline": 0.0,
        "internvl": 50.0, "mova": 50.0,
        # it finds the option that says "B" in the answer "b"
        "vlmevalkit": 100.0,
    }  # fmt: skip
    assert found.scores["images"]["abc"] == {"accuracy": 100.0, "questions": 1}
    empty = AI2DEvaluator("collavo_offline").evaluate(samples, dict.fromkeys(answers, ""))
    assert {score.parsed for score in empty.per_sample.values()} == {"A"}


def test_options_inside_questions() -> None:
    suffix = "\nAnswer with the option's letter from the given choices directly."
    text = "Which?\nReally?\nA. one\nB. two\nlines\nC. B. three" + suffix
    assert split_options(text, "here") == ("Which?\nReally?", ("one", "two\nlines", "B. three"))
    with pytest.raises(DataError, match="here: neither"):
        split_options("Which?\nA. one", "here")


def test_movas_list_gives_back_its_prompts(shared: Path) -> None:
    use_root(shared / "data")
    samples = samples_of("ai2d")
    expected = metadata_of("ai2d").expected
    assert len(samples) == expected["questions"]
    assert len({s.extra["image"] for s in samples}) == expected["images"]
    lines = (shared / "data/ai2d/mova_ai2d_test.jsonl").read_text(encoding="utf-8").splitlines()
    pipeline = PIPELINES.get("ai2d")(style="llava")
    assert [pipeline.prompt(s) for s in samples] == [json.loads(x)["question"] for x in lines]
