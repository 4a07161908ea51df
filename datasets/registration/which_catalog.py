"""Whose catalogs they are: detectron2's own where it is installed, else ours.

The built-in datasets register with these; everyone else takes them from `catalog`, which sees to it
that the built-in ones are registered first.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
from typing import TYPE_CHECKING, Any

from collavo.datasets.registration import local_catalog

if TYPE_CHECKING:
    DatasetCatalog: local_catalog.LocalDatasetCatalog
    MetadataCatalog: local_catalog.LocalMetadataCatalog

logger = logging.getLogger(__name__)


def __getattr__(name: str) -> Any:
    """Decides at the first use: importing detectron2 loads torch."""
    if name not in ("DatasetCatalog", "MetadataCatalog"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    source: Any = local_catalog
    if importlib.util.find_spec("detectron2") is not None:
        try:
            source = importlib.import_module("detectron2.data")
        except ImportError as error:
            logger.warning("detectron2 is installed but cannot be imported (%s): not used", error)
    globals()["DatasetCatalog"] = source.DatasetCatalog
    globals()["MetadataCatalog"] = source.MetadataCatalog
    return globals()[name]
