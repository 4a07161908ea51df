"""What the tests of datasets share: a clean root, and writers of small files."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from collavo.datasets.miniature.training import build
from collavo.datasets.registration import roots
from collavo.datasets.registration.coco_panoptic import COCO_PANOPTIC
from collavo.datasets.registration.layouts import use_layout
from collavo.records import Sample
from tests.datasets.training_rows import SCENES

BUILD = """
import sys
from collavo.datasets.miniature.build import miniature_root
print(miniature_root(), "torch" in sys.modules)
"""


@pytest.fixture(autouse=True)
def _no_root(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test begins without a root, and leaves none behind."""
    for name in roots.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    roots.use_root("")
    yield
    roots.use_root("")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The test's folder, which is the root; layouts are found."""
    roots.use_root(tmp_path)
    use_layout("auto")
    return tmp_path


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache below the test's folder."""
    monkeypatch.setenv("COLLAVO_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a document as JSON, or a text as it is, below the test's folder."""

    def write_file(rows: Any, name: str = "data.json", **how: Any) -> Path:
        path = tmp_path / name
        text = rows if isinstance(rows, str) else json.dumps(rows, **how)
        path.write_text(text, encoding="utf-8")
        return path

    return write_file


@pytest.fixture
def write_lines(tmp_path: Path) -> Callable[[str, list[Any]], Path]:
    """Writes rows as JSON lines below the test's folder."""

    def write(name: str, rows: list[Any]) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    return write


@pytest.fixture
def png() -> bytes:
    """An encoded image of 40 x 20 pixels."""
    buffer = io.BytesIO()
    Image.new("RGB", (40, 20)).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.fixture
def write_tree(tmp_path: Path) -> Callable[[str, Any], Path]:
    """Writes JSON lines (.jsonl), text, or else JSON; the test's folder becomes the root."""

    def write(name: str, value: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".jsonl"):
            value = "".join(json.dumps(row) + "\n" for row in value)
        path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
        roots.use_root(tmp_path)
        return path

    return write


@pytest.fixture
def write_parquet(tmp_path: Path) -> Callable[[str, list[dict[str, Any]]], Path]:
    """Writes rows as parquet below the test's folder."""

    def write(name: str, rows: list[dict[str, Any]]) -> Path:
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows), path)
        return path

    return write


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """The miniature, built by a process of its own into an empty cache."""
    cache = tmp_path_factory.mktemp("cache")
    environment = {**os.environ, "COLLAVO_CACHE": str(cache), "PYTHONPATH": str(repository)}
    run = subprocess.run(
        [sys.executable, "-c", BUILD],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    folder, with_torch = run.stdout.split()
    assert with_torch == "False", "the miniature is drawn without torch"
    assert [str(path) for path in cache.iterdir()] == [folder]
    return Path(folder)


@pytest.fixture(scope="session")
def truth(built: Path) -> dict[str, list[dict[str, Any]]]:
    """The segments of each image of the miniature by the image's stem, with their class names."""
    names = {category.id: category.name for category in COCO_PANOPTIC}
    document = json.loads((built / "panoptic" / "panoptic_val.json").read_text())
    files = {entry["id"]: entry["file_name"] for entry in document["images"]}
    return {
        str(Path(files[entry["image_id"]]).with_suffix("")): [
            {**segment, "name": names[segment["category_id"]]} for segment in entry["segments_info"]
        ]
        for entry in document["annotations"]
    }


@pytest.fixture
def rooted(built: Path) -> Path:
    """The miniature is the root."""
    roots.use_root(built)
    return built


@pytest.fixture(scope="session")
def best() -> Callable[[Sample], str]:
    """Finds what most annotators answer; "anything" where nobody did."""
    return lambda sample: (Counter(sample.answers) or Counter(["anything"])).most_common(1)[0][0]


@pytest.fixture(scope="session")
def said(best: Callable[[Sample], str]) -> Callable[[Sample], str]:
    """Finds the right answer in words: the option that a letter names."""

    def words(sample: Sample) -> str:
        answer = best(sample)
        chosen = sample.options and len(answer) == 1
        return sample.options["ABCDEF".index(answer)] if chosen else answer

    return words


@pytest.fixture(scope="session")
def training_scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first training scenes of the miniature, with all their files."""
    folder = tmp_path_factory.mktemp("training") / "scenes"
    build.write(folder, SCENES, processes=1)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the images a.png, b.png and images/c.png."""
    (tmp_path / "images").mkdir()
    for number, name in enumerate(("a.png", "b.png", "images/c.png")):
        Image.new("RGB", (8, 6), (number * 50, 90, 40)).save(tmp_path / name)
    return tmp_path
