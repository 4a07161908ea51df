"""Object-level probes: what is asked of a ground truth, and how answers are scored."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from collavo.datasets.evaluation.class_names import Everyday, Exact, FirstName
from collavo.datasets.mappers.image import open_image
from collavo.datasets.registration import roots
from collavo.datasets.registration.catalog import metadata_of, samples_of
from collavo.datasets.registration.readers.panoptic import read_panoptic
from collavo.errors import ConfigError, DataError, MissingFileError
from collavo.records import Sample
from collavo.registry import EVALUATORS, PIPELINES

KINDS = ("class2binary", "box2class", "class2box")


@pytest.fixture(autouse=True)
def _no_root(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in roots.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    yield
    roots.use_root("")


def segment(number: int, category: int, box: list[float] | None, crowd: int = 0) -> dict:
    row = {"id": number, "category_id": category, "iscrowd": crowd, "area": 1}
    return row if box is None else {**row, "bbox": box}


CITY = [{"id": 7, "name": "road", "isthing": 0}, {"id": 24, "name": "rider", "isthing": 1}]


def write(folder: Path, images: list[list[dict]], categories: list[dict] | None = None) -> Path:
    """Writes a ground truth of 100 x 50 images, which are there."""
    folder.mkdir(parents=True)
    (folder / "val").mkdir()
    listed = []
    for k in range(len(images)):
        Image.new("RGB", (100, 50)).save(folder / "val" / f"{k}.png")
        listed.append({"id": k, "file_name": f"{k}.png", "width": 100, "height": 50})
    content = {
        "images": listed,
        "annotations": [
            {"image_id": k, "file_name": f"{k}.png", "segments_info": segments}
            for k, segments in enumerate(images)
        ],
        **({"categories": categories} if categories else {}),
    }
    path = folder / "panoptic_val.json"
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Three images: two dogs and a cat; a dog and a crowd of people; grass alone."""
    return write(
        tmp_path / "own",
        [
            [segment(1, 18, [0, 0, 50, 25]), segment(2, 18, [50, 25, 50, 25]),
             segment(3, 17, [10, 10, 20, 20]), segment(4, 193, [0, 0, 100, 50])],
            [segment(5, 18, [20, 10, 40, 30]), segment(6, 1, [0, 0, 99, 49], crowd=1)],
            [segment(7, 193, [0, 0, 100, 50])],
        ],
    )  # fmt: skip


def evaluate(name: str, answers: dict[str, str], parser: str = "official"):
    samples = [s for s in samples_of(name) if s.sample_id in answers]
    return EVALUATORS.get(metadata_of(name).get("evaluator_type"))(parser).evaluate(
        samples, answers
    )


def test_class2binary_asks_as_often_where_a_class_is_not(own):
    samples = samples_of(f"probe_class2binary:{own}")
    asked = {(s.sample_id.partition(":")[2], s.answers[0]) for s in samples}
    # the third image holds nothing countable, so it is not asked about
    assert asked == {
        ("0/dog", "yes"), ("0/cat", "yes"), ("1/dog", "yes"), ("1/person", "yes"),
        ("1/cat", "no"), ("0/person", "no"),
    }  # fmt: skip
    assert [s.images[0].path.name for s in samples if s.images and s.images[0].path] == [
        "0.png"
    ] * 3 + ["1.png"] * 3
    prompt = PIPELINES.get("class2binary")().prompt(samples[0])
    assert prompt == (
        "Is there an instance of the category dog in the image?"
        "\nAnswer the question using a single word or phrase."
    )


def test_box2class_asks_about_each_object_but_crowds(own):
    samples = samples_of(f"probe_box2class:{own}")
    assert [(s.sample_id, s.category, s.extra["box"]) for s in samples] == [
        ("probe_box2class:0/1", "dog", (0, 0, 0.5, 0.5)),
        ("probe_box2class:0/2", "dog", (0.5, 0.5, 1, 1)),
        ("probe_box2class:0/3", "cat", (0.1, 0.2, 0.3, 0.6)),
        ("probe_box2class:1/5", "dog", (0.2, 0.2, 0.6, 0.8)),
    ]
    prompt = PIPELINES.get("b2c")().prompt(samples[2])
    assert prompt.startswith("What object is in the bounding box [0.10, 0.20, 0.30, 0.60]?\n")
    assert "fractions" in PIPELINES.get("box2class")(style="clean").prompt(samples[2])


def test_class2box_takes_the_box_of_any_object(own):
    name = f"probe_class2box:{own}"
    samples = samples_of(name)
    assert [(s.category, len(s.extra["boxes"])) for s in samples] == [
        ("dog", 2), ("cat", 1), ("dog", 1)
    ]  # fmt: skip
    answers = {
        "probe_class2box:0/dog": "It is [0.52, 0.5, 1.0, 1.0].",  # the second dog
        "probe_class2box:0/cat": "[0.1, 0.2, 0.2, 0.4]",  # a quarter of the cat
        "probe_class2box:1/dog": "nowhere",
    }
    found = evaluate(name, answers)
    assert found.headline == pytest.approx({"accuracy": 100 / 3, "class_accuracy": 25.0})
    assert found.scores["single"] == 0.0
    assert found.scores["classes"]["dog"] == {"accuracy": 50.0, "questions": 2}
    assert found.per_sample["probe_class2box:0/dog"].correct is True
    pixels = evaluate(name, {"probe_class2box:0/cat": "[10, 10, 30, 30]"}, "pixels")
    assert pixels.headline["accuracy"] == 100.0


def test_class2binary_scores(own):
    name = f"probe_class2binary:{own}"
    samples = samples_of(name)
    found = evaluate(name, {s.sample_id: "Yes" for s in samples})
    assert found.headline == pytest.approx({"accuracy": 100 * 4 / 6, "class_accuracy": 200 / 3})
    assert found.scores["present"] == 100.0 and found.scores["absent"] == 0.0
    assert found.scores["classes"]["cat"]["accuracy"] == 50.0
    assert set(found.scores["parsers"]) >= {"official", "lmms_eval"}
    assert all(found.units[k] == "percent" for k in found.headline)


def test_the_best_and_the_worst_20_classes():
    classes = [s.category for s in samples_of("probe_box2class")]
    samples = [
        Sample(f"x:{k}/{n}", (), "?", n, answers=(f"c{k:02d}",), category=f"c{k:02d}")
        for k in range(50)
        for n in range(50)
    ]
    answers = {s.sample_id: s.category if int(s.question_id) < int(s.category[1:]) else "none"
               for s in samples}  # fmt: skip
    found = EVALUATORS.get("box2class")().evaluate(samples, answers)
    assert len(set(classes)) > 5
    top, bottom = found.tables
    assert [row[0] for row in top.rows] == [f"c{k:02d}" for k in range(49, 29, -1)]
    assert [row[0] for row in bottom.rows] == [f"c{k:02d}" for k in range(20)]
    assert found.scores["top_20"] == pytest.approx(2 * sum(range(30, 50)) / 20)
    assert found.scores["bottom_20"] == pytest.approx(2 * sum(range(20)) / 20)


@pytest.mark.parametrize(
    ("text", "first", "everyday", "exact"),
    [
        ("dog", "dog", "dog", "dog"),
        ("A Dog.", "dog", "dog", "dog"),
        ("It is a hot dog on a plate", "hot dog", "hot dog", ""),
        ("teddy bears", "teddy bear", "teddy bear", ""),
        ("the knives", "knife", "knife", ""),
        ("a bench, not a chair", "bench", "bench", ""),
        ("A man with a dog", "dog", "person", ""),
        ("sofa", "", "couch", ""),
        ("cell-phone", "cell phone", "cell phone", "cell phone"),
        ("hotdogs", "", "hot dog", ""),
        ("catalogue", "", "", ""),
        ("", "", "", ""),
        ("\x00\n狗", "", "", ""),
    ],
)
def test_names_of_classes(text, first, everyday, exact):
    assert FirstName().parse(text) == first
    assert Everyday().parse(text) == everyday
    assert Exact().parse(text) == exact


def test_another_taxonomy_has_its_own_names(tmp_path):
    path = write(tmp_path / "city", [[segment(1, 24, [0, 0, 9, 9]), segment(2, 7, None)]], CITY)
    name = f"probe_box2class:{path}?images={path.parent / 'val'}"
    (sample,) = samples_of(name)
    assert sample.category == "rider" and metadata_of(name).get("own_files")
    assert evaluate(name, {sample.sample_id: "a rider"}).headline["accuracy"] == 100.0
    assert evaluate(name, {sample.sample_id: "a person"}).headline["accuracy"] == 0.0


@pytest.mark.parametrize("kind", KINDS)
def test_on_the_miniature_all_right_is_100(kind):
    samples = samples_of(f"probe_{kind}")
    assert len({s.images[0].path for s in samples if s.images}) == 20
    assert all(s.images and s.images[0].path and s.images[0].path.is_file() for s in samples)
    found = evaluate(f"probe_{kind}", {s.sample_id: s.answers[0] for s in samples})
    assert found.headline == {"accuracy": 100.0, "class_accuracy": 100.0}
    if kind == "class2binary":
        counts = Counter((s.category, s.answers[0]) for s in samples)
        rare = [c for c, label in counts if label == "yes" and counts[c, "yes"] <= 10]
        assert rare and all(counts[c, "yes"] == counts[c, "no"] for c in rare)


def test_coco_of_2017_below_a_root_and_its_2014_names(tmp_path, own):
    root = tmp_path / "root"
    (root / "coco" / "annotations").mkdir(parents=True)
    text = own.read_text()
    (root / "coco" / "annotations" / "panoptic_val2017.json").write_text(text)
    (root / "coco" / "val2017").mkdir()
    (root / "coco2014" / "val2014").mkdir(parents=True)
    (own.parent / "val" / "0.png").rename(root / "coco" / "val2017" / "0.png")
    (own.parent / "val" / "1.png").rename(root / "coco2014" / "val2014" / "COCO_val2014_1.png")
    roots.use_root(root)
    paths = [s.images[0].path for s in samples_of("probe_class2box") if s.images]
    assert [p.relative_to(root).as_posix() for p in paths if p] == [
        "coco/val2017/0.png", "coco/val2017/0.png", "coco2014/val2014/COCO_val2014_1.png"
    ]  # fmt: skip


def test_published_figures_are_never_the_same_figure(own):
    rows = metadata_of("probe_box2class").get("published")
    assert {r["model"]: r["value"] for r in rows}["LLaVA-1.5"] == 59.8
    assert all(r["parser"] != "official" for r in rows)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty|ends too early"),
        ("[]", "is no COCO panoptic JSON"),
        ('{"images": []}', "no 'annotations'"),
        (
            '{"images": [], "annotations": [{"image_id": 3}]}',
            "of image 3, which 'images'",
        ),
        ('{"images": [{"id": 3}], "annotations": [{"image_id": 3}]}', "no 'file_name'"),
    ],
)
def test_broken_ground_truth(tmp_path, content, message):
    path = tmp_path / "p.json"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        read_panoptic(path)


def test_what_cannot_be_asked(tmp_path, own):
    with pytest.raises(MissingFileError, match="none.json"):
        samples_of(f"probe_box2class:{tmp_path}/none.json")
    with pytest.raises(ConfigError, match="unknown option 'image'"):
        samples_of(f"probe_box2class:{own}?image=x")
    grass = write(tmp_path / "grass", [[segment(1, 193, [0, 0, 1, 1])]])
    with pytest.raises(DataError, match="no countable object"):
        samples_of(f"probe_class2box:{grass}")
    unboxed = write(tmp_path / "unboxed", [[segment(1, 18, None)]])
    with pytest.raises(DataError, match="has no bbox"):
        samples_of(f"probe_class2box:{unboxed}")
    assert len(samples_of(f"probe_class2binary:{unboxed}")) == 1


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (".", "is no COCO panoptic JSON: a file_name in 'images' is '.', which names no file"),
        ("", "names no file"),
        ("/", "names no file"),
        ("a\0.png", "is no image path"),
        ("../x.png", "leaves the dataset folder"),
        ("n" * 300 + ".png", "too long"),
    ],
)
def test_image_names_of_no_file(own, name, said):
    value = json.loads(own.read_text())
    value["images"][0]["file_name"] = name
    own.write_text(json.dumps(value))
    with pytest.raises(DataError, match=said):
        open_image(samples_of(f"probe_class2binary:{own}")[0].images[0])
