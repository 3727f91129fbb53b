"""Tables as CSV text that a spreadsheet displays but never executes.

A spreadsheet parses a cell that begins with one of ``= + - @`` or a tab or line break as a formula,
and a formula can call programs (OWASP, "CSV Injection"). It may also split at separators that are
not ours: if ``;`` is the list separator, ``a;=cmd()`` becomes two cells. Therefore, an apostrophe,
which spreadsheets read as "this is text", is inserted at each position at which a cell could begin
with such a character. Reading removes exactly these apostrophes. Numbers are not text and are left
alone.
"""

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd

from robench.errors import UserError, shortened

SIX_DIGITS = "%.6g"
"""The number format of published tables."""

COLUMNS = 5000
"""Largest number of columns; a board with a hundred attacks has about 1,000."""

_ENDING = "\r\n"

_STARTS = r"(?:\A|(?<=[,;|\"\t\r\n]))"
"""The positions at which a cell may begin: the start of the text, after separators and quotes."""
# Some spreadsheets skip whitespace and control characters; an apostrophe that is already there gets
# another one, so that reading knows which one was inserted.
_FORMULA = r"(?=(?:'|[^\S\t\r\n]|[\x00-\x08\x0e-\x1f\ufeff\u200b])*[=+\-@\t\r\n＝＋－＠])"  # noqa: RUF001
_UNSAFE = re.compile(_STARTS + _FORMULA)
_MADE_SAFE = re.compile(_STARTS + "'" + _FORMULA)

_OF_WHOLE = frozenset("+-0123456789")
_OF_NUMBERS = _OF_WHOLE | frozenset(".eEinfa")
_TRUTH = {"True": True, "False": False}


def escape(text: str) -> str:
    """Return text that no spreadsheet parses as a formula; :func:`unescape` undoes it."""
    return _UNSAFE.sub("'", text)


def unescape(text: str) -> str:
    """Return the text that :func:`escape` was called with."""
    return _MADE_SAFE.sub("", text)


def to_safe_csv(table: pd.DataFrame, *, float_format: str | None = SIX_DIGITS) -> str:
    """Return a table as CSV text: a header, lines that end in LF, an empty field for no value.

    Args:
        table: numbers, booleans and text; its index is left out.
        float_format: the format of floats; None writes them so that they are read back bit for bit.
    """
    columns = [_fields(table.iloc[:, index], float_format) for index in range(table.shape[1])]
    header = [escape(str(name)) for name in table.columns]
    # With this line ending, CR and LF are quoted within text; rows are written with LF anyway.
    line = csv.writer(_Echo(), lineterminator=_ENDING)
    written = [str(line.writerow(row)) for row in [header, *zip(*columns, strict=True)]]
    return "".join(f"{row.removesuffix(_ENDING)}\n" for row in written)


def read_safe_csv(
    text: str, text_columns: Collection[str], where: str = "the table"
) -> pd.DataFrame:
    """Read what :func:`to_safe_csv` wrote.

    Args:
        text: CSV with a header.
        text_columns: the columns that hold text; an empty field is "" there. All others hold
            numbers, or True and False; an empty field is nan there, which turns integers into
            floats.
        where: what is read, for error messages.

    Raises:
        UserError: if it is not CSV, a line is too short or too long, two columns have the same
            name, or a column of numbers holds something else.
    """
    rows = _rows(text, where)
    if not rows:
        raise UserError(f"{where} is empty; it needs a header.")
    names = [unescape(name) for name in rows[0]]
    if len(names) > COLUMNS:
        raise UserError(f"{where} has {len(names)} columns; at most {COLUMNS} are allowed.")
    for name, times in Counter(names).items():
        if times > 1:
            raise UserError(f"{where} has two columns named '{shortened(name)}'; remove one.")
    for number, row in enumerate(rows[1:], start=1):
        if len(row) != len(names):
            raise UserError(
                f"row {number} of {where} has {len(row)} fields but the header has {len(names)}; "
                f"it is damaged."
            )
    columns = {}
    by_column = zip(*rows[1:], strict=True) if len(rows) > 1 else [()] * len(names)
    for name, fields in zip(names, by_column, strict=True):
        if name in text_columns:
            safe = {field: unescape(field) for field in set(fields)}
            columns[name] = pd.Series([safe[field] for field in fields], dtype=object)
        else:
            columns[name] = _values(fields, f"the column '{shortened(name)}' of {where}")
    return pd.DataFrame(columns)


class _Echo:
    """A file whose ``write`` returns its text, which the CSV writer passes on."""

    def write(self, text: str) -> str:
        return text


def _fields(column: pd.Series, float_format: str | None) -> list[str]:
    values = column.astype(object).tolist()
    texts = {value for value in values if isinstance(value, str)}
    safe = {value: escape(value) for value in texts}
    if float_format is not None and _are_counts(values):
        float_format = "%.0f"
    return [safe[v] if isinstance(v, str) else _field(v, float_format) for v in values]


def _are_counts(values: list[Any]) -> bool:
    """Return whether floats are all whole: pandas makes floats of counts beside missing ones."""
    numbers = [v for v in values if isinstance(v, float) and not math.isnan(v)]
    return bool(numbers) and all(v.is_integer() and 0 <= v < 2**53 for v in numbers)


def _field(value: Any, float_format: str | None) -> str:
    if value is None or value is pd.NA or value != value:
        return ""
    if isinstance(value, float):
        return repr(float(value)) if float_format is None else float_format % value
    return str(value)


def _rows(text: str, where: str) -> list[list[str]]:
    try:
        return list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise UserError(f"{where} is not CSV ({error}).") from None


def _values(fields: Sequence[str], where: str) -> pd.Series:
    kinds = set(fields)
    if kinds and kinds <= set(_TRUTH):
        return pd.Series([_TRUTH[field] for field in fields])
    if kinds and "" not in kinds and _OF_WHOLE.issuperset("".join(kinds)):
        with suppress(ValueError, OverflowError):  # beyond 64 bits: with the precision of a float
            return pd.Series(np.array([int(field) for field in fields], dtype=np.int64))
    values = [_number(field) for field in fields]
    if None in values:
        number = values.index(None)
        raise UserError(
            f"row {number + 1} of {where} holds '{shortened(fields[number])}', which is not a "
            f"number."
        )
    return pd.Series(values, dtype=np.float64)


def _number(field: str) -> float | None:
    """Return the value of a field, None if it is not a number; float() would accept 1_000."""
    if not field:
        return math.nan
    try:
        value = float(field) if _OF_NUMBERS.issuperset(field) else None
    except ValueError:
        return None
    return None if value is not None and math.isinf(value) and "inf" not in field else value
