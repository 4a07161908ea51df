"""Reads the rows of an xlsx table, as VLMEvalKit writes its predictions."""

from __future__ import annotations

import zipfile
from pathlib import Path

from collavo.datasets.registration.readers.rows import Row
from collavo.errors import DataError


def read_xlsx(path: Path) -> list[Row]:
    """Reads the first sheet; its first row names the columns.

    Raises:
        DataError: The file is broken or empty.
    """
    import openpyxl

    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        table = list(book.worksheets[0].iter_rows(values_only=True))
        book.close()
    except (zipfile.BadZipFile, KeyError, ValueError, IndexError, OSError, SyntaxError) as error:
        raise DataError(f"{path} cannot be read as an xlsx table: {error}") from error
    if not table:
        raise DataError(f"{path} holds no rows")
    names = [str(name) for name in table[0]]
    return [
        Row(f"{path}, row {number}", dict(zip(names, cells, strict=False)))
        for number, cells in enumerate(table[1:], start=2)
        if any(cell is not None for cell in cells)
    ]
