"""The command `score`: scores stored answers, without a model and without images."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collavo.errors import EXIT_OK, ConfigError, DataError, UserError

if TYPE_CHECKING:
    from collavo.datasets.evaluation.base import Evaluation, Evaluator, Table
    from collavo.datasets.evaluation.matching import Matching
    from collavo.datasets.evaluation.predictions import Answers
    from collavo.records import Sample
    from collavo.results.report import Report

logger = logging.getLogger(__name__)

SHOWN = 20
"""Ids listed of each kind before a message says how many more there are."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own options."""
    parser.add_argument(
        "--dataset", required=True, metavar="NAME", help="such as pope_test, mme; or a path"
    )
    parser.add_argument(
        "--predictions", required=True, metavar="FILE", type=Path,
        help="JSON lines with question_id and answer (or LLaVA's text), our predictions.jsonl, "
        "lmms-eval's log, VLMEvalKit's xlsx; for MME also the folder of official result files",
    )  # fmt: skip
    parser.add_argument(
        "--answer-field", metavar="NAME", default="",
        help="the field of the file that holds the model's answers, where several could "
        "(also a path: choices.0.message.content)",
    )  # fmt: skip
    parser.add_argument("--output", metavar="FILE", type=Path, help="also write the JSON here")
    parser.add_argument(
        "--submission", metavar="DIR", type=Path,
        help="also write the file that the benchmark's organisers score, in their format",
    )  # fmt: skip
    parser.add_argument(
        "--parser", metavar="NAME",
        help="the rule that reads the answers, short for EVAL.PARSER; see `list parsers`",
    )  # fmt: skip
    parser.add_argument(
        "--partial", action="store_true",
        help="score what is there although answers are unknown, missing or doubled",
    )  # fmt: skip
    parser.add_argument(
        "--miniature", action="store_true", help="score against the built-in miniature"
    )
    parser.add_argument(
        "--judge", metavar="MODEL",
        help="the language model that judges, short for JUDGE.MODEL; see JUDGE.* in docs/config.md",
    )  # fmt: skip
    parser.add_argument(
        "--dry-run", action="store_true", help="count what the judge would be asked, and stop"
    )


def run(args: argparse.Namespace) -> int:
    """Scores the answers, prints the tables, and on the last line one JSON object."""
    from collavo.config import get_cfg
    from collavo.datasets.evaluation.judge.calls import PlannedError
    from collavo.datasets.registration.catalog import metadata_of
    from collavo.datasets.registration.layouts import use_files
    from collavo.datasets.registration.names import dataset_name
    from collavo.registry import EVALUATORS
    from collavo.results.files import plain
    from collavo.results.scored import Scored
    from collavo.results.statistics import headline_intervals
    from collavo.results.table import print_report

    overrides = [*args.overrides, *(["JUDGE.MODEL", args.judge] if args.judge else [])]
    cfg = get_cfg(args.conf_files, overrides, args.config_overrides)
    use_files(cfg, args.miniature)
    args.dataset = dataset_name(args.dataset)
    metadata = metadata_of(args.dataset).as_dict()
    name = cfg.EVALUATOR or metadata.get("evaluator_type", "")
    if not name:
        raise ConfigError(f"dataset {args.dataset!r} names no evaluator; set EVALUATOR")
    evaluator: Evaluator = EVALUATORS.get(name)(args.parser or cfg.EVAL.PARSER)
    evaluator.check_parser()
    given = _given(args, EVALUATORS.canonical(name))
    evaluator.judged = given.matching.judged
    try:
        evaluation = _evaluate(cfg, args, evaluator, given, metadata)
    except PlannedError as planned:
        print(json.dumps(plain({"dataset": args.dataset, "dry_run": asdict(planned.plan)})))
        return EXIT_OK
    report = _report_of(args, metadata, given, evaluation, evaluator.parser)
    scored = Scored(evaluator, given.samples, given.answers, evaluation, metadata)
    report = replace(report, intervals=headline_intervals(scored, cfg.EVAL.BOOTSTRAP))
    result = {**evaluation.headline, **report.as_dict()}
    del result["tables"]
    if args.submission:
        result["submission"] = _submit(args, evaluator, given, metadata)
    if args.output:
        _write(args.output, result | {"per_sample": _per_sample(given, evaluation)})
    print_report(report)
    print(json.dumps(plain(result)))
    return EXIT_OK


def _evaluate(
    cfg: Any,
    args: argparse.Namespace,
    evaluator: Evaluator,
    given: _Given,
    metadata: Mapping[str, Any],
) -> Evaluation:
    """Scores, with the judge that is asked for."""
    from collavo.datasets.evaluation.judge.build import judge_of
    from collavo.datasets.evaluation.judge.calls import Plan, PlannedError
    from collavo.datasets.registration.generic import folder_name

    store = Path(cfg.SAVE_DIR or ".") / "judgements" / f"{folder_name(args.dataset)}.jsonl"
    judge = evaluator.judge = judge_of(cfg, store, args.dry_run)
    if args.dry_run and judge is None:
        raise ConfigError("--dry-run counts what a judge would be asked: name one by --judge")
    evaluation = evaluator.evaluate(given.samples, given.answers, metadata)
    if judge is not None and not judge.asked:
        if args.dry_run:
            raise PlannedError(Plan(0, 0, 0, 0, 0))
        logger.warning(
            "the judge %r was not asked: %s, as the parser %r reads it, needs none",
            *(judge.model, args.dataset, evaluator.parser),
        )
    return evaluation


class _Given:
    """The samples to score and their answers, and what did not fit."""

    def __init__(
        self,
        samples: Sequence[Sample],
        matching: Matching,
        root: str,
        mini: bool = False,
        read: Answers | None = None,
    ) -> None:
        from collavo.datasets.evaluation.echoes import repeat_questions, repeat_references

        self.expected = len(samples)
        self.samples = [s for s in samples if s.sample_id in matching.answers]
        self.answers = matching.answers
        self.matching = matching
        self.root = root
        self.miniature = mini
        self.field = read.field if read else ""
        self.unused = read.unused if read else ()
        self.repeats_questions = repeat_questions(self.samples, self.answers)
        self.repeats_references = repeat_references(self.samples, self.answers)


def _given(args: argparse.Namespace, evaluator: str) -> _Given:
    from collavo.datasets.evaluation import mme_results
    from collavo.datasets.evaluation.matching import Matching, match
    from collavo.datasets.evaluation.predictions import read_answers
    from collavo.datasets.registration.catalog import samples_of
    from collavo.datasets.registration.readers.opened import recording
    from collavo.datasets.registration.roots import named_root, root

    if evaluator == "mme" and mme_results.result_files(args.predictions):
        samples, answers = mme_results.read_results(args.predictions)
        logger.info("the official result files hold their own labels: no dataset root is read")
        return _Given(samples, Matching(answers), "the official result files")
    try:
        with recording() as opened:
            samples = samples_of(args.dataset)
    except ConfigError as error:
        raise ConfigError(
            f"score needs the dataset: {error}; --miniature scores against the built-in miniature"
        ) from error
    place = root() if args.miniature else named_root()
    read = read_answers(args.predictions, samples, args.answer_field)
    matching = match(samples, read.predictions)
    if not matching.complete:
        report = _other_release(args.dataset, len(samples), len(read.predictions))
        report = report or _report(matching)
        if not args.partial:
            raise DataError(
                f"{args.predictions} does not answer {args.dataset} exactly once each:\n{report}\n"
                "--partial scores what fits"
            )
        logger.warning("scoring a part only (--partial):\n%s", report)
    if not matching.answers:
        raise DataError(f"{args.predictions} answers no question of {args.dataset}")
    where = f"{place.path} (from {place.source})" if place else "none"
    given = _Given(samples, matching, where, place is not None and place.miniature, read)
    _refuse_echoes(args, given, opened)
    return given


def _refuse_echoes(args: argparse.Namespace, given: _Given, opened: Iterable[Path]) -> None:
    """Refuses answers that are the dataset's own questions or references, and says what may be so.

    Raises:
        DataError: The answers are the questions; or the references, in the dataset's own file.
    """
    field = f"field {given.field!r} of {args.predictions}"
    if given.repeats_questions and not args.answer_field:
        raise DataError(
            f"{field} holds the questions of {args.dataset}, not answers to them; "
            "say by --answer-field NAME which field holds the answers"
        )
    if not given.repeats_references:
        return
    own = any(file.exists() and file.samefile(args.predictions) for file in opened)
    if own and not args.answer_field:
        raise DataError(
            f"{args.predictions} is the dataset's own file, and its field {given.field!r} the "
            "reference; give a file of answers, or say by --answer-field NAME which field holds "
            "them"
        )
    logger.warning(
        "every answer in %s is its reference to the letter; if the field holds the references, "
        "say by --answer-field NAME which one holds the model's answers", field,
    )  # fmt: skip


def _other_release(dataset: str, questions: int, answers: int) -> str:
    """Says that files and answers are of different releases, where their counts tell; else ""."""
    from collavo.datasets.registration.catalog import metadata_of

    expected = metadata_of(dataset).get("expected") or {}
    now = expected.get("questions") or 0
    counts = {sum(now.values()) if isinstance(now, Mapping) else now: "the present release"}
    counts |= {n: name for name, n in (expected.get("other_releases") or {}).items()}
    if questions == answers or questions not in counts or answers not in counts:
        return ""
    return (
        f"The dataset's files are of {counts[questions]} ({questions:,} questions) and the answers "
        f"of {counts[answers]} ({answers:,}): place the files that were answered, or answer these."
    )


def _report(matching: Matching) -> str:
    from collavo.datasets.evaluation.matching import DIFFERS

    lines = []
    for what, ids in (
        ("unknown", matching.unknown),
        ("missing", matching.missing),
        ("doubled", matching.doubled),
    ):
        if ids:
            more = f"\n  ... and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
            listed = "".join(f"\n  {_printable(i)}" for i in ids[:SHOWN])
            lines.append(f"{len(ids)} {what}:{listed}{more}")
    if any(reason.endswith(DIFFERS) for reason in matching.unknown):
        lines.append("The answers may be of another release of the dataset's files.")
    return "\n".join(lines)


def _printable(text: str) -> str:
    """Shortens a text and escapes what terminals and files cannot hold."""
    text = text if len(text) <= 200 else text[:197] + "..."
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _report_of(
    args: argparse.Namespace,
    metadata: Mapping[str, Any],
    given: _Given,
    evaluation: Evaluation,
    parser: str,
) -> Report:
    from collavo.datasets.registration.catalog import notes_of
    from collavo.results.report import Counts, Flags, Report

    found = given.matching
    notes = list(notes_of(args.dataset))
    if given.unused:
        shown = ", ".join(repr(name) for name in given.unused)
        notes.append(f"answers read from {given.field!r}; fields of their file not used: {shown}")
    tables = list(evaluation.tables)
    parsers = evaluation.scores.get("parsers", {})
    if parsers:
        tables.append(_parser_table(parsers))
    return Report(
        dataset=args.dataset,
        counts=Counts(given.expected, len(given.answers), given.expected - len(given.answers)),
        flags=Flags(
            miniature=given.miniature,
            subset=bool(found.missing),
            repeats_references=given.repeats_references,
            repeats_questions=given.repeats_questions,
        ),
        evaluation=evaluation,
        tables=tables,
        published=list(metadata.get("published", ())),
        parser=parser,
        data_notes=notes,
        about={
            "predictions": str(args.predictions),
            "answer_field": given.field,
            "unused_fields": list(given.unused),
            "root": given.root,
            "unknown": len(found.unknown),
            "missing": len(found.missing),
            "doubled": len(found.doubled),
        },
    )


def _parser_table(parsers: Mapping[str, Mapping[str, float]]) -> Table:
    from collavo.datasets.evaluation.base import Table

    columns = list(next(iter(parsers.values())))
    rows: list[list[str | float | int | None]] = [
        [name, *(figures[c] for c in columns)] for name, figures in parsers.items()
    ]
    return Table("The same answers, read by each rule", ("parser", *columns), rows)


def _per_sample(given: _Given, evaluation: Evaluation) -> list[dict[str, Any]]:
    from collavo.engine.fingerprint import image_label

    return [
        {
            "sample_id": sample.sample_id,
            "question_id": sample.question_id,
            "category": sample.category,
            "question": sample.question,
            "image": image_label(*sample.images) or str(sample.extra.get("image") or ""),
            "answer": given.answers[sample.sample_id],
            **asdict(evaluation.per_sample[sample.sample_id]),
        }
        for sample in given.samples
    ]


def _submit(
    args: argparse.Namespace, evaluator: Evaluator, given: _Given, metadata: Mapping[str, Any]
) -> list[str]:
    from collavo.datasets.registration.generic import folder_name

    folder: Path = args.submission
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot make --submission {folder}: {error}; choose another folder"
        ) from error
    named = {**metadata, "name": folder_name(args.dataset)}
    files = evaluator.submission(given.samples, given.answers, folder, named)
    if not files:
        raise ConfigError(
            f"the organisers of {args.dataset!r} take no submissions: leave --submission out"
        )
    if len(given.answers) < given.expected:
        logger.warning("the submission lacks %d answers", given.expected - len(given.answers))
    return [str(file) for file in files]


def _write(path: Path, result: Mapping[str, Any]) -> None:
    from collavo.results.files import plain, write_text

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(plain(result), indent=1) + "\n")
    except OSError as error:
        raise UserError(f"cannot write --output {path}: {error}; choose another file") from error
