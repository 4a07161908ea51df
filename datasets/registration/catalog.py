"""DatasetCatalog and MetadataCatalog: detectron2's own when it is installed, else ours, alike.

Register with a function that returns a list of dicts (or of `Sample`), and name the pipeline:

    DatasetCatalog.register("my_set", load_my_set)
    MetadataCatalog.get("my_set").set(pipeline="pope", evaluator_type="pope", image_root="/data/my")

Source: interface and behaviour of facebookresearch/detectron2, detectron2/data/catalog.py.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

from collavo.datasets.registration import local_catalog, which_catalog
from collavo.datasets.registration.generic import is_generic, register_generic
from collavo.datasets.registration.readers.notes import collecting, sentences
from collavo.datasets.registration.rows import to_samples
from collavo.records import Sample
from collavo.registry import unknown_name

if TYPE_CHECKING:
    DatasetCatalog: local_catalog.LocalDatasetCatalog
    MetadataCatalog: local_catalog.LocalMetadataCatalog

__all__ = [
    "DatasetCatalog",
    "MetadataCatalog",
    "dataset_names",
    "ensure_registered",
    "follows_root",
    "is_registered",
    "metadata_of",
    "notes_of",
    "samples_of",
]

_PACKAGE = "collavo.datasets.registration"
_done: set[str] = set()
_said: dict[str, tuple[str, ...]] = {}


def __getattr__(name: str) -> Any:
    """Gives the catalogs, with the built-in datasets in them; registers these at the first use."""
    if name not in ("DatasetCatalog", "MetadataCatalog"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    ensure_registered()
    return getattr(which_catalog, name)


def ensure_registered() -> None:
    """Imports every module of this package once, so that built-in datasets are registered."""
    package = importlib.import_module(_PACKAGE)
    for module in pkgutil.iter_modules(package.__path__, f"{_PACKAGE}."):
        if not module.ispkg and module.name not in _done:
            importlib.import_module(module.name)
            _done.add(module.name)


def dataset_names() -> list[str]:
    """Lists the datasets whose metadata names a pipeline, sorted; not those named by a path."""
    ensure_registered()
    datasets, metadata = _catalogs()
    named = (name for name in datasets.list() if not is_generic(name))
    return sorted(name for name in named if metadata.get(name).get("pipeline"))


def is_registered(name: str) -> bool:
    """Whether a dataset is registered under exactly this name."""
    ensure_registered()
    return name in _catalogs()[0]


def metadata_of(name: str) -> local_catalog.LocalMetadata:
    """Returns the metadata of a registered dataset, or of one that is named by its path.

    Raises:
        UnknownNameError: No such dataset; the message suggests the nearest names.
    """
    ensure_registered()
    from collavo.datasets.registration.probes import is_probe, register_probe  # needs this module

    datasets, metadata = _catalogs()
    if name not in datasets and is_generic(name):
        register_generic(name)
    elif name not in datasets and is_probe(name):
        register_probe(name)
    if name not in datasets:
        raise unknown_name("dataset", name, dataset_names())
    return metadata.get(name)


def follows_root(name: str) -> bool:
    """Whether a dataset is one of the project's own, which lie below the dataset root."""
    loader = _catalogs()[0][name]
    function = getattr(loader, "func", loader)
    built_in = str(getattr(function, "__module__", "")).startswith("collavo.")
    return built_in and not metadata_of(name).get("own_files")


def samples_of(name: str) -> list[Sample]:
    """Reads a dataset and checks its rows.

    Args:
        name: A registered name. Its function may return `Sample`s or dicts; see
            `collavo.datasets.registration.rows` for the fields of a dict.

    Returns:
        The samples in file order; their ids are unique.

    Raises:
        UnknownNameError: No such dataset; the message suggests the nearest names.
        DataError: A row lacks a needed field (row and field are named), or ids repeat (they are
            listed).
    """
    metadata = metadata_of(name)
    with collecting() as found:
        rows = _catalogs()[0].get(name)
        samples = to_samples(name, rows, image_root=metadata.get("image_root"))
    _said[name] = sentences(found)
    return samples


def notes_of(name: str) -> tuple[str, ...]:
    """Returns what the last reading of a dataset (`samples_of`) left aside, in sentences."""
    return _said.get(name, ())


def _catalogs() -> tuple[local_catalog.LocalDatasetCatalog, local_catalog.LocalMetadataCatalog]:
    return which_catalog.DatasetCatalog, which_catalog.MetadataCatalog
