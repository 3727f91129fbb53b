"""CSV text that no spreadsheet executes, and that reads back unchanged."""

import csv
import io
import math
import re
import struct
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from robench.errors import UserError
from robench.leaderboard.safe_csv import escape, read_safe_csv, to_safe_csv, unescape
from robench.leaderboard.table import to_csv

BOARDS = Path(__file__).parents[2] / "leaderboards"
TABLES = [
    *sorted(BOARDS.glob("*/leaderboard.csv")), *sorted(BOARDS.glob("*/comparisons.csv"))
]  # fmt: skip
TEXT = {
    "group", "defense", "training", "recipe", "backbone", "dataset", "seeds", "flags", "version",
    "digest", "goal", "column", "first", "second", "method", "discriminator", "weights",
}  # fmt: skip

RUN = tuple("=+-@＝＋－＠")  # noqa: RUF001
BLANK = " \xa0\ufeff\x00\x0b\u2028"
# Mostly of the characters that matter, so that they meet.
texts = st.text(st.sampled_from("=+-@\t\r\n',;|\" a1\ufeff＝é\x00\x0b\u2028")) | st.text(  # noqa: RUF001
    st.characters(exclude_categories=["Cs"])
)
names = st.lists(texts, min_size=1, max_size=4, unique=True)


def tables(columns: list[str], data: st.DataObject, values: st.SearchStrategy) -> pd.DataFrame:
    count = data.draw(st.integers(0, 4))
    rows = {name: data.draw(st.lists(values, min_size=count, max_size=count)) for name in columns}
    return pd.DataFrame(rows, columns=columns)


def begins_a_formula(cell: str) -> bool:
    return cell.lstrip(BLANK)[:1] in (*RUN, "\t", "\r", "\n")


def runs(cell: str) -> bool:
    return cell.lstrip(f"{BLANK}\t\r\n")[:1] in RUN


@settings(max_examples=500, deadline=None)
@given(text=texts)
@example("=cmd()")
@example("'=cmd()")
@example("''=1;'=2")
@example("\t=1")
@example('a","=1')
def test_escaped_text_is_restored_and_starts_no_formula(text: str) -> None:
    safe = escape(text)
    assert unescape(safe) == text
    assert unescape(escape(safe)) == safe
    for cell in [safe, *re.split(r"[,;|\"\t\r\n]", safe)]:
        assert not cell or not begins_a_formula(cell)


@pytest.mark.parametrize(
    "text", ["batchnorm", "simba(samples=50)", "lr=0.01, method=standard", "0 1 2", "a-b", "pgd-20",
             "it's", "", "8/255", "batchnorm, trained normally", "a = b - c"]
)  # fmt: skip
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert escape(text) == text


@pytest.mark.parametrize("text", ["=cmd()", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1"])  # noqa: RUF001
def test_formulas_become_text(text: str) -> None:
    assert escape(text).startswith("'")


@settings(max_examples=300, deadline=None)
@given(columns=names, data=st.data())
def test_text_reads_back_exactly(columns: list[str], data: st.DataObject) -> None:
    table = tables(columns, data, texts)
    pd.testing.assert_frame_equal(
        read_safe_csv(to_safe_csv(table), columns), table, check_index_type=False, check_dtype=False
    )


@settings(max_examples=300, deadline=None)
@given(columns=names, data=st.data())
def test_a_cell_of_the_sheet_is_safe_for_every_reader(
    columns: list[str], data: st.DataObject
) -> None:
    text = to_safe_csv(tables(columns, data, texts))
    for separator in ",;\t|":
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator):
            for cell in row:
                assert not runs(cell.strip('"')), (separator, cell)


@settings(max_examples=200, deadline=None)
@given(values=st.lists(st.floats(allow_nan=True) | st.just(-0.0), min_size=1))
def test_numbers_are_unchanged_and_read_back_bit_for_bit(values: list[float]) -> None:
    text = to_safe_csv(pd.DataFrame({"a": values}), float_format=None)
    assert "'" not in text
    found = read_safe_csv(text, ())["a"]
    bits = [struct.pack("<d", math.nan if math.isnan(v) else v) for v in values]
    assert [struct.pack("<d", v) for v in found] == bits


def test_counts_keep_their_digits_beside_rows_without_one() -> None:
    table = pd.DataFrame(
        {"multiply_adds": [99_678_912, None, 35_046_656], "seconds": [455.143] * 3}
    )
    text = to_safe_csv(table, float_format="%.6g")
    assert text.splitlines()[1:] == ["99678912,455.143", ",455.143", "35046656,455.143"]


@settings(deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1), st.booleans())
def test_integers_and_booleans_keep_their_type(values: list[int], truth: bool) -> None:
    table = pd.DataFrame({"n": np.array(values, dtype=np.int64), "t": truth})
    pd.testing.assert_frame_equal(read_safe_csv(to_safe_csv(table), ()), table)


@pytest.mark.parametrize("path", TABLES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_shipped_tables_need_no_escaping(path: Path) -> None:
    text = path.read_text()
    table = read_safe_csv(text, TEXT)
    assert to_safe_csv(table) == text == to_csv(table)
    pd.testing.assert_frame_equal(
        table, pd.read_csv(path, dtype=dict.fromkeys(TEXT, object)).fillna(dict.fromkeys(TEXT, ""))
    )


def test_a_hostile_name_in_a_real_table_is_harmless_and_reads_back() -> None:
    table = read_safe_csv((BOARDS / "quick" / "leaderboard.csv").read_text(), TEXT)
    names = ["=cmd()", "<script>alert(1)</script>", "-2+3|' /C calc'!A0", "a\r\n=b", '"=x"']
    table["defense"] = names
    text = to_safe_csv(table)
    assert list(read_safe_csv(text, TEXT)["defense"]) == names
    assert ",'=cmd()," in text
    assert text.count("\n") > len(table)


def test_missing_values_are_empty_and_windows_line_ends_are_read() -> None:
    whole = pd.array([1, None], dtype="Int64")
    table = pd.DataFrame({"n": whole, "x": [0.5, None], "s": ["", "b"]})
    text = to_safe_csv(table)
    assert text == "n,x,s\n1,0.5,\n,,b\n"
    found = read_safe_csv(text.replace("\n", "\r\n"), {"s"})
    assert found["s"].tolist() == ["", "b"]
    assert math.isnan(found["n"][1])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "the table is empty"),
        ("a,b\n1\n", "row 1 of the table has 1 fields but the header has 2"),
        ("a,a\n1,2\n", "two columns named 'a'"),
        ('a\n"1\n', "the table is not CSV"),
        ("a\n1\n1_000\n", "row 2 of the column 'a' of the table holds '1_000'"),
        ("a\n=1+1\n", "holds '=1\\+1', which is not a number"),
    ],
)
def test_damage_is_reported_in_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        read_safe_csv(text, ())
