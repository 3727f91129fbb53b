"""A leaderboard column is one entry in one list, which defines table, CSV, README and page."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from page_boards import Invented, invent

from robench.board.paper import OTHER_COLUMNS, is_share
from robench.errors import UserError
from robench.leaderboard import columns
from robench.leaderboard.column_types import Column, Entry, PerAttack, RelativeColumn
from robench.leaderboard.columns import COLUMNS, columns_of_table, kind_of
from robench.leaderboard.csv_files import read_csv
from robench.leaderboard.evidence import TABLE
from robench.leaderboard.page.details import details, headings
from robench.leaderboard.page.write import render
from robench.leaderboard.readme import columns_table, with_columns
from robench.leaderboard.row import LeaderboardRow
from robench.leaderboard.table import to_csv

README = Path(__file__).parents[2] / "leaderboards" / "README.md"
ROWS = (Invented("first"), Invented("second"))


def add(monkeypatch: pytest.MonkeyPatch, entry: Entry) -> None:
    monkeypatch.setattr(columns, "COLUMNS", (*COLUMNS, entry))


def test_the_readme_describes_the_columns_of_the_list() -> None:
    text = README.read_text(encoding="utf-8")
    assert with_columns(text) == text, "python -m robench.leaderboard.readme leaderboards/README.md"


def test_a_readme_without_a_place_for_the_table_is_refused() -> None:
    with pytest.raises(UserError, match="no place for the table"):
        with_columns("# Boards\n")


def test_a_column_is_added_by_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    def letters(row: LeaderboardRow) -> int:
        return 1000 + len(row.row.title)

    meaning = "letters of the name"
    add(monkeypatch, Column("letters", "whole number", meaning, letters, heading="Letters"))
    board = invent(ROWS)
    text = to_csv(board.table)
    assert text.splitlines()[0].endswith(",schema,letters")
    assert [line.rsplit(",", 1)[1] for line in text.splitlines()[1:]] == ["1005", "1006"]
    read = read_csv(text, TABLE)
    assert read["letters"].dtype == np.int64
    assert list(read["letters"]) == [1005, 1006]
    assert "| `letters` | whole number | letters of the name |\n" in columns_table()
    assert ("Letters", "1,005") in details(board)[0]["facts"]
    assert '["Letters","1,005"]' in render(board)


def test_a_column_of_text_is_read_back_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, Column("code", "text", "a code", lambda row: "007"))
    board = invent(ROWS)
    assert list(read_csv(to_csv(board.table), TABLE)["code"]) == ["007", "007"]
    assert "| `code` | text | a code |\n" in columns_table()
    assert "007" not in dict(details(board)[0]["facts"]).values(), "it has no heading"


def test_a_column_per_attack_is_added_by_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    add(
        monkeypatch,
        PerAttack("wrong", "fraction", "share of errors", lambda x: 1 - x.accuracy.mean,
                  ("attack", "worst case"), heading="wrong, %"),
    )  # fmt: skip
    board = invent(ROWS)
    read = read_csv(to_csv(board.table), TABLE)
    assert list(read.columns[-4:]) == [
        f"{x}_wrong" for x in ("fgsm", "pgd-20", "simba(samples=50)", "worst_case")
    ]
    np.testing.assert_allclose(read["fgsm_wrong"], 1 - read["fgsm_mean"], atol=1e-6)
    assert "| `X_wrong` | fraction | share of errors (attacks, worst case) |\n" in columns_table()
    assert headings()[-1] == "wrong, %"
    figures = details(board)[0]["figures"]
    assert figures["clean"]["more"][-1] is None
    assert figures["fgsm"]["more"][-1] == f"{100 * board.table.loc[0, 'fgsm_wrong']:.1f}"


def test_columns_per_attack_that_stand_together_are_sorted_by_attack() -> None:
    names = [name for name, _, of in columns_of_table(invent(ROWS).result) if of == "fgsm"]
    assert names == [f"fgsm_{end}" for end in ("mean", "std", "low", "high", "rounded")]


def test_a_board_has_the_columns_that_it_asks_for() -> None:
    result = invent(ROWS).result
    evaluation = result.board.evaluation.model_copy(update={"spectra": True})
    asked = replace(result, board=result.board.model_copy(update={"evaluation": evaluation}))
    plain, more = ({name for name, _, _ in columns_of_table(r)} for r in (result, asked))
    assert more - plain == {"condition_ratio", "condition_ratio_geometric"}


def test_each_column_is_known_by_its_name() -> None:
    for name, entry, _ in columns_of_table(invent(ROWS).result):
        assert kind_of(name) == entry.kind
    assert kind_of("simba_queries_of_successes") == "number"
    assert kind_of("nothing") is None


def test_names_are_unique_and_none_per_attack_holds_text() -> None:
    names = [(isinstance(entry, PerAttack), entry.name) for entry in COLUMNS]
    assert len(names) == len(set(names))
    assert not [e.name for e in COLUMNS if isinstance(e, PerAttack) and e.kind == "text"]


def test_a_value_without_a_figure_has_no_text() -> None:
    cost = next(entry for entry in COLUMNS if entry.name == "train_cost")
    assert cost.text(2.034, "a {row}") == "2.03\N{MULTIPLICATION SIGN} a {row}"
    for nothing in (None, float("nan"), float("inf"), ""):
        assert cost.text(nothing, "a") is None


@pytest.mark.parametrize("name", [*OTHER_COLUMNS, "fgsm_mean", "simba_queries", "simba_success"])
def test_a_paper_s_figures_are_of_columns_and_in_percent_where_those_are_fractions(
    name: str,
) -> None:
    assert kind_of(name) is not None
    assert is_share(name.removesuffix("_mean")) == (kind_of(name) == "fraction")


def test_equal_totals_share_a_rank_though_their_means_differ_in_the_last_bit() -> None:
    table = pd.DataFrame({"pgd-20_mean": [0.4036666666666666, 0.4036666666666667, 0.1]})
    [rank] = [
        entry for entry in COLUMNS if isinstance(entry, RelativeColumn) and entry.name == "rank"
    ]
    assert list(rank.value(table, invent(ROWS).result, None)) == [1, 1, 3]
