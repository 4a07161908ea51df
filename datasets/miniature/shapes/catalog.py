"""All classes of things, by COCO name."""

from __future__ import annotations

from collavo.datasets.miniature.shapes.creatures import CREATURES
from collavo.datasets.miniature.shapes.household import HOUSEHOLD
from collavo.datasets.miniature.shapes.shape import Shape
from collavo.datasets.miniature.shapes.vehicles import VEHICLES

SHAPES: dict[str, Shape] = {s.name: s for s in (*CREATURES, *VEHICLES, *HOUSEHOLD)}
