"""Writes ground truth in COCO's panoptic format: one JSON, and one PNG of segment ids an image.

Source: https://cocodataset.org/#format-data, "Panoptic Segmentation"; a pixel's segment id is
R + 256 G + 256^2 B, and 0 is void.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from collavo.datasets.miniature.scenes import Region, Scene, Thing
from collavo.datasets.registration.coco_panoptic import COCO_PANOPTIC

_SPREAD = 0x9E3779
"""An odd number: multiples of it modulo 2**24 differ, and make well-spread colours."""


def segment_color_id(number: int) -> int:
    """The id in the file of the segment that `Scene.panoptic` calls `number` (0 stays void)."""
    return number * _SPREAD % 2**24


def encode(panoptic: np.ndarray) -> Image.Image:
    """Makes the RGB picture of a (H, W) map of segment numbers."""
    ids = np.array([segment_color_id(n) for n in range(int(panoptic.max()) + 1)])[panoptic]
    channels = [ids & 255, ids >> 8 & 255, ids >> 16]
    return Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8))


def decode(picture: Image.Image) -> np.ndarray:
    """Reads the (H, W) int64 ids back from an RGB picture."""
    rgb = np.asarray(picture.convert("RGB"), np.int64)
    return rgb[..., 0] + 256 * rgb[..., 1] + 256**2 * rgb[..., 2]


def segments_info(drawn: Scene) -> list[dict[str, Any]]:
    """Lists a scene's segments as the format has them: ids, official categories, XYWH boxes."""
    rows = []
    segments: list[Thing | Region] = [*drawn.things, *drawn.stuff]
    for segment in segments:
        x0, y0, x1, y1 = segment.box
        rows.append(
            {
                "id": segment_color_id(segment.id),
                "category_id": COCO_PANOPTIC[segment.label_id].id,
                "iscrowd": 0,
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "area": segment.area,
            }
        )
    return rows


def write_panoptic(json_path: Path, folder: Path, images: Iterable[tuple[str, Scene]]) -> None:
    """Writes the JSON file and the folder of PNG files.

    Args:
        json_path: Of the file to write.
        folder: Where the PNG files go; made if missing.
        images: The file name of each image, with folders where it takes them to tell it from
            others, and its scene. An image's id is the scene's seed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_document(json_path, [panoptic_row(folder, name, drawn) for name, drawn in images])


def panoptic_row(folder: Path, name: str, drawn: Scene) -> tuple[dict[str, Any], dict[str, Any]]:
    """Writes the PNG of one scene.

    Args:
        folder: Where it goes.
        name: The image's file name.
        drawn: The scene.

    Returns:
        What the JSON says of the image, and its annotation.
    """
    height, width = drawn.panoptic.shape
    picture = f"{PurePosixPath(name).with_suffix('')}.png".replace("/", "_")
    encode(drawn.panoptic).save(folder / picture)
    entry = {"id": drawn.seed, "file_name": name, "width": width, "height": height}
    segments = segments_info(drawn)
    annotation = {"image_id": drawn.seed, "file_name": picture, "segments_info": segments}
    return entry, annotation


def write_document(json_path: Path, rows: Iterable[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    """Writes the JSON file of images and annotations."""
    listed = list(rows)
    document = {
        "info": {"description": "Ground truth of procedural scenes"},
        "images": [entry for entry, _ in listed],
        "annotations": [annotation for _, annotation in listed],
        "categories": [{"id": c.id, "name": c.name, "isthing": c.isthing} for c in COCO_PANOPTIC],
    }
    json_path.write_text(json.dumps(document) + "\n", encoding="utf-8")
