"""The catalogs for machines without detectron2, with the behaviour of detectron2's.

Source: facebookresearch/detectron2, detectron2/data/catalog.py: same methods, same errors.
"""

from __future__ import annotations

import builtins
from collections import UserDict
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from collavo.errors import DataError
from collavo.registry import unknown_name


class CatalogError(DataError, AssertionError):
    """A registration that contradicts an earlier one (detectron2 raises AssertionError)."""


class LocalDatasetCatalog(UserDict[str, Callable[[], Any]]):
    """Maps a dataset's name to the function that reads it."""

    def register(self, name: str, func: Callable[[], Any]) -> None:
        """Registers the function that returns the rows of a dataset.

        Args:
            name: The name that configurations use ("pope_test").
            func: Takes nothing; returns the same list of rows at every call.

        Raises:
            CatalogError: The name is taken, or `func` cannot be called.
        """
        if not callable(func):
            raise CatalogError(f"dataset {name!r} needs a function that reads it, got {func!r}")
        if name in self:
            raise CatalogError(
                f"dataset {name!r} is already registered by {_where(self[name])}; "
                "choose another name"
            )
        self[name] = func

    def get(self, name: str) -> Any:  # type: ignore[override]
        """Calls the function of a dataset and returns its rows.

        Raises:
            UnknownNameError: No such dataset (a KeyError, as in detectron2).
        """
        if name not in self:
            raise unknown_name("dataset", name, builtins.list(self))
        return self[name]()

    def list(self) -> builtins.list[str]:
        """Lists the registered names."""
        return builtins.list(self.keys())

    def remove(self, name: str) -> None:
        """Forgets a dataset; the same as `pop`."""
        self.pop(name)

    def __repr__(self) -> str:
        return f"DatasetCatalog(registered datasets: {', '.join(self)})"

    __str__ = __repr__


class LocalMetadata(SimpleNamespace):
    """What is known of a dataset: attributes that are set once and may only be set alike again."""

    name: str = "N/A"

    def __getattr__(self, key: str) -> Any:
        known = ", ".join(self.__dict__)
        # every metadata has its name
        state = f"available keys: {known}" if len(self.__dict__) > 1 else "the metadata is empty"
        raise AttributeError(f"the metadata of dataset {self.name!r} has no {key!r}; {state}")

    def __setattr__(self, key: str, value: Any) -> None:
        if key in self.__dict__ and self.__dict__[key] != value:
            raise CatalogError(
                f"{key!r} in the metadata of dataset {self.name!r} cannot be set to a different "
                f"value: it is {self.__dict__[key]!r}, got {value!r}"
            )
        super().__setattr__(key, value)

    def set(self, **attributes: Any) -> LocalMetadata:
        """Sets several attributes and returns itself.

        Raises:
            CatalogError: An attribute has another value already.
        """
        for key, value in attributes.items():
            setattr(self, key, value)
        return self

    def get(self, key: str, default: Any = None) -> Any:
        """Returns an attribute, or `default` where it is not set."""
        return self.__dict__.get(key, default)

    def as_dict(self) -> dict[str, Any]:
        """Returns a copy of all attributes."""
        return dict(self.__dict__)


class LocalMetadataCatalog(UserDict[str, LocalMetadata]):
    """Maps a dataset's name to its metadata, which is made at the first look-up and then stays."""

    def get(self, name: str) -> LocalMetadata:  # type: ignore[override]
        """Returns the metadata of `name`, new and empty where there is none.

        Raises:
            CatalogError: The name is empty.
        """
        if not name:
            raise CatalogError("a dataset's name cannot be empty")
        if name not in self:
            self[name] = LocalMetadata(name=name)
        return self[name]

    def list(self) -> builtins.list[str]:
        """Lists the names that have metadata."""
        return builtins.list(self.keys())

    def remove(self, name: str) -> None:
        """Forgets the metadata of a dataset; the same as `pop`."""
        self.pop(name)

    def __repr__(self) -> str:
        return f"MetadataCatalog(registered metadata: {', '.join(self)})"

    __str__ = __repr__


def _where(func: Callable[[], Any]) -> str:
    module = getattr(func, "__module__", None)
    return f"{module}.{getattr(func, '__qualname__', func)}" if module else repr(func)


DatasetCatalog = LocalDatasetCatalog()
MetadataCatalog = LocalMetadataCatalog()
