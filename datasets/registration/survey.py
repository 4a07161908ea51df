"""Surveys a dataset: questions, images and files against what its owners publish."""

from __future__ import annotations

import hashlib
import math
import os
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from collavo.datasets.registration.catalog import (
    follows_root,
    metadata_of,
    notes_of,
    samples_of,
)
from collavo.datasets.registration.layouts import layout_of
from collavo.datasets.registration.readers.opened import recording
from collavo.datasets.registration.roots import root
from collavo.errors import DataError, MissingFileError
from collavo.records import ImageRef, Sample

PROMPTS = 3
_BLOCK = 1 << 20


@dataclass
class Survey:
    """What was found of a dataset.

    Args:
        dataset: Its name.
        about: Facts by name, as JSON holds them.
        problems: Sentences; none where all is well.
        notes: Sentences that are no problems.
        missing: Images that are not there, with the reason.
        broken: Images that cannot be opened, with the reason.
    """

    dataset: str
    about: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Returns all of it for JSON."""
        return {
            "dataset": self.dataset,
            **self.about,
            "missing": self.missing,
            "broken": self.broken,
            "problems": self.problems,
            "notes": self.notes,
        }


def survey(
    name: str,
    prompt: Callable[[Sample], str] | None = None,
    quick: bool = False,
    moved: Callable[[int, int], None] = lambda done, of: None,
) -> Survey:
    """Reads a dataset and opens its images.

    Args:
        name: A registered name, or a dataset by path.
        prompt: Words the question of a sample.
        quick: Only look whether image files are there; hash nothing.
        moved: Called with the images done, and how many there are.

    Raises:
        UserError: The dataset cannot be read.
    """
    with recording() as files:
        metadata = metadata_of(name)
        samples = samples_of(name)
    found = Survey(name, notes=list(notes_of(name)))
    place = root() if follows_root(name) else None
    found.about |= {
        "description": metadata.get("description", ""),
        "root": str(place.path) if place else None,
        "layout": layout_of(name),
        "miniature": bool(place and place.miniature),
        "files": [_file(path, quick) for path in files],
    }
    found.about["files_digest"] = _digest_of(found.about["files"])
    shows_images = metadata.get("shows_images", True)
    _questions(found, samples, metadata.get("expected") or {}, shows_images)
    _images(found, samples, metadata.get("expected") or {}, quick, moved)
    if prompt is not None:
        found.about["prompts"] = _prompts(found, samples, prompt)
    return found


def _file(path: Path, quick: bool) -> dict[str, Any]:
    digest = None
    if not quick:
        total = hashlib.sha256()
        with path.open("rb") as stream:
            while block := stream.read(_BLOCK):
                total.update(block)
        digest = total.hexdigest()
    return {"path": str(path), "bytes": path.stat().st_size, "sha256": digest}


def _digest_of(files: Sequence[Mapping[str, Any]]) -> str | None:
    """One digest of all files, whatever their order and the folder they lie in."""
    if any(file["sha256"] is None for file in files):
        return None
    lines = sorted(f"{file['sha256']}  {Path(file['path']).name}\n" for file in files)
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _questions(
    found: Survey, samples: Sequence[Sample], expected: Mapping[str, Any], shows_images: bool
) -> None:
    categories = Counter(s.category for s in samples if s.category)
    found.about |= {
        "questions": len(samples),
        "categories": dict(sorted(categories.items())),
        "answers_hidden": sum(not s.answers for s in samples),
        "without_image": sum(not s.images for s in samples),
        "without_text": sum(not s.question.strip() for s in samples),
        "repeated_ids": sum(_is_repeat(s) for s in samples),
        "options": dict(sorted(Counter(len(s.options) for s in samples if s.options).items())),
        "expected": dict(expected),
    }
    if not samples:
        found.problems.append("there are no questions")
    elif found.about["without_image"] == len(samples) and shows_images:
        found.problems.append(
            "no question has an image: put the images there, or, where the questions are meant to "
            "be asked without (a dataset by path), say ?images=none"
        )
    if found.about["without_text"]:
        found.notes.append(
            f"{found.about['without_text']} questions have no text: their file holds labels alone, "
            "which serve to score answers"
        )
    wanted = expected.get("questions")
    if found.about["miniature"] or wanted is None:
        return
    parts: Mapping[str, int] = wanted if isinstance(wanted, Mapping) else {"": wanted}
    total = sum(parts.values())
    others = {int(n): what for what, n in (expected.get("other_releases") or {}).items()}
    if len(samples) in others and len(samples) != total:
        found.notes.append(f"{len(samples)} questions: {others[len(samples)]}")
        return
    if len(samples) != total:
        found.problems.append(f"{len(samples)} questions; its owners publish {total}")
    for part, count in parts.items():
        if part in categories and categories[part] != count:
            found.problems.append(f"{part}: {categories[part]} questions instead of {count}")


def _is_repeat(sample: Sample) -> bool:
    key, mark, number = sample.sample_id.rpartition("#")
    return bool(mark and key) and number.isdecimal()


def _images(
    found: Survey,
    samples: Sequence[Sample],
    expected: Mapping[str, Any],
    quick: bool,
    moved: Callable[[int, int], None],
) -> None:
    refs: dict[Hashable, ImageRef] = {}
    asked: Counter[Hashable] = Counter()
    for sample in samples:
        for image in sample.images:
            key = _key(image)
            refs.setdefault(key, image)
            asked[key] += 1
    judged = _judge(list(refs.values()), quick, moved)
    digests: dict[Hashable, str] = {}
    sizes: list[tuple[int, int]] = []
    for (key, ref), (digest, size, error) in zip(refs.items(), judged, strict=True):
        if isinstance(error, MissingFileError):
            found.missing.append(f"{ref.label}: {error}")
        elif error is not None:
            found.broken.append(str(error))
        digests[key] = digest or f"not read: {key!r}"
        sizes += [size] if size else []
    named = all(ref.path is not None for ref in refs.values())
    per_image: Counter[Any] = Counter()
    for key, count in asked.items():
        per_image[key if named or quick else digests[key]] += count
    counts = sorted(per_image.values())
    histogram = dict(sorted(Counter(counts).items()))
    found.about |= {
        "images": len(per_image),
        "contents": None if quick else len(set(digests.values())),
        "smallest": list(min(sizes, key=_area)) if sizes else None,
        "largest": list(max(sizes, key=_area)) if sizes else None,
        "questions_per_image": {
            "min": counts[0] if counts else 0,
            "mean": round(sum(counts) / len(counts), 2) if counts else 0.0,
            "max": counts[-1] if counts else 0,
            "images": {str(k): n for k, n in histogram.items()},
        },
    }
    for what, listed in (("missing", found.missing), ("broken", found.broken)):
        if listed:
            those = "1 image is" if len(listed) == 1 else f"{len(listed)} images are"
            found.problems.append(f"{those} {what}")
    wanted = expected.get("images")
    if wanted is None or found.about["miniature"] or (quick and not named):
        return
    if len(per_image) != wanted:
        whole = not any("questions" in problem for problem in found.problems)
        said = f"{len(per_image)} images; its owners publish {wanted}"
        (found.notes if found.notes and whole else found.problems).append(said)


def _key(ref: ImageRef) -> Hashable:
    if ref.path is not None:
        return ref.path
    if ref.cell is not None and isinstance(ref.cell, Hashable):
        return ref.cell
    return id(ref)


def _area(size: Iterable[int]) -> int:
    return math.prod(size)


_Judged = tuple[str, "tuple[int, int] | None", "DataError | MissingFileError | None"]


def _judge(
    refs: Sequence[ImageRef], quick: bool, moved: Callable[[int, int], None]
) -> Iterable[_Judged]:
    """Opens images in threads; returns digest, width and height, and error of each, in order."""
    look = _look if quick else _open
    found: list[_Judged] = []
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1), "images") as pool:
        for done, judged in enumerate(pool.map(look, refs), start=1):
            found.append(judged)
            moved(done, len(refs))
    return found


def _look(ref: ImageRef) -> _Judged:
    if ref.path is not None:
        try:
            if ref.path.stat().st_size == 0:
                return "", None, DataError(f"image {ref.label} is empty (0 bytes)")
        except OSError as error:
            return "", None, MissingFileError(error.strerror or str(error))
    return "", None, None


def _open(ref: ImageRef) -> _Judged:
    from collavo.datasets.mappers.image import open_image

    there = _look(ref)
    if there[2] is not None:
        return there
    try:
        data = ref.read()
        image = open_image(ImageRef(data=data, name=ref.label))
    except MissingFileError as error:
        return "", None, error
    except DataError as error:
        return "", None, error
    except OSError as error:
        return "", None, DataError(f"image {ref.label} cannot be read: {error}")
    return hashlib.sha256(data).hexdigest(), image.size, None


def _prompts(
    found: Survey, samples: Sequence[Sample], prompt: Callable[[Sample], str]
) -> list[dict[str, Any]]:
    """Words three questions: the first, one of the middle, the last."""
    places = sorted({0, len(samples) // 2, len(samples) - 1}) if samples else []
    worded = []
    for place in places[:PROMPTS]:
        sample = samples[place]
        try:
            text = prompt(sample)
        except DataError as error:
            found.notes.append(str(error))
            continue
        names = [i.path.name if i.path is not None else i.label for i in sample.images]
        image = ", ".join(names) or None
        worded.append({"sample_id": sample.sample_id, "image": image, "prompt": text})
    return worded
