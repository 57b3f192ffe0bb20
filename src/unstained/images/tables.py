"""Tables given by users, whatever program wrote them."""

from __future__ import annotations

import csv
import re
import warnings
from codecs import BOM_UTF8
from collections.abc import Collection
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from ..errors import DataError, FileError

__all__ = ["TABLES", "TableStyle", "read_table", "read_typed_table", "style_of"]

TABLES = (".csv", ".tsv", ".txt")
"""Endings of tables."""

_NO_NUMBER = ("na", "n/a", "#n/a", "<na>", "nan", "null", "none")
"""What programs write in a column of numbers where there is none, in small letters."""


class TableStyle(NamedTuple):
    """How a CSV is written: what separates its columns; "utf-8", or "utf-8-sig" with a mark."""

    separator: str
    encoding: str


def style_of(path: Path) -> TableStyle:
    """How a table that `read_table` reads is written, to write it alike."""
    marked = path.read_bytes().startswith(BOM_UTF8)
    text = path.read_text(encoding="utf-8-sig")
    return TableStyle(_separator(text), "utf-8-sig" if marked else "utf-8")


def read_table(path: Path) -> pd.DataFrame:
    """A CSV as text, whatever separates it: commas, semicolons or tabs.

    Raises
    ------
    FileError
        It is not there.
    DataError
        It is no table.
    """
    return _parsed(path, missing=False)[0]


def read_typed_table(path: Path, text: Collection[str]) -> pd.DataFrame:
    """As `read_table`, with numbers, or True and False, where a column holds nothing else.

    Parameters
    ----------
    path : Path
    text : collection of str
        Columns that stay text whatever they hold: image 001 is not 1.

    Returns
    -------
    DataFrame
        NaN where a cell is empty, and where one of a column of numbers says NA, nan, null or
        None. Of text these words stay: an image may have such a name.

    Raises
    ------
    FileError
        It is not there.
    DataError
        It is no table, or a column holds numbers with a comma.
    """
    table, separator = _parsed(path, missing=True)
    for name in table.columns.difference(list(text), sort=False):
        words = table[name].str.strip().str.casefold().isin(_NO_NUMBER)
        left = table[name].mask(words)
        if words.any() and left.isna().all():
            continue
        try:
            table[name] = pd.to_numeric(left)
        except ValueError:
            told = left.dropna()
            if told.size == len(table) and told.isin(["True", "False"]).all():
                table[name] = told == "True"
                continue
            commas = told[told.str.contains(",")]
            numbers = told.str.fullmatch(r"\s*[+-]?\d*[.,]?\d+\s*").all()
            if separator != "," and len(commas) and numbers:  # else 1,2 stood in quotes
                raise DataError(
                    f"column {name} holds {commas.iloc[0]!r}",
                    "write numbers with a point",
                    file=path,
                ) from None
    return table


def _parsed(path: Path, *, missing: bool) -> tuple[pd.DataFrame, str]:
    """Columns of text, and the separator; empty cells are NaN where `missing`, else empty text."""
    if not path.is_file():
        raise FileError("is not there", "check the path of the table", file=path)
    try:
        text = path.read_text(encoding="utf-8-sig")
        separator = _separator(text)
        with warnings.catch_warnings():  # empty cells beyond the header: of no meaning
            warnings.simplefilter("ignore", pd.errors.ParserWarning)
            table = pd.read_csv(
                StringIO(text),
                sep=separator,
                dtype=str,
                keep_default_na=False,
                na_values=[""] if missing else [],
                index_col=False,
            )
    except ValueError as error:
        reason = str(error).strip().splitlines()[0]
        raise DataError(f"is no table: {reason}", "save it as CSV in UTF-8", file=path) from error
    _refuse_lost_cells(text, separator, path)
    # Excel writes rows of separators alone below a table
    empty = table.apply(lambda column: column.fillna("").str.strip() == "").all(axis=1)
    table = table[~empty].reset_index(drop=True) if len(table.columns) else table
    table = table.rename(columns=lambda column: str(column).strip())
    return table, separator


def _separator(text: str) -> str:
    head = re.sub(r'"[^"]*"', "", text.lstrip().partition("\n")[0])  # names in quotes hold any
    return max(",;\t", key=head.count)  # Excel writes ; in half of the world


def _refuse_lost_cells(text: str, separator: str, path: Path) -> None:
    """What stands beyond the header's columns is lost to pandas; a second name is numbered."""
    every = csv.reader(StringIO(text), delimiter=separator)
    try:
        rows = [row for row in every if any(cell.strip() for cell in row)]
    except csv.Error:  # cells longer than it takes, which pandas does
        return
    names = [name.strip() for name in rows[0]] if rows else []
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"has two columns {twice}", "give each its own name", file=path)
    width = len(names)
    for number, row in enumerate(rows[1:], 1):
        if any(cell.strip() for cell in row[width:]):
            raise DataError(
                f"row {number} has {len(row)} cells, and the header {width}",
                f"put quotes around a cell that holds {separator!r}, or name the column",
                file=path,
            )
