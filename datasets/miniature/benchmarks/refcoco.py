"""RefCOCO, RefCOCO+ and RefCOCOg in miniature: sentences, and boxes of exact masks.

Source of the rules: testA asks for persons, testB for other things; RefCOCO+ never says where a
thing is (Yu et al., 2016, arXiv:1608.00272); RefCOCOg has whole sentences (Mao et al.,
arXiv:1511.02283). Every sentence is true of one object alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from collavo.datasets.miniature.files import write_lines
from collavo.datasets.miniature.gallery import BLOCK, Gallery
from collavo.datasets.miniature.questions import PHRASES, article_of, related
from collavo.datasets.miniature.scenes import Scene, Thing
from collavo.datasets.miniature.shapes.catalog import SHAPES

IMAGES = 7
"""Images of each of val, testA and testB; the three sets share them."""

ROWS = 24
"""Sentences of a split at the most."""

_SPLITS = (
    ("REC_refcoco_unc_val", "refcoco", "val", (0, 1, 2)),
    ("REC_refcoco_unc_testA", "refcoco", "testA", (0,)),
    ("REC_refcoco_unc_testB", "refcoco", "testB", (1,)),
    ("REC_refcoco+_unc_val", "refcocoplus", "val", (0, 1, 2)),
    ("REC_refcoco+_unc_testA", "refcocoplus", "testA", (0,)),
    ("REC_refcoco+_unc_testB", "refcocoplus", "testB", (1,)),
    ("REC_refcocog_umd_val", "refcocog", "validation", (1, 2)),
    ("REC_refcocog_umd_test", "refcocog", "test", (0, 1)),
)
"""File, set, the name of the split in the rows, and which thirds of the images it takes."""


def write(root: Path) -> list[tuple[str, Scene]]:
    """Writes one list a split into `RefCOCO`, and the images of train2014."""
    gallery = Gallery(root / "coco2014" / "train2014", 17)
    thirds = _images(gallery)
    sentence_id = 0
    for file, name, split, taken in _SPLITS:
        rows = []
        for drawn in (drawn for third in taken for drawn in thirds[third]):
            for sentence, thing in _sentences(name, split, drawn):
                sentence_id += 1
                rows.append(_row(name, split, drawn, sentence, thing, sentence_id))
        step = -(-len(rows) // ROWS)
        write_lines(root / "RefCOCO" / f"{file}.jsonl", rows[::step])
    return gallery.entries


def _images(gallery: Gallery) -> tuple[list[Scene], ...]:
    """Draws scenes with people, scenes of other things alone, and scenes as they come."""
    thirds: tuple[list[Scene], ...] = ([], [], [])
    for drawn in gallery.scenes(BLOCK // 2):
        third = next((t for t in (_kind(drawn), 2) if len(thirds[t]) < IMAGES), None)
        if third is not None:
            gallery.put(_name(drawn), drawn)
            thirds[third].append(drawn)
        if all(len(listed) == IMAGES for listed in thirds):
            break
    return thirds


def _kind(drawn: Scene) -> int:
    return 0 if drawn.of("person") else 1


def _name(drawn: Scene) -> str:
    return f"COCO_train2014_{drawn.seed:012d}.jpg"


def _sentences(name: str, split: str, drawn: Scene) -> Iterator[tuple[str, Thing]]:
    """Yields what tells one object from all others of the scene."""
    things = [t for t in drawn.things if split not in ("testA", "testB") or _asked(split, t)]
    words = {"refcoco": _phrases, "refcocoplus": _looks, "refcocog": _descriptions}[name]
    for thing in things:
        for sentence in words(drawn, thing):
            yield sentence, thing


def _phrases(drawn: Scene, thing: Thing) -> Iterator[str]:
    """RefCOCO: how it looks and where it is."""
    where, alone = _where(drawn, thing), len(drawn.of(thing.name)) == 1
    if where:
        yield f"{where} {thing.name}"
    share = thing.center[0] / drawn.image.width
    if alone and abs(share - 0.5) > 0.15:
        yield f"{thing.name} on the {'left' if share < 0.5 else 'right'}"
    if _unique(drawn, thing):
        yield _colored(thing)


def _looks(drawn: Scene, thing: Thing) -> Iterator[str]:
    """RefCOCO+: how it looks alone."""
    if len(drawn.of(thing.name)) == 1:
        yield f"the {thing.name}"
    if _unique(drawn, thing) and _colored(thing) != thing.name:
        yield _colored(thing)


def _descriptions(drawn: Scene, thing: Thing) -> Iterator[str]:
    """RefCOCOg: long ones, with what is near."""
    if not _unique(drawn, thing):
        return
    colored = _colored(thing)
    place = f"{article_of(drawn.place)} {drawn.place}"
    yield f"{article_of(colored)} {colored} in the picture of {place}"
    for first, where, second in related(drawn):
        if first is thing and where in ("left", "right"):
            yield f"the {colored} that is {PHRASES[where]} of the {second.name}"
            return


def _asked(split: str, thing: Thing) -> bool:
    return (thing.name == "person") == (split == "testA")


def _colored(thing: Thing) -> str:
    if thing.name == "person":
        return f"person in {thing.color}"
    return f"{thing.color} {thing.name}" if SHAPES[thing.name].named else thing.name


def _unique(drawn: Scene, thing: Thing) -> bool:
    """Whether class and colour tell it from all others."""
    return [_colored(t) for t in drawn.of(thing.name)].count(_colored(thing)) == 1


def _where(drawn: Scene, thing: Thing) -> str:
    """Which of several of its class the object clearly is: "leftmost", "rightmost", or ""."""
    middles = sorted(other.center[0] for other in drawn.of(thing.name))
    apart = 0.06 * drawn.image.width
    if len(middles) > 1 and thing.center[0] == middles[0] and middles[1] - middles[0] > apart:
        return "leftmost"
    if len(middles) > 1 and thing.center[0] == middles[-1] and middles[-1] - middles[-2] > apart:
        return "rightmost"
    return ""


def _row(
    name: str, split: str, drawn: Scene, sentence: str, thing: Thing, number: int
) -> dict[str, object]:
    return {
        "img_path": _name(drawn),
        "expression": sentence,
        "bbox": [float(edge) for edge in thing.box],
        "dataset_name": f"jxu124/{name}",
        "height": drawn.image.height,
        "width": drawn.image.width,
        "image_id": drawn.seed,
        "sent_id": number,
        "split": split,
    }
