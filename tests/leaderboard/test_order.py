"""How the order of the rows depends on what ranks them."""

import math
import shutil
from pathlib import Path

import pandas as pd
import pytest
from page_boards import COLUMNS, THREAT_MODEL, Invented, invent
from support import Command, changed_board

from robench.leaderboard.order import extent_note, order_sentence
from robench.leaderboard.page.write import render
from robench.leaderboard.published import Leaderboard
from robench.runs.records import EvaluatedColumn


def table(**figures: tuple[float, float]) -> pd.DataFrame:
    """Return a leaderboard: row -> its figures under PGD-20 and in the worst case."""
    pgd, worst = zip(*figures.values(), strict=True)
    return pd.DataFrame({"defense": [*figures], "pgd-20_mean": pgd, "worst_case_mean": worst})


@pytest.mark.parametrize(("figures", "sentence"), [
    ({"a": (0.5, 0.4), "b": (0.4, 0.3)},
     "The order by pgd-20 reverses no pair of rows of that by worst_case."),
    ({"a": (0.5, 0.3), "b": (0.4, 0.35), "c": (0.3, 0.1)},
     "The order by pgd-20 reverses 1 of 3 pairs of rows of that by worst_case (Kendall's tau 0.33):"
     " 'b' and 'a'."),
    ({"a": (0.4, 0.3), "b": (0.4, 0.35), "c": (math.nan, math.nan)},  # no order, no reversal
     "The order by pgd-20 reverses no pair of rows of that by worst_case."),
    ({"a": (0.1, 0.4), "b": (0.2, 0.3), "c": (0.3, 0.2), "d": (0.4, 0.1)},
     "The order by pgd-20 reverses 6 of 6 pairs of rows of that by worst_case (Kendall's tau "
     "-1.00): 'a' and 'b', 'a' and 'c', 'a' and 'd', and 3 further pairs."),
    ({"a": (0.4, 0.3)}, ""),
])  # fmt: skip
def test_pairs_whose_order_is_reversed_are_counted_and_named(
    figures: dict[str, tuple[float, float]], sentence: str
) -> None:
    assert order_sentence(table(**figures), "pgd-20", "worst_case") == sentence


def test_a_worst_case_on_fewer_images_than_the_columns_beside_it_says_so() -> None:
    few = "autoattack(samples=50)"
    columns = {**COLUMNS, few: EvaluatedColumn(THREAT_MODEL)}
    rows = [Invented("a"), Invented("b"), Invented("c", diverged=True)]
    made = invent(rows, columns=columns, sizes={few: 50}, rank_by="worst_case")
    note = (
        "worst_case is on the first 50 of the 200 images, which all of its attacks were given."
    )  # fmt: skip
    assert extent_note(made.table) == note
    assert f'<p class="note">{note}</p>' in render(made)
    assert extent_note(invent(rows, columns=columns).table) == ""
    assert extent_note(invent([Invented("c", diverged=True)]).table) == ""
    known = invent(rows, columns=columns, sizes={few: 50}, rank_by="best_known")
    assert extent_note(known.table).startswith("worst_case and best_known are on the first 50 of")


def test_a_board_ranked_by_the_worst_case_is_run_published_verified_and_shown(
    robench: Command, finished_board: Path, tmp_path: Path
) -> None:
    store = tmp_path / "out"
    shutil.copytree(finished_board / "cells", store / "cells")
    shutil.copy(finished_board / "tiny.toml", store)
    changes = ['evaluation.rank_by="worst_case"', 'evaluation.worst_case=["pgd-4", "fgsm"]']
    options = [word for change in changes for word in ("--set", change)]
    done = robench("run", store / "tiny.toml", *options, "--out", store)
    assert done.code == 0, done.err
    assert done.out.count(": stored") == 2
    assert "worst_case ▼" in done.out
    assert "The worst case over these attacks (fgsm, pgd-4) has no AutoAttack" in " ".join(
        done.out.split()
    )
    folder = changed_board(store)
    board = Leaderboard.read(folder)
    worst = board.table["worst_case_mean"]
    assert worst.is_monotonic_decreasing
    assert (worst <= board.table[["fgsm_mean", "pgd-4_mean"]].min(axis=1)).all()
    assert set(board.comparisons["column"]) == {"worst_case"}
    assert robench("verify", folder, "--rows", "0").code == 0
    page = render(board)
    assert "The order by pgd-4 reverses" in page
    assert "has no AutoAttack." in page
    assert "Ranked by <strong>worst_case</strong>" in page
    exported = robench("export", folder)
    assert "ranked by worst" in exported.out
