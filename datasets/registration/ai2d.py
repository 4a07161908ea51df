"""AI2D: multiple choice about diagrams of school science (Kembhavi et al., 2016).

Layouts under `<root>/ai2d`: CoLLaVO's `ai2d_test.json` with `ai2d_images/{images,abc_images}`; the
authors' release (`questions/`, `annotations/`, `images/`, `ai2d_test_ids.csv`); a copy of
lmms-lab/ai2d; VLMEvalKit's table; InternVL's and MoVA's list, with the options in the question.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from collavo.datasets.evaluation.answers import without_suffix
from collavo.datasets.registration.ai2d_letters import LetteredImage
from collavo.datasets.registration.choices import (
    ANNOTATIONS,
    LETTERS,
    by_letter,
    first_file,
    lettered,
    optional_text,
    published,
    repeated,
    right_letter,
    texts_of,
)
from collavo.datasets.registration.layouts import (
    Layout,
    cell_ref,
    hf_layout,
    load_layouts,
    tsv_layout,
)
from collavo.datasets.registration.readers.rows import Row, read_json, read_rows
from collavo.datasets.registration.readers.text import read_text
from collavo.datasets.registration.roots import image_ref
from collavo.datasets.registration.which_catalog import DatasetCatalog, MetadataCatalog
from collavo.errors import DataError
from collavo.records import ImageRef, Sample, one_image

_FOLDERS = ("ai2d", "AI2D")
_IDS = ("ai2d_test_ids.csv", "../ai2d_test_ids.csv")
_LISTS = (*ANNOTATIONS, "test.jsonl", "ai2d_test.jsonl", "mova_ai2d_test.jsonl")
_IMAGES = ("ai2d_images/images", "images")
_LETTERED = ("ai2d_images/abc_images", "abc_images")


def load_ai2d() -> list[Sample]:
    """Reads AI2D's test questions.

    Raises:
        MissingFileError: No layout is there.
        DataError: A file or a record is broken.
    """
    return load_layouts(
        "ai2d",
        _FOLDERS,
        (
            Layout("original", first_file("ai2d_test.json"), _original, "ai2d_test.json"),
            Layout("authors", _release, _authors, "ai2d_test_ids.csv, questions/, annotations/"),
            hf_layout("test", lambda rows: repeated(map(_hf_sample, enumerate(rows)))),
            tsv_layout(("AI2D_TEST.tsv",), lambda rows: repeated(map(_tsv_sample, rows))),
            Layout("annotations", first_file(*_LISTS), _listed, " or ".join(_LISTS)),
        ),
    )


def _original(file: Path) -> list[Sample]:
    rows = (
        Row(row.place, {**row.values, **Row(row.place, _mapping(row, "metadata")).values})
        for row in read_rows(file)
    )
    return repeated(_sample(row, file.parent) for row in rows)


def _mapping(row: Row, name: str) -> Mapping[str, Any]:
    value = row.need(name)
    if not isinstance(value, Mapping):
        raise DataError(f"{row.place}: {name!r} must be an object, got {type(value).__name__}")
    return value


def _release(folder: Path) -> Path | None:
    """The folder of the authors' release, which may lie in another of its own name."""
    for base in (folder, folder / "ai2d"):
        if (base / "questions").is_dir() and any((base / x).is_file() for x in _IDS):
            return base
    return None


def _authors(folder: Path) -> list[Sample]:
    ids = next(folder / name for name in _IDS if (folder / name).is_file())
    return repeated(_sample(row, folder) for row in _questions(folder, read_text(ids).split()))


def _questions(folder: Path, ids: Iterable[str]) -> Iterator[Row]:
    """Yields the questions about the images whose numbers `ids` gives, one row each."""
    for word in ids:
        name = f"{word.strip().strip(',').removesuffix('.png')}.png"
        file = folder / "questions" / f"{name}.json"
        if "/" in name or "\0" in name:
            raise DataError(f"{folder}: the list of test images holds {word!r:.40}, no number")
        if not _is_file(file):
            continue  # a diagram that nothing is asked about
        value = read_json(file)
        asked = value.get("questions") if isinstance(value, dict) else None
        if not isinstance(asked, dict):
            raise DataError(f"{file}: no object 'questions'")
        for text, fields in asked.items():
            place = f"{file}, question {text[:40]!r}"
            if not isinstance(fields, dict):
                raise DataError(f"{place}: expected an object, got {type(fields).__name__}")
            yield Row(place, {**fields, "question": text, "imageName": name})


def _sample(row: Row, folder: Path) -> Sample:
    options = texts_of(row, "answerTexts")
    letters = bool(row.values.get("abcLabel"))
    name = row.text("imageName")
    answer = row.values.get("correctAnswer")
    return Sample(
        sample_id=f"ai2d:{row.key('questionId')}",
        images=one_image(_image(folder, name, letters, row.place)),
        question=row.text("question"),
        question_id=row.key("questionId"),
        options=options,
        answers=right_letter(answer, by_letter(options), row.place),
        category="abc" if letters else "plain",
        extra={"image": f"{'abc_images' if letters else 'images'}/{name}"},
    )


def _image(folder: Path, name: str, letters: bool, place: str) -> ImageRef:
    """Refers to a diagram; one with letters is drawn where the authors' own is not there."""
    plain = _first(folder, _IMAGES)
    if not letters:
        return image_ref(plain, name, place)
    drawn = image_ref(_first(folder, _LETTERED), name, place)
    annotation = folder / "annotations" / f"{name}.json"
    if _is_file(drawn.path) or not _is_file(annotation):
        return drawn
    source = image_ref(plain, name, place)
    assert source.path is not None, "image_ref gives a path"
    return ImageRef(cell=LetteredImage(source.path, annotation), name=f"abc_images/{name}")


def _is_file(path: Path | None) -> bool:
    try:
        return path is not None and path.is_file()
    except (OSError, ValueError):  # a name that is too long, or holds a NUL
        return False


def _first(folder: Path, names: tuple[str, ...]) -> Path:
    return next((folder / x for x in names if (folder / x).is_dir()), folder / names[0])


def _hf_sample(numbered: tuple[int, Row]) -> Sample:
    number, row = numbered
    options = texts_of(row, "options")
    return Sample(
        sample_id=f"ai2d:{number}",
        images=one_image(cell_ref(row, "image")),
        question=row.text("question"),
        question_id=number,
        options=options,
        answers=right_letter(_number(row.need("answer")), by_letter(options), row.place),
    )


def _number(answer: Any) -> Any:
    return int(answer) if isinstance(answer, str) and answer.strip().isdecimal() else answer


def _tsv_sample(row: Row) -> Sample:
    options = lettered(row)
    answer = optional_text(row, "answer")
    return Sample(
        sample_id=f"ai2d:{row.key('index')}",
        images=one_image(cell_ref(row, "image")),
        question=row.text("question"),
        question_id=row.key("index"),
        options=tuple(options.values()),
        answers=right_letter(answer, options, row.place),
        category=optional_text(row, "category"),
        extra={"choices": options},
    )


def _listed(file: Path) -> list[Sample]:
    return repeated(_listed_sample(row, file.parent) for row in read_rows(file))


def _listed_sample(row: Row, folder: Path) -> Sample:
    """Reads a row with `image`, `question`, `answer`; its options are given or in the question."""
    question = row.text("question")
    options = texts_of(row, "options") if row.values.get("options") else ()
    if not options:
        question, options = split_options(question, row.place)
    name = row.text("image").split("AI2D_TEST/")[-1]
    inner, _, base = name.rpartition("/")
    letters = inner.endswith("abc_images")
    key = row.key("question_id", "id")
    others = [str(row.key("id"))] if row.values.get("id") is not None else []
    return Sample(
        sample_id=f"ai2d:{key}",
        images=one_image(_image(folder, base, letters, row.place)),
        question=question,
        question_id=key,
        options=options,
        answers=right_letter(row.need("answer"), by_letter(options), row.place),
        category="abc" if letters else "plain",
        extra={"image": name, "other_ids": tuple(others)},
    )


def split_options(text: str, place: str) -> tuple[str, tuple[str, ...]]:
    r"""Takes "\nA. x\nB. y" and the instruction behind it off a question.

    Raises:
        DataError: No options are there.
    """
    text = without_suffix(text)
    starts: list[re.Match[str]] = []
    for letter in LETTERS:
        begin = starts[-1].end() if starts else 0
        found = re.compile(rf"(?:^|\n){letter}\. ").search(text, begin)
        if found is None:
            break
        starts.append(found)
    if len(starts) < 2:
        raise DataError(f"{place}: neither 'options' nor lettered options in the question")
    ends = [match.start() for match in starts[1:]] + [len(text)]
    options = tuple(text[m.end() : end] for m, end in zip(starts, ends, strict=True))
    return text[: starts[0].start()], options


DatasetCatalog.register("ai2d", load_ai2d)
MetadataCatalog.get("ai2d").set(
    pipeline="ai2d",
    evaluator_type="ai2d",
    benchmark="ai2d",
    config_block="AI2D",
    answer_type="choice",
    description="AI2D test: multiple choice about diagrams of school science",
    expected={"questions": 3088, "images": 1191},
    published=[
        {**row, "parser": "collavo"}
        for row in published(
            "accuracy",
            "percent",
            [
                ("CoLLaVO-7B", 78.7, "arXiv:2402.11248, Figure 1 (read off the plot)"),
                ("GPT-4V", 78.2, "arXiv:2402.11248, Figure 1"),
            ],
        )
    ],
)
