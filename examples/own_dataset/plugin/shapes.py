"""A dataset of one's own: questions in a JSONL file, and images beside it."""

import json
import os
from pathlib import Path

from collavo.datasets.registration.catalog import DatasetCatalog, MetadataCatalog

ROOT = Path(os.environ.get("SHAPES_ROOT", "data/shapes"))


def load_shapes():
    """Reads the rows: image, question, answer, category."""
    with open(ROOT / "questions.jsonl", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


DatasetCatalog.register("shapes", load_shapes)
MetadataCatalog.get("shapes").set(
    pipeline="pope", evaluator_type="pope", answer_type="yes_no",
    image_root=str(ROOT / "images"), description="Is there such a shape? A dataset of our own",
)  # fmt: skip
