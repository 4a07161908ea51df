"""The contract of an evaluator: samples and answers in, scores out, joined by sample id."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from collavo.errors import ConfigError, DataError
from collavo.records import Sample

if TYPE_CHECKING:
    from collavo.datasets.evaluation.judge.judge import Judge
    from collavo.datasets.evaluation.tally import Tally


@dataclass(frozen=True)
class SampleScore:
    """How one answer was read and judged.

    Args:
        parsed: The answer as read by the rule.
        reference: What it was compared with.
        correct: True or False, or a soft score in [0, 1]; None where the split hides the answers.
    """

    parsed: str | None
    reference: str | list[str] | None
    correct: bool | float | None


@dataclass(frozen=True)
class Evaluation:
    """The scores of one run on one dataset.

    Args:
        scores: Every figure that the authors print, nested by split or task, in the authors' units.
        headline: The figures that papers quote, by name ("mean_accuracy", "perception").
        units: The unit of each headline figure ("fraction", "percent", "points of 2000").
        per_sample: The judgement of each sample, by sample id.
        notes: Sentences for the reader, such as which file version was recognised.
        tables: Rows to print: title, column names, rows.
    """

    scores: Mapping[str, Any]
    headline: Mapping[str, float]
    units: Mapping[str, str]
    per_sample: Mapping[str, SampleScore]
    notes: Sequence[str] = ()
    tables: Sequence[Table] = field(default_factory=list)


@dataclass(frozen=True)
class Table:
    """One table of a report; cells are text or numbers."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | float | int | None]]


class Evaluator(ABC):
    """Scores answers. Knows nothing of models, files of answers or order.

    Args:
        parser: The rule that reads answers, where several are in use; "official" is the authors'.
    """

    family: ClassVar[str] = ""
    """The parsers `<family>.<name>` read its answers; "" where there is but the official way."""

    one_reference: ClassVar[bool] = False
    """Whether an answer is compared with the first of a question's references alone."""

    judge: Judge | None = None
    """The language model to ask where the rules need one; set by who calls `evaluate`."""

    judged: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
    """What a file of answers holds of earlier judgements, by sample id: grades, extractions."""

    def __init__(self, parser: str = "official") -> None:
        self.parser = parser

    def check_parser(self) -> None:
        """Finds out before any answer is there whether `parser` can read it.

        Raises:
            ConfigError: There is no such parser; the message lists those that there are.
        """
        from collavo.datasets.evaluation.parsing import parser_of

        if self.parser == "official":
            return
        if not self.family:
            raise ConfigError(
                f"there is no parser {self.parser!r}: {type(self).__name__} reads answers in one "
                "way, 'official'"
            )
        parser_of(self.family, self.parser)

    @abstractmethod
    def evaluate(
        self,
        samples: Sequence[Sample],
        answers: Mapping[str, str],
        metadata: Mapping[str, Any] | None = None,
    ) -> Evaluation:
        """Scores `answers`, which hold exactly one raw model text for each sample id.

        Args:
            samples: The dataset, in file order.
            answers: The raw text by sample id.
            metadata: The dataset's metadata (published figures, expected counts).

        Raises:
            ValueError: An id is missing or unknown; the ids are listed.
        """

    def submission(
        self,
        samples: Sequence[Sample],
        answers: Mapping[str, str],
        folder: Path,
        metadata: Mapping[str, Any] | None = None,
    ) -> list[Path]:
        """Writes what the benchmark's organisers score, in their exact format.

        Args:
            samples: The dataset, in file order.
            answers: The raw text by sample id.
            folder: Where to; it is there.
            metadata: The dataset's metadata; `name` can be a file's.

        Returns:
            The files; none where the organisers take no submissions.
        """
        return []

    def analyse(
        self,
        samples: Sequence[Sample],
        evaluation: Evaluation,
        crayon_texts: Mapping[str, str],
    ) -> list[Table]:
        """Returns further tables of a run, such as errors against what the segmenter saw.

        Args:
            samples: The dataset, in file order.
            evaluation: What `evaluate` returned for them.
            crayon_texts: The sentence about the objects in the image, by sample id.
        """
        return []

    def tally(
        self,
        samples: Sequence[Sample],
        answers: Mapping[str, str],
        evaluation: Evaluation,
    ) -> Tally | None:
        """Returns what headline figures are sums of, for fast confidence intervals.

        There are intervals without it: means of `per_sample` are found out, all else is scored
        anew for each resample.

        Args:
            samples: The dataset, in file order.
            answers: The raw text by sample id.
            evaluation: What `evaluate` returned for them.
        """
        return None

    def together(self, sample: Sample) -> str:
        """Names what is judged as one beyond the image (the rotations of a question); "" for none.

        Samples of one unit stay together when samples are drawn.
        """
        return str(sample.extra.get("group") or "")

    def stratum(self, sample: Sample) -> str:
        """Names the part of fixed size that the sample belongs to (a task); "" for none.

        Images are drawn within each part, so that none is missing from a sum over parts.
        """
        return ""

    def copy_of(self, sample: Sample, number: int) -> Sample:
        """Returns the sample as one about another image, of another unit: copy `number`, from 1."""
        from collavo.datasets.evaluation.tally import renamed

        return renamed(sample, number)


def join(samples: Sequence[Sample], answers: Mapping[str, str]) -> list[tuple[Sample, str]]:
    """Pairs each sample with its answer, by id.

    Raises:
        DataError: An id is missing or unknown; the ids are listed.
    """
    missing = [sample.sample_id for sample in samples if sample.sample_id not in answers]
    unknown = sorted(set(answers) - {sample.sample_id for sample in samples})
    if missing or unknown:
        listed = "; ".join(
            f"{len(ids)} {what}: {', '.join(ids[:5])}{', ...' if len(ids) > 5 else ''}"
            for what, ids in (("without an answer", missing), ("unknown", unknown))
            if ids
        )
        raise DataError(f"the answers do not fit the samples: {listed}")
    return [(sample, answers[sample.sample_id]) for sample in samples]
