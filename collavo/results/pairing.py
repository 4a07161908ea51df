"""Which stored runs may be compared sample by sample, and what differs in how they were made."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from collavo.errors import DataError
from collavo.results.report import flatten
from collavo.results.stored_runs import StoredRun

_SHOWN = 5
_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")


def check_pair(first: StoredRun, second: StoredRun, partial: bool) -> list[str]:
    """Refuses runs that cannot be paired sample by sample.

    Args:
        first: One run.
        second: The other.
        partial: Allow samples that only one of them has.

    Returns:
        Sentences about what is left out.

    Raises:
        DataError: They are of different datasets, versions or parsers, or have other samples.
    """
    if first.dataset != second.dataset:
        raise DataError(
            f"{first.path} is on {first.dataset!r}, {second.path} on {second.dataset!r}: runs are "
            "compared on one dataset"
        )
    if first.miniature != second.miniature:
        mini, other = (first, second) if first.miniature else (second, first)
        raise DataError(
            f"{mini.path} is on the built-in miniature of {first.dataset!r}, {other.path} is not"
        )
    if first.parser != second.parser:
        raise DataError(
            f"{first.path} was read by the parser {first.parser!r}, {second.path} by "
            f"{second.parser!r}: score both with one --parser"
        )
    both = [i for i in first.rows if i in second.rows]
    for what, read in (
        ("question", lambda row: row.question),
        ("image", lambda row: _file_stem(row.image)),
        ("reference", lambda row: row.reference),
    ):
        differ = [i for i in both if not _agree(read(first.rows[i]), read(second.rows[i]))]
        if differ:
            i = differ[0]
            raise DataError(
                f"{first.path} and {second.path} are of different versions of {first.dataset!r}: "
                f"{len(differ)} samples have another {what}, such as {i}: "
                f"{read(first.rows[i])!r} and {read(second.rows[i])!r}"
            )
    notes = []
    for here, there in ((first, second), (second, first)):
        extra = [i for i in here.rows if i not in there.rows]
        if extra:
            listed = ", ".join(extra[:_SHOWN]) + (", ..." if len(extra) > _SHOWN else "")
            message = f"{len(extra)} samples are in {here.path} only: {listed}"
            if not partial:
                raise DataError(f"{message}; --partial compares what both have")
            notes.append(message)
    return notes


def _file_stem(image: str) -> str:
    """The name of an image file without folders and ending; "" for other names (table cells)."""
    path = PurePosixPath(image.replace("\\", "/"))
    return path.stem if path.suffix.lower() in _ENDINGS else ""


def _agree(first: Any, second: Any) -> bool:
    """Whether two values are equal, or one of them was not stored."""
    return first == second or not first or not second


_ANSWERS = (
    *("MODEL.", "LLM.", "INPUT.", "SEGMENTER.", "CRAYON.MODE", "CRAYON.TEMPLATE", "GENERATION."),
    *("PROMPT.", "PIPELINE", "RESUME_FROM", "WEIGHT", "RANDOM_SEED", "DEVICE", "EVAL.SCORING"),
    *("EVAL.REUSE", "ENDPOINT.", "DATASETS.ROOT", "DATASETS.LAYOUT", "fingerprint."),
    *("versions.torch", "versions.transformers", "versions.bitsandbytes", "versions.peft"),
)
"""Items that can change an answer, by how their names begin; the fingerprint is made of them."""


def changes_answers(key: str) -> bool:
    """Whether a setting can change an answer; others change how it is scored, kept or shown."""
    return any(key == name or (name.endswith(".") and key.startswith(name)) for name in _ANSWERS)


def settings_that_differ(first: StoredRun, second: StoredRun) -> list[tuple[str, Any, Any]]:
    """Lists what differs in configuration, fingerprint and versions: key, first, second.

    What can change answers stands first: settings, then the fingerprint's items, then the rest.
    Nothing is listed where one of them was stored without its results.json.
    """
    if not (first.results and second.results):
        return []
    sides = [
        {
            **dict(flatten(run.results.get("config") or {})),
            **dict(flatten({"fingerprint": (run.results.get("fingerprint") or {}).get("items")})),
            **dict(flatten({"versions": run.results.get("versions") or {}})),
        }
        for run in (first, second)
    ]
    keys = sorted(dict.fromkeys([*sides[0], *sides[1]]), key=lambda k: not changes_answers(k))
    return [
        (key, sides[0].get(key), sides[1].get(key))
        for key in keys
        if sides[0].get(key) != sides[1].get(key)
    ]
