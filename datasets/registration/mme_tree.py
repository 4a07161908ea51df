"""MME's task folders: which tasks there are, and the questions that the folders hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from collavo.datasets.registration.readers.tabs import tab_cells
from collavo.datasets.registration.readers.text import Line
from collavo.errors import DataError

PERCEPTION = (
    "existence",
    "count",
    "position",
    "color",
    "posters",
    "celebrity",
    "scene",
    "landmark",
    "artwork",
    "OCR",
)
COGNITION = (
    "commonsense_reasoning",
    "numerical_calculation",
    "text_translation",
    "code_reasoning",
)
TASKS = (*PERCEPTION, *COGNITION)
"""The authors' tasks in their order (calculation.py of MME's eval_tool)."""

_IMAGE_ENDS = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class Question:
    """One question of MME.

    Args:
        task: One of `TASKS`.
        image: The image's path below the benchmark's folder.
        text: The question, with its instruction.
        answer: "yes" or "no".
        key: The id of a question list; empty where there is none.
        place: File and line, for messages.
    """

    task: str
    image: str
    text: str
    answer: str
    key: str | int
    place: str


def label_of(text: str, place: str) -> str:
    """Reads a label.

    Raises:
        DataError: It is neither yes nor no.
    """
    label = text.strip().lower()
    if label not in ("yes", "no"):
        raise DataError(f"{place}: the label must be Yes or No, got {text[:40]!r}")
    return label


def read_tree(folder: Path) -> Iterator[Question]:
    """Yields the questions of the task folders (or of the result files), task by task.

    Raises:
        DataError: A line is broken, an image has no questions, or not two.
    """
    for task in TASKS:
        questions = list(_task(folder, task))
        for (image, place), count in _per_image(questions).items():
            if count != 2:
                raise DataError(
                    f"{place}: MME asks two questions about each image, found {count} about "
                    f"{image!r}; fetch {task} again"
                )
        yield from questions


def _per_image(questions: list[Question]) -> Counter[tuple[str, str]]:
    first = {question.image: question.place for question in reversed(questions)}
    return Counter((question.image, first[question.image]) for question in questions)


def _task(folder: Path, task: str) -> Iterator[Question]:
    if (folder / f"{task}.txt").is_file():
        yield from _file(folder / f"{task}.txt", folder, task, {})
        return
    base = folder / task
    if not base.is_dir():
        return
    inner = base / "questions_answers_YN"
    texts = sorted((inner if inner.is_dir() else base).glob("*.txt"))
    pictures = base / "images" if (base / "images").is_dir() else base
    images = {
        file.stem: file.relative_to(folder).as_posix()
        for file in sorted(pictures.iterdir())
        if file.suffix.lower() in _IMAGE_ENDS
    }
    stems = {file.stem for file in texts}
    if task not in stems:
        for stem, image in images.items():
            if stem not in stems:
                raise DataError(f"{folder / image} has no questions: {stem}.txt is missing")
    for file in texts:
        yield from _file(file, folder, task, images)


def _file(file: Path, folder: Path, task: str, images: dict[str, str]) -> Iterator[Question]:
    """Reads `question, answer` lines, or `image, question, label[, answer]` lines."""
    for line, cells in tab_cells(file, ("question", "answer")):
        if len(line.text.split("\t")) > 2:
            image, question, label = line.text.split("\t")[:3]
        else:
            image, question, label = file.stem, *cells
        path = images.get(Path(image).stem) or _unseen(folder, task, image, line)
        answer = label_of(label, line.place)
        yield Question(task, path, question.strip(), answer, "", line.place)


def _unseen(folder: Path, task: str, image: str, line: Line) -> str:
    """Names an image that is not there, as for scoring without images."""
    stem = Path(image.strip()).stem
    if not stem or "/" in image or "\\" in image or stem in (".", ".."):
        raise DataError(f"{line.place}: {image!r} is no image name")
    end = Path(image).suffix.lower()
    inner = "images/" if (folder / task / "images").is_dir() else ""
    return f"{task}/{inner}{stem}{end if end in _IMAGE_ENDS else '.jpg'}"
