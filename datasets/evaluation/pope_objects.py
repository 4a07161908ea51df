"""POPE's errors against what the segmenter saw: does the model err where its crayon does?"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from collavo.datasets.evaluation.base import Evaluation, Table
from collavo.datasets.registration.coco_panoptic import CLEAN_NAMES
from collavo.records import Sample

# Some 246 of the authors' questions say "imange".
_QUESTION = re.compile(
    r"\s*is there (?:an? )?(.+?) in the (?:im\w+|picture|photo)\b", re.IGNORECASE
)
_OBJECT = re.compile(r"\((?:#\d+ )?([^()]+)\) \[")

SEEN, UNSEEN, UNKNOWN = "seen", "not seen", "not a class"


def asked_object(question: str) -> str:
    """Returns the object that "Is there a(n) X in the image?" asks for, else ""."""
    match = _QUESTION.match(question)
    return match.group(1).strip().lower() if match else ""


def named_objects(crayon_text: str) -> frozenset[str]:
    """Returns the class names in a Crayon Prompt's sentence: "(#1 dog) [0.1, ...], ..."."""
    return frozenset(name.strip().lower() for name in _OBJECT.findall(crayon_text))


def sight(question: str, crayon_text: str) -> str:
    """Tells whether the crayon names the asked object: `SEEN`, `UNSEEN` or `UNKNOWN`."""
    asked = asked_object(question)
    if asked in named_objects(crayon_text):
        return SEEN
    return UNSEEN if asked in CLEAN_NAMES else UNKNOWN


def object_table(
    samples: Sequence[Sample],
    evaluation: Evaluation,
    crayon_texts: Mapping[str, str],
) -> Table:
    """Crosses what the segmenter saw with the answers, apart for objects present and absent.

    The segmenter hits when it sees a present object or does not see an absent one.

    Args:
        samples: POPE's samples, labelled.
        evaluation: Their judgements.
        crayon_texts: The crayon's sentence, by sample id; samples without one are left out.
    """
    counts: Counter[tuple[str, str, bool]] = Counter()
    for sample in samples:
        judged = evaluation.per_sample.get(sample.sample_id)
        if judged is None or judged.correct is None or sample.sample_id not in crayon_texts:
            continue
        present = "present" if judged.reference == "yes" else "absent"
        seen = sight(sample.question, crayon_texts[sample.sample_id])
        counts[present, seen, bool(judged.correct)] += 1
    rows: list[list[str | float | int | None]] = []
    for present in ("present", "absent"):
        for seen in (SEEN, UNSEEN, UNKNOWN):
            right, wrong = counts[present, seen, True], counts[present, seen, False]
            if right + wrong or seen != UNKNOWN:
                verdict = _verdict(present, seen)
                share = right / (right + wrong) if right + wrong else None
                rows.append([present, seen, verdict, right, wrong, share])
    return Table(
        "POPE: answers against what the segmenter saw",
        ("object", "segmenter", "hit/miss", "right", "wrong", "accuracy"),
        rows,
    )


def _verdict(present: str, seen: str) -> str:
    if seen == UNKNOWN:
        return "-"
    return "hit" if (present == "present") == (seen == SEEN) else "miss"
