"""MME: yes/no questions in 14 tasks, two an image (Fu et al., 2023, arXiv:2306.13394).

Layouts under `<root>/MME_Benchmark_release_version`: the authors' task folders (flat, or with
`images/` and `questions_answers_YN/`), or result files `<task>.txt` with three or four columns,
alone or with a question list `llava_mme.json` (CoLLaVO) or `.jsonl` (LLaVA); a list whose rows
hold the answers needs no task folders. Or the parquet files of `lmms-lab/MME`, or `MME.tsv`.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from collavo.datasets.evaluation.answers import YES_OR_NO, same_question, without_suffix
from collavo.datasets.registration.layouts import (
    Layout,
    cell_ref,
    hf_layout,
    load_layouts,
    tsv_layout,
)
from collavo.datasets.registration.mme_tree import TASKS, Question, label_of, read_tree
from collavo.datasets.registration.readers.rows import Row, read_rows
from collavo.datasets.registration.roots import HOW_TO_SET, image_ref, root
from collavo.datasets.registration.which_catalog import DatasetCatalog, MetadataCatalog
from collavo.errors import DataError, MissingFileError
from collavo.records import ImageRef, Sample, one_image

logger = logging.getLogger(__name__)

_FOLDERS = (
    "MME_Benchmark_release_version/MME_Benchmark",
    "MME_Benchmark_release_version",
    "MME_Benchmark",
    "MME",
    "mme",
)
_LISTS = ("llava_mme.json", "llava_mme.jsonl")
_LABELLED_LISTS = ("annotations.jsonl", "annotations.json", "mme.jsonl", "mme.json")
_IMAGE_NAME = re.compile(r"\.(?:jpe?g|png|webp|bmp)$", re.IGNORECASE)


def load_mme() -> list[Sample]:
    """Reads MME's questions and labels.

    Raises:
        MissingFileError: Nothing of MME is there.
        DataError: A file or a record is broken, or a question has no label.
    """
    files = f"the task folders ({TASKS[0]}, {TASKS[1]}, ...) or {', '.join(_LISTS)}"
    return load_layouts(
        "mme",
        _FOLDERS,
        (
            Layout("original", _find, _read, files),
            hf_layout("test", _from_table),
            tsv_layout(("MME.tsv",), _from_table),
        ),
    )


def _find(folder: Path) -> Path | None:
    inside = (*TASKS, *(f"{task}.txt" for task in TASKS), *_LISTS, *_LABELLED_LISTS)
    return folder if any((folder / name).exists() for name in inside) else None


def _read(folder: Path) -> list[Sample]:
    tree = list(read_tree(folder))
    for name in _LISTS if tree else (*_LISTS, *_LABELLED_LISTS):
        if (folder / name).is_file():
            return _samples(folder, list(_listed(folder / name, tree)), {})
    if not tree:
        raise MissingFileError(f"{folder}: MME's task folders are empty; {HOW_TO_SET}")
    return _samples(folder, tree, {})


def _from_table(rows: Iterable[Row]) -> list[Sample]:
    """Reads Hugging Face's rows, whose ids are image paths, or VLMEvalKit's."""
    questions = []
    refs: dict[str, ImageRef | None] = {}
    for row in rows:
        ref = cell_ref(row, "image")
        task = _task_of(row.text("category"), row.place)
        image = str(row.values.get("image_path") or row.need("question_id", "index"))
        if not _IMAGE_NAME.search(image):  # no name in the row: the image's content is one
            image = ref.digest() if ref else image
        image = f"{task}/{image.replace(chr(92), '/').rsplit('/', 1)[-1]}"
        refs.setdefault(image, ref)
        answer = label_of(row.text("answer"), row.place)
        key = row.key("question_id", "index")
        questions.append(Question(task, image, row.text("question"), answer, key, row.place))
    return _samples(root().path, questions, refs)


def _samples(
    folder: Path, questions: list[Question], refs: dict[str, ImageRef | None]
) -> list[Sample]:
    absent = [task for task in TASKS if task not in {question.task for question in questions}]
    if absent and not root().miniature:
        logger.warning("MME in %s has no questions of %s", folder, ", ".join(absent))
    seen: Counter[str] = Counter()
    return [_sample(folder, question, seen, refs) for question in questions]


def _sample(
    folder: Path, question: Question, seen: Counter[str], refs: dict[str, ImageRef | None]
) -> Sample:
    stem = Path(question.image).stem
    key = f"mme:{question.task}/{stem}/{same_question(question.text)}"
    seen[key] += 1
    if question.image not in refs:
        refs[question.image] = image_ref(folder, question.image, question.place)
    return Sample(
        sample_id=key + (f"#{seen[key]}" if seen[key] > 1 else ""),
        images=one_image(refs[question.image]),
        question=f"{without_suffix(question.text)} {YES_OR_NO}",
        question_id=question.key or question.image,
        answers=(question.answer,),
        category=question.task,
        extra={"image": question.image, "other_ids": (f"{question.task}/{stem}",)},
    )


def _listed(file: Path, tree: list[Question]) -> Iterator[Question]:
    """Yields the questions of a list, their answers from its rows or from the task folders."""
    index = {(q.task, Path(q.image).stem, same_question(q.text)): q for q in tree}
    for row in read_rows(file):
        image = row.text("image")
        named_task = row.text("category") if row.values.get("category") else image.split("/")[0]
        task = _task_of(named_task, row.place)
        text = row.text("text", "question")
        named = index.get((task, Path(image).stem, same_question(text)))
        answer = _answer(row)
        if named is None and answer is None:
            raise DataError(
                f"{row.place}: the task folders beside {file.name} hold no such question about "
                f"{image!r}: {text[:80]!r}; take both from one release, or remove {file.name}"
            )
        yield Question(
            task=task,
            image=named.image if named else _below_task(file.parent, task, image),
            text=named.text if named else text,
            answer=named.answer if named else str(answer),
            key=row.key("question_id", "id"),
            place=row.place,
        )


def _task_of(name: str, place: str) -> str:
    if name not in TASKS:
        raise DataError(f"{place}: {name!r} is no task of MME; its tasks: {', '.join(TASKS)}")
    return name


def _answer(row: Row) -> str | None:
    for name in ("answer", "label"):
        if row.values.get(name) is not None:
            return label_of(row.text(name), row.place)
    return None


def _below_task(folder: Path, task: str, image: str) -> str:
    """Finds an image that a list names with or without its task folder."""
    choices = (image, f"{task}/{image}", f"{task}/images/{image}")
    named = image if image.startswith(f"{task}/") else choices[1]
    return next((x for x in choices if "\0" not in x and (folder / x).is_file()), named)


DatasetCatalog.register("mme", load_mme)
MetadataCatalog.get("mme").set(
    pipeline="mme",
    evaluator_type="mme",
    benchmark="mme",
    config_block="MME",
    answer_type="yes_no",
    description="MME: yes/no questions in 14 perception and cognition tasks, two an image",
    expected={"questions": {"perception": 2114, "cognition": 260}, "images": 1187},
    published=[
        {
            "model": model,
            "metric": metric,
            "value": value,
            "unit": unit,
            "parser": "official",
            "source": "arXiv:2402.11248, Table 1",
        }
        for model, *values in (
            ("CoLLaVO-7B", 1689.7, 525.0),
            ("LLaVA-1.5-7B", 1510.7, 293.8),
            ("LLaVA-1.5-13B", 1531.3, 295.4),
            ("Qwen-VL-Chat-7B", 1487.5, 360.7),
            ("ShareGPT4V-7B", 1567.4, 376.4),
            ("InternLM-XC-7B", 1528.4, 391.1),
            ("BLIP2-13B", 1293.8, 290.0),
        )
        for metric, unit, value in zip(
            ("perception", "cognition"), ("points of 2000", "points of 800"), values, strict=True
        )
    ],
)
