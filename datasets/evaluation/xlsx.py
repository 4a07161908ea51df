"""Reads the rows of an xlsx table, as VLMEvalKit writes its predictions."""

from __future__ import annotations

import struct
import warnings
import zipfile
import zlib
from pathlib import Path

from collavo.datasets.registration.readers.rows import Row
from collavo.errors import DataError

_BROKEN = (
    *(OSError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError),
    *(SyntaxError, RuntimeError, NotImplementedError, AssertionError, OverflowError, MemoryError),
    *(zipfile.BadZipFile, zlib.error, struct.error),
)
"""What openpyxl lets through of a broken file: errors of zip, of XML, and of its own classes."""


def read_xlsx(path: Path) -> list[Row]:
    """Reads the first sheet; its first row names the columns.

    Raises:
        DataError: The file is broken or empty.
    """
    import openpyxl

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # styles and extensions that openpyxl leaves out
            # not the values of formulas: a text that begins with "=" was written as one
            book = openpyxl.load_workbook(path, read_only=True)
            table = list(book.worksheets[0].iter_rows(values_only=True))
            book.close()
    except _BROKEN as error:
        what = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise DataError(f"{path} cannot be read as an xlsx table: {what}") from error
    if not table:
        raise DataError(f"{path} holds no rows")
    names = [str(name) for name in table[0]]
    return [
        Row(f"{path}, row {number}", dict(zip(names, cells, strict=False)))
        for number, cells in enumerate(table[1:], start=2)
        if any(cell is not None for cell in cells)
    ]
