"""Rows of a sentence and a box, as the referring-expression sets have them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from collavo.datasets.registration.readers.rows import Row
from collavo.datasets.registration.vqa_fields import Images, SampleIds, below, list_of
from collavo.errors import DataError
from collavo.records import ImageRef, Sample, one_image

IMAGES = ("coco2014/train2014", "train2014", "coco/train2014", "images")


def labelled_boxes(dataset: str, rows: Iterable[Row], folder: Path | None = None) -> list[Sample]:
    """Turns rows with image, sentence and box into samples.

    Args:
        dataset: The registered name, for ids.
        rows: The rows; boxes are (x1, y1, x2, y2) in pixels.
        folder: The dataset's folder; by default that of the rows' file.

    Raises:
        DataError: A row lacks a field, or has one of the wrong kind.
    """
    listed = list(rows)
    if folder is None:
        folder = Path(listed[0].place.rsplit(", ", 1)[0]).parent if listed else Path()
    images, ids = Images(below(folder, *IMAGES)), SampleIds(dataset)
    samples = []
    for number, row in enumerate(listed):
        image = row.text("img_path", "image", "file_name").replace("\\", "/").rsplit("/", 1)[-1]
        has_id = any(row.values.get(n) is not None for n in ("sent_id", "id", "question_id"))
        key = row.key("sent_id", "id", "question_id") if has_id else number
        field = next((n for n in ("bbox_xyxy", "bbox") if row.values.get(n) is not None), "bbox")
        box = numbers_of(row, field)
        ref = images.ref(image, row.place)
        sentence = row.text("expression", "sent", "question", "text")
        size = size_in(row)
        samples.append(box_sample(ids, key, sentence, ref, box, size, image))
    return samples


def box_sample(
    ids: SampleIds,
    key: str | int,
    sentence: str,
    ref: ImageRef | None,
    box: tuple[float, ...],
    size: tuple[float, float] | None,
    image: str = "",
) -> Sample:
    """Makes one sample of a sentence and a box (x1, y1, x2, y2) in pixels."""
    extra: dict[str, object] = {"box_pixels": box}
    answers: tuple[str, ...] = ()
    if size:
        width, height = size
        shares = tuple(value / side for value, side in zip(box, (width, height) * 2, strict=True))
        extra |= {"box": shares, "width": width, "height": height}
        answers = (f"[{', '.join(f'{x:.2f}' for x in shares)}]",)
    return Sample(
        sample_id=ids.of(key),
        images=one_image(ref),
        question=sentence,
        question_id=key,
        answers=answers,
        extra=extra | ({"image": image} if image else {}),
    )


def numbers_of(row: Row, name: str) -> tuple[float, ...]:
    """Returns a field of four finite numbers.

    Raises:
        DataError: It is nothing of this kind.
    """
    row.need(name)
    values = list_of(row, name)
    fine = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    fine = [float(v) for v in fine if abs(v) < 1e9]
    if len(values) != 4 or len(fine) != 4:
        raise DataError(f"{row.place}: {name!r} must be a list of four numbers, got {values!r:.80}")
    return tuple(fine)


def size_in(row: Row) -> tuple[float, float] | None:
    """Returns width and height, None where the row has none.

    Raises:
        DataError: They are no positive numbers.
    """
    sides = [row.values.get(name) for name in ("width", "height")]
    if all(side is None for side in sides):
        return None
    for side in sides:
        if isinstance(side, bool) or not isinstance(side, int | float) or not 0 < side < 1e9:
            raise DataError(f"{row.place}: 'width' and 'height' must be positive, got {sides!r}")
    return sides[0], sides[1]  # type: ignore[return-value]  # checked above
