"""Finds the field of a file of predictions that holds the model's answer, or refuses to guess.

A name alone does not tell: `answer` is the model's text in one toolkit and the reference in
another, `text` the answer or the question. Where names leave several fields, the dataset tells
what they are: a field that repeats its references, or its questions, is no answer.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from collavo.datasets.evaluation.answer_fields import (
    Role,
    holds_reply,
    inside,
    may_rival,
    named,
    role_of,
    texts_in,
)
from collavo.datasets.evaluation.answers import loosely_same_question
from collavo.datasets.evaluation.graded import GRADES, REVIEW, judged_fields
from collavo.datasets.evaluation.matching import match
from collavo.datasets.evaluation.prediction import fields_used, prediction_of
from collavo.datasets.registration.choices import LETTERS
from collavo.datasets.registration.readers.literals import literal
from collavo.datasets.registration.readers.rows import Row
from collavo.errors import DataError
from collavo.records import Sample

MOST = 0.9
"""Share of rows from which a field beside the model's is taken for the reference or the question:
releases of a benchmark differ in some labels and wordings."""

OPTION = "--answer-field NAME"


@dataclass(frozen=True)
class Choice:
    """The fields of a file of predictions.

    Args:
        field: Holds the model's answer; may be a dotted path.
        question: Holds the question where none of the usual fields does; "" where none.
        unused: The fields that are not used.
    """

    field: str
    question: str = ""
    unused: tuple[str, ...] = ()


def choose_field(
    rows: Sequence[Row], samples: Sequence[Sample], wanted: str = "", table: bool = False
) -> Choice:
    """Chooses the field that holds the model's answer.

    Args:
        rows: All rows of the file.
        samples: The questions that they answer; none where they are not known.
        wanted: The field that the user names.
        table: The rows are a table of VLMEvalKit's, which holds the dataset's own columns, too.

    Raises:
        DataError: No field could be the answer, or several; the message lists them.
    """
    fields = _Fields(rows, samples)
    if wanted:
        field = _wanted(rows, fields, wanted)
    else:
        rivals = _rivals(fields, table)
        if len(rivals) > 1 or (not rivals and not fields.graded):
            raise _refusal(rows, fields, rivals, table)
        field = rivals[0] if rivals else ""  # a file of grades holds no answers
    question = fields.question if fields.question != field else ""
    used = {*fields.aside, field.partition(".")[0] if field not in fields.texts else field}
    unused = tuple(name for name in fields.names if name not in used and name != question)
    return Choice(field, question, unused)


def _wanted(rows: Sequence[Row], fields: _Fields, wanted: str) -> str:
    for row in rows:
        try:
            inside(row.values, wanted)
        except KeyError:
            continue
        return wanted
    raise DataError(
        f"--answer-field {wanted!r}: no row of {_file(rows)} has it; there are "
        f"{named(fields.names)}"
    )


def _rivals(fields: _Fields, table: bool) -> list[str]:
    """The fields that could be the answer, after all that names and the dataset tell."""
    sure, either = fields.of(Role.MODEL), fields.of(Role.EITHER)
    # ten people's answers: several texts are no model's answer where one text stands beside them
    single = [name for name in either if name not in fields.several]
    either = single if sure or single else either
    # a model that said nothing: its field is there, and beside it the reference may stand
    sure = sure or fields.empty(Role.MODEL)
    if sure and (table or not fields.known):
        either = []  # the dataset's own columns; by names alone a sure one goes first
    elif sure:
        either = [
            name
            for name in either
            if may_rival(name) and not fields.is_question(name) and not fields.is_reference(name)
        ]
    elif table:
        either = []  # its `answer` is the dataset's own
    elif fields.known and len(either) + len(fields.of(Role.UNKNOWN)) > 1:
        either = _told_apart(fields, either)
    rivals = _different(fields, [*sure, *either])
    if not rivals and not table:
        rivals = _different(fields, fields.of(Role.READ)) or fields.empty(Role.EITHER)
    return rivals


def _told_apart(fields: _Fields, either: Sequence[str]) -> list[str]:
    """Drops questions and references where another field is left that may be the answer.

    A model may have every answer right: alone, a field that repeats the references stays.
    """
    left = [name for name in either if not fields.is_question(name)]
    unclear = fields.of(Role.UNKNOWN)
    references = [name for name in left if fields.is_reference(name, 1.0)]
    others = [name for name in left if name not in references]
    if references and others:
        return others
    if references and unclear:
        return [*references, *unclear]
    return left


def _different(fields: _Fields, names: Sequence[str]) -> list[str]:
    """Of fields that hold the same texts in every row the first."""
    kept: list[str] = []
    for name in names:
        texts = [text.strip() for text in fields.texts.get(name, ())]
        if not any(texts == [t.strip() for t in fields.texts.get(other, ())] for other in kept):
            kept.append(name)
    return kept


def _refusal(rows: Sequence[Row], fields: _Fields, rivals: Sequence[str], table: bool) -> DataError:
    where = _file(rows)
    if rivals:
        shown = ", ".join(f"{n!r} ({_example(fields.texts.get(n, ()))})" for n in rivals)
        return DataError(
            f"{where}: several fields could hold the model's answers: {shown}; "
            f"say which by {OPTION}"
        )
    unclear = fields.of(Role.UNKNOWN)
    hint = f"; {named(unclear)} may hold it: say so by {OPTION}" if unclear else ""
    held = [n for n in fields.of(Role.EITHER) if fields.known and fields.is_question(n)]
    if held:
        return DataError(f"{where}: {named(held)} holds the questions, and no field answers{hint}")
    if table:
        return DataError(
            f"{rows[0].place}: no field 'prediction'; it has {named(rows[0].values)}; "
            f"if one of them holds the model's answers, say which by {OPTION}"
        )
    return DataError(
        f"{rows[0].place}: no field 'answer' or 'text'; it has {named(rows[0].values)}{hint}"
    )


def _example(texts: Sequence[str]) -> str:
    return repr(next((text[:40] for text in texts if text.strip()), ""))


def _file(rows: Sequence[Row]) -> str:
    return rows[0].place.rpartition(", ")[0] or rows[0].place


class _Fields:
    """The fields of all rows, and what the dataset's questions tell of them."""

    def __init__(self, rows: Sequence[Row], samples: Sequence[Sample]) -> None:
        self.rows, self.samples = rows, samples
        self.names = list(dict.fromkeys(str(name) for row in rows for name in row.values))
        self.aside: set[str] = set()
        for row in rows:
            self.aside |= fields_used(row)
        judged = {name for row in rows for name in judged_fields(row.values)}
        self.graded = bool(judged)
        self.aside |= {"content"} if judged & {GRADES, REVIEW} else set()
        # rows of the dataset that were kept with the answers bring its own fields along
        self._datasets = set(samples[0].extra) if samples else set()
        self.several: set[str] = set()
        """Fields that hold several texts in a row."""
        self.texts: dict[str, list[str]] = {}
        for name in self.names:
            texts = self._texts(name) if name not in self.aside else []
            if any(text is not None for text in texts):
                self.texts[name] = [text or "" for text in texts]

    @property
    def known(self) -> bool:
        """Whether the dataset says anything of these rows."""
        return bool(self.samples) and bool(self._pairs)

    def of(self, role: Role) -> list[str]:
        """Lists the fields that hold texts and have this role."""
        extra = self._datasets if role is Role.UNKNOWN else set()
        return [n for n in self.texts if self._role(n) is role and n not in extra]

    def empty(self, role: Role) -> list[str]:
        """Lists the fields of this role that hold no text at all, the first of them alone."""
        held = [n for n in self.names if n not in self.texts and n not in self.aside]
        return [n for n in held if self._role(n) is role and self._is_empty(n)][:1]

    def _is_empty(self, name: str) -> bool:
        """Whether its values are no objects, such as a model's settings are."""
        return not any(isinstance(row.values.get(name), Mapping) for row in self.rows)

    def _role(self, name: str) -> Role:
        role = role_of(name)
        # MathVista's own scripts keep what they made of `response` under these two names
        if role is Role.MODEL and name == "prediction" and "extraction" in self.names:
            return Role.READ
        return role

    @cached_property
    def question(self) -> str:
        """The field that holds the questions where none of the usual names does; "" for none."""
        if any(row.values.get(name) for row in self.rows for name in ("question", "prompt")):
            return ""
        known = {loosely_same_question(sample.question) for sample in self.samples}
        for name in self.of(Role.EITHER):
            if _share(loosely_same_question(t) in known for t in self.texts[name]) >= MOST:
                return name
        return ""

    def is_question(self, name: str) -> bool:
        """Whether a field repeats the questions (a prompt holds the question)."""
        if name == self.question:
            return True
        texts = self.texts[name]
        return self._agrees(
            lambda sample, row: (
                loosely_same_question(sample.question) in loosely_same_question(texts[row])
            )
        )

    def is_reference(self, name: str, most: float = MOST) -> bool:
        """Whether a field repeats the references, in whatever form."""
        values = [row.values.get(name) for row in self.rows]
        known = (pair for pair in self._pairs if pair[0].answers)
        return _share(_repeats(sample, values[row]) for sample, row in known) >= most

    def _agrees(self, test: Callable[[Sample, int], bool]) -> bool:
        return _share(test(sample, row) for sample, row in self._pairs) >= MOST

    @cached_property
    def _pairs(self) -> list[tuple[Sample, int]]:
        """Each sample that a row is about, and the row's number."""
        numbered = [
            replace(prediction_of(row, None, self.question), answer=str(number))
            for number, row in enumerate(self.rows)
        ]
        found = match(self.samples, numbered).answers
        by_id = {sample.sample_id: sample for sample in self.samples}
        return [(by_id[sample_id], int(number)) for sample_id, number in found.items()]

    def _texts(self, name: str) -> list[str | None]:
        """Of each row the text, None where it has none."""
        found: list[str | None] = []
        for row in self.rows:
            value = row.values.get(name)
            texts = texts_in(value) if holds_reply(name, value) else []
            if len(texts) > 1:
                self.several.add(name)
            found.append("\n".join(texts) if texts else None)
        return found


def _share(tests: Iterator[bool]) -> float:
    told = list(tests)
    return sum(told) / len(told) if told else 0.0


def _repeats(sample: Sample, value: Any) -> bool:
    """Whether a value is the sample's reference: as text, letter, place of the option, or list."""
    if isinstance(value, bool):
        value = "yes" if value else "no"
    if isinstance(value, str) and value[:1] == "[":
        listed = literal(value)
        value = listed if isinstance(listed, list) else value
    if isinstance(value, list) and all(isinstance(x, Mapping) for x in value):
        value = [x.get("answer") for x in value]
    values = value if isinstance(value, list) else [value]
    wanted = {_folded(answer) for answer in sample.answers}
    options = sample.extra.get("choices")
    texts = list(options.values()) if isinstance(options, Mapping) else list(sample.options)
    letters = list(options) if isinstance(options, Mapping) else LETTERS
    for number, (letter, text) in enumerate(zip(letters, texts, strict=False)):
        if {_folded(letter), _folded(text)} & wanted:
            # places are counted from 0 or from 1
            wanted |= {_folded(letter), _folded(text), str(number), str(number + 1)}
    found = {_folded(x) for x in values if x is not None}
    return bool(found) and found <= wanted


def _folded(value: Any) -> str:
    text = unicodedata.normalize("NFKC", str(value)).casefold().strip(" \t\r\n.\"'()")
    text = {"true": "yes", "false": "no"}.get(text, text)
    return text.removesuffix(".0")
