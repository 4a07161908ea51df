"""Where a dataset's files are, found out without reading them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from collavo.datasets.registration.catalog import follows_root, samples_of
from collavo.datasets.registration.readers.opened import FoundError, first_only
from collavo.datasets.registration.roots import named_root
from collavo.errors import UserError

ROOT, MINIATURE, MISSING, OWN = "root", "miniature", "missing", "own"


@dataclass(frozen=True)
class Place:
    """Where a dataset's files are.

    Args:
        kind: "root": below the dataset root; "miniature": no root is set, so the built-in
            miniature serves; "missing": not below the root; "own": its own function knows.
        path: The first of its files, "" where that is not known.
        reason: Why it is missing, or cannot be read as far as that.
    """

    kind: str
    path: str = ""
    reason: str = ""

    @property
    def words(self) -> str:
        """In one cell of a table."""
        return self.path or self.kind


def place_of(name: str) -> Place:
    """Finds the first file of a registered dataset.

    Raises:
        MissingFileError: The named root is no folder.
    """
    if not follows_root(name):
        return Place(OWN)
    if named_root() is None:
        return Place(MINIATURE)
    try:
        with first_only():
            samples_of(name)
    except FoundError as found:
        return Place(ROOT, str(Path(found.args[0])))
    except UserError as error:
        return Place(MISSING, reason=str(error).splitlines()[0])
    return Place(ROOT)
