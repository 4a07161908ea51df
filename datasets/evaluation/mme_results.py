"""MME's official result files, `<task>.txt` with image, question, label and answer in columns."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from collavo.datasets.evaluation.answers import same_question
from collavo.datasets.registration.mme_tree import TASKS, label_of
from collavo.datasets.registration.readers.text import lines_of
from collavo.errors import DataError
from collavo.records import Sample

_COLUMNS = 4


def result_files(path: Path) -> dict[str, Path]:
    """Finds the result files in a folder (or the one file), by task; none: an empty dict."""
    if path.is_dir():
        return {task: path / f"{task}.txt" for task in TASKS if (path / f"{task}.txt").is_file()}
    return {path.stem: path} if path.suffix == ".txt" and path.stem in TASKS else {}


def read_results(path: Path) -> tuple[list[Sample], dict[str, str]]:
    """Reads result files as they are: they hold questions, labels and answers.

    A line that has fewer columns goes on with the answer of the line above, which held a line end.

    Returns:
        The samples, and the raw answers by sample id.

    Raises:
        DataError: A file holds no answers or is broken; the message names file and line.
    """
    samples: list[Sample] = []
    answers: dict[str, str] = {}
    seen: Counter[str] = Counter()
    for task, file in result_files(path).items():
        last = ""
        for line in lines_of(file):
            cells = line.text.split("\t", _COLUMNS - 1)
            if len(cells) < _COLUMNS:
                if not last or len(cells) == _COLUMNS - 1:
                    raise DataError(
                        f"{line.place}: expected image, question, label and answer separated by "
                        f"tabs, found {len(cells)} columns: {line.text[:80]!r}"
                    )
                answers[last] += "\n" + line.text
                continue
            image, question, label, answer = cells
            stem = Path(image).stem
            last = f"mme:{task}/{stem}/{same_question(question)}"
            seen[last] += 1
            last += f"#{seen[last]}" if seen[last] > 1 else ""
            samples.append(
                Sample(
                    sample_id=last,
                    images=(),
                    question=question,
                    question_id=f"{task}/{image}",
                    answers=(label_of(label, line.place),),
                    category=task,
                    extra={"image": f"{task}/{stem}"},
                )
            )
            answers[last] = answer
    return samples, answers
