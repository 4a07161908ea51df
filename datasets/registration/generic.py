"""Datasets without code: a table or a list of one's own, named by its path.

    tsv:/path/file.tsv                          VLMEvalKit's columns
    jsonl:/path/file.jsonl?metric=vqa           one object a line, or a JSON array
    hf:/path/folder?split=test&config=name      parquet files of a Hugging Face dataset

Behind "?" may stand, joined by "&": `metric` (yes_no, choice, multi, circular, vqa, exact, text,
anls, relaxed, or an evaluator's name), `pipeline`, `evaluator`, `image_root`, `images` (first: of
several images only the first is shown; none: no image is); for hf `split` and `config`. What is
left out is deduced from the rows, see `kind_of`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl

from collavo.datasets.registration.generic_rows import COPY, generic_samples
from collavo.datasets.registration.readers.hub import hf_rows
from collavo.datasets.registration.readers.notes import collecting, note
from collavo.datasets.registration.readers.opened import note_opened
from collavo.datasets.registration.readers.rows import Row, read_rows
from collavo.datasets.registration.readers.tsv import tsv_rows
from collavo.errors import ConfigError, DataError
from collavo.records import Sample

KINDS = ("tsv", "jsonl", "json", "hf")

METRICS = {
    "yes_no": ("yes_no", "yes_no"),
    "choice": ("choice", "choice"),
    "multi": ("multi_choice", "multi_choice"),
    "circular": ("choice", "mmbench"),
    "vqa": ("short_answer", "vqa_accuracy"),
    "exact": ("short_answer", "exact_match"),
    "text": ("short_answer", "short_answer"),
    "anls": ("short_answer", "anls"),
    "relaxed": ("short_answer", "relaxed_accuracy"),
}
"""Metric -> pipeline and evaluator."""

MANY_REFERENCES = 5
"""References of a question from which on VQA's soft accuracy is meant (VQA has ten)."""

_OPTIONS = ("metric", "pipeline", "evaluator", "image_root", "images")
_NAME = re.compile(rf"(?P<kind>{'|'.join(KINDS)}):(?P<path>[^?]+)(?:\?(?P<options>.*))?", re.DOTALL)
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Generic:
    """A dataset's name, taken apart.

    Args:
        name: The whole name.
        kind: One of `KINDS`.
        path: The file or folder.
        options: What stands behind "?".
    """

    name: str
    kind: str
    path: Path
    options: dict[str, str] = field(default_factory=dict)

    def rows(self) -> Iterable[Row]:
        """Reads the rows.

        Raises:
            MissingFileError: The file is not there.
            DataError: It is broken.
        """
        root = self._image_root()
        wanted = self.options.get("images") != "none"
        if self.kind == "tsv":
            return tsv_rows(self.path, image_root=root, find_images=wanted)
        if self.kind == "hf":
            split = self.options.get("split", "test")
            return hf_rows(self.path, split, self.options.get("config"), root, wanted)
        return read_rows(self.path)

    def samples(self) -> list[Sample]:
        """Reads the samples.

        Raises:
            MissingFileError: The file is not there.
            DataError: A row is broken.
        """
        root = self._image_root()
        choice = self.options.get("images", "refuse")
        # the folder of a Hugging Face dataset is its own, that of a file the one it lies in
        folder = self.path if self.kind == "hf" else self.path.parent
        found = generic_samples(self.path.stem, self.rows(), folder, root, choice)
        if not found:
            raise DataError(f"{self.path} holds no rows")
        return found

    def _image_root(self) -> Path | None:
        named = self.options.get("image_root")
        return Path(named).expanduser() if named else None


def is_generic(name: str) -> bool:
    """Tells whether a dataset's name is a path with its kind."""
    return _NAME.fullmatch(name) is not None


def parse_name(name: str) -> Generic:
    """Takes a name apart.

    Raises:
        ConfigError: It has an unknown option.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise ConfigError(f"{name!r} is no dataset by path: <{'|'.join(KINDS)}>:<path>[?options]")
    options = dict(parse_qsl(match["options"] or "", keep_blank_values=True))
    known = (*_OPTIONS, *(("split", "config") if match["kind"] == "hf" else ()))
    unknown = [option for option in options if option not in known]
    if unknown:
        raise ConfigError(
            f"dataset {name!r}: unknown option {unknown[0]!r} behind '?'; "
            f"there are {', '.join(known)}"
        )
    if options.get("images", "first") not in ("first", "none"):
        raise ConfigError(
            f"dataset {name!r}: images is {options['images']!r}; it may be first or none"
        )
    return Generic(name, match["kind"], Path(match["path"]).expanduser(), options)


def kind_of(samples: Sequence[Sample]) -> str:
    """Deduces the metric of a dataset.

    Options make it `choice`, `multi` where a question has several right ones, or `circular` where
    the questions are repeated with their options rotated; many references make it `vqa`; answers
    that are all yes or no `yes_no`; else it is `text`.
    """
    if any(sample.extra.get("choices") for sample in samples):
        if any(len(s.answers) > 1 for s in samples if s.extra.get("choices")):
            return "multi"
        return "circular" if _rotated(samples) else "choice"
    answers = [s.answers for s in samples if s.answers]
    many = sum(len(a) >= MANY_REFERENCES for a in answers)
    if 2 * many > len(answers):
        return "vqa"
    words = [_distinct(a) for a in answers]
    # annotators who disagree leave no one reference that yes or no could be scored against
    return "yes_no" if words and all(w in ({"yes"}, {"no"}) for w in words) else "text"


def _distinct(answers: Iterable[str]) -> set[str]:
    return {text.strip().lower().rstrip(".") for text in answers}


def _rotated(samples: Sequence[Sample]) -> bool:
    """Whether ids that differ by millions are copies: one question, image and set of options."""
    numbered = {s.question_id: s for s in samples if isinstance(s.question_id, int)}
    pairs = [
        (s, numbered[i % COPY]) for i, s in numbered.items() if i >= COPY and i % COPY in numbered
    ]
    copies = sum(_about(copy) == _about(first) for copy, first in pairs)
    if 0 < copies < len(pairs):
        note(
            f"{copies} of the {len(pairs)} questions whose ids differ by millions from another's "
            "are copies of it with other places of the options, and the others are not, so all "
            "are scored one by one; metric=circular scores them together"
        )
    return bool(pairs) and copies == len(pairs)


def _about(sample: Sample) -> tuple[str, list[str], list[str | None]]:
    # images inside a table may be written anew for each copy, files are the same or others
    images = [str(image.path) if image.path else None for image in sample.images]
    return sample.question, sorted(sample.options), images


def register_generic(name: str) -> None:
    """Registers a dataset by path, with the pipeline and the evaluator that fit its rows.

    Raises:
        ConfigError: An option is unknown.
        MissingFileError: The file is not there.
        DataError: A row is broken.
        UnknownNameError: There is no such metric, pipeline or evaluator.
    """
    from collavo.datasets.registration.which_catalog import DatasetCatalog, MetadataCatalog
    from collavo.registry import EVALUATORS, PIPELINES

    source = parse_name(name)
    with collecting() as notes:
        samples = source.samples()
        metric = source.options.get("metric") or kind_of(samples)
    if metric in METRICS:
        pipeline, evaluator = METRICS[metric]
    else:
        evaluator = EVALUATORS.canonical(metric)
        pipeline = METRICS[kind_of(samples)][0]
    pipeline = PIPELINES.canonical(source.options.get("pipeline") or pipeline)
    evaluator = EVALUATORS.canonical(source.options.get("evaluator") or evaluator)
    _refuse_several(name, evaluator, samples)
    DatasetCatalog.register(name, _Kept(source, samples, notes))
    MetadataCatalog.get(name).set(
        pipeline=pipeline,
        evaluator_type=evaluator,
        answer_type=PIPELINES.get(pipeline).answer_type,
        description=f"{source.path.name}: {len(samples)} questions, scored by {evaluator}",
        own_files=True,
        shows_images=source.options.get("images") != "none",
    )


def _refuse_several(name: str, evaluator: str, samples: Sequence[Sample]) -> None:
    """Refuses to score questions with several references by the first of them alone.

    Raises:
        ConfigError: The evaluator knows one right option, or one of yes and no.
    """
    from collavo.registry import EVALUATORS

    # beside questions with options those without have references that any answer may equal
    asked = [s for s in samples if s.options] or samples
    several = [s for s in asked if len(_distinct(s.answers)) > 1]
    one = getattr(EVALUATORS.get(evaluator), "one_reference", False) if several else False
    if one:
        first = f"{several[0].sample_id}: {', '.join(several[0].answers[:4])}"
        raise ConfigError(
            f"dataset {name!r}: {len(several)} questions have several right answers (first "
            f"{first}), which {evaluator!r} does not score: use metric=multi for several right "
            "options, metric=vqa or text for answers of several people"
        )


class _Kept:
    """Reads a dataset again only where its file has changed since: large tables take long.

    Args:
        source: The dataset.
        samples: What was read of it.
        notes: What was left aside.
    """

    def __init__(self, source: Generic, samples: list[Sample], notes: dict[str, list[str]]) -> None:
        self._source, self._samples, self._state = source, samples, _state(source.path)
        self._notes = notes

    def __call__(self) -> list[Sample]:
        state = _state(self._source.path)
        if state is None or state != self._state:
            with collecting() as self._notes:
                self._samples, self._state = self._source.samples(), state
        else:
            note_opened(self._source.path)
        for what, places in self._notes.items():
            for place in places:
                note(what, place)
        return list(self._samples)


def _state(path: Path) -> tuple[int, int] | None:
    """What changes with a file; None for a folder, or where nothing is there."""
    try:
        info = path.stat()
    except OSError:
        return None
    return (info.st_mtime_ns, info.st_size) if path.is_file() else None


def folder_name(name: str) -> str:
    """Returns a name that can be a folder's: the dataset's own, of a path its stem and a digest."""
    if _SAFE.fullmatch(name):
        return name
    source = parse_name(name) if is_generic(name) else None
    stem = f"{source.kind}-{source.path.stem}" if source else name
    whole = f"{name}\0{source.path.absolute()}" if source else name
    digest = hashlib.sha256(whole.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{re.sub('[^A-Za-z0-9._-]+', '_', stem)[:80]}-{digest}"
