"""A race: which rows have a place, in which order, and what is shown beside their seconds."""

import math
import re
from dataclasses import replace
from functools import cache

import pytest
from page_boards import Invented, invent
from rich.console import Console

from robench.board.goal import Goal
from robench.cli.tables.speedruns import speedrun_table
from robench.leaderboard.columns import columns_of_table, kind_of
from robench.leaderboard.csv_files import read_csv
from robench.leaderboard.evidence import TABLE
from robench.leaderboard.page.details import details
from robench.leaderboard.page.speedrun import speedrun
from robench.leaderboard.page.write import render
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.speedrun import hardware, standings_of
from robench.leaderboard.table import to_csv
from robench.system.processes import Shard
from robench.system.provenance import in_sessions, timed_on

EPOCHS = 30
GOAL = Goal(accuracy={"clean": 0.7, "pgd-20": 0.4}, seeds=2)
WEAK = {"clean": 0.8, "fgsm": 0.5, "pgd-20": 0.2, "simba(samples=50)": 0.1}
STRONG = WEAK | {"pgd-20": 0.5}
ROWS = (
    Invented("slow", STRONG, seconds=9.0),
    Invented("fast", STRONG, seconds=2.0),
    Invented("weak", WEAK, seconds=0.5),
    Invented("lost", STRONG, seconds=0.1, diverged=True),
)


@cache
def race() -> Leaderboard:
    """All rows; the comparison of pairs takes its time."""
    return invent(ROWS, goal=GOAL)


def alone(goal: Goal = GOAL, row: Invented = ROWS[1]) -> Leaderboard:
    """One row."""
    return invent([row], goal=goal)


def column(board: Leaderboard, name: str) -> dict[str, object]:
    return dict(zip(board.table["defense"], board.table[name], strict=True))


def test_the_seconds_of_a_row_are_those_of_all_epochs() -> None:
    board = race()
    assert column(board, "train_seconds")["slow"] == pytest.approx(9.0 * EPOCHS)
    result = board.result
    cells = result.rows[0].cells
    log = tuple({**epoch, "seconds": 11.0} for epoch in cells[1].evidence.training)
    later = replace(cells[1], evidence=cells[1].evidence.model_copy(update={"training": log}))
    row = replace(result.rows[0], cells=(cells[0], later))
    uneven = replace(result, rows=(row, *result.rows[1:]))
    values = {
        name: entry.value(_row(uneven))  # type: ignore[union-attr, call-arg, arg-type]
        for name, entry, _ in columns_of_table(uneven)
        if name in ("train_seconds", "train_seconds_most")
    }
    expected = {"train_seconds": 10.0 * EPOCHS, "train_seconds_most": 11.0 * EPOCHS}
    assert values == pytest.approx(expected)


def test_the_column_goal_says_what_is_missed() -> None:
    said = column(race(), "goal")
    assert said["fast"] == said["slow"] == "reached"
    assert said["lost"] == "diverged"
    gap = 100 * (column(race(), "pgd-20_mean")["weak"] - 0.4)  # type: ignore[operator]
    assert said["weak"] == f"pgd-20 {gap:.1f}"
    assert re.fullmatch(r"pgd-20 -(19|20)\.\d", str(said["weak"]))
    both = column(alone(Goal(accuracy={"clean": 0.9, "pgd-20": 0.6}, seeds=5)), "goal")
    assert re.fullmatch(r"clean -10\.0, pgd-20 -\d+\.\d, seeds 2 of 5", str(both["fast"]))


def test_a_goal_that_is_met_exactly_is_reached_and_one_just_missed_is_not() -> None:
    mean = column(race(), "clean_mean")["fast"]
    assert column(alone(Goal(accuracy={"clean": mean}, seeds=2)), "goal")["fast"] == "reached"
    near = Goal(accuracy={"clean": mean + 2e-4}, seeds=2)  # type: ignore[operator]
    assert column(alone(near), "goal")["fast"] == "clean -0.02"


def test_the_worst_seed_is_shown_for_the_columns_of_the_goal_alone() -> None:
    board = race()
    assert [n for n in board.table if n.endswith("_worst_seed")] == [
        "clean_worst_seed",
        "pgd-20_worst_seed",
    ]
    fast = next(row for row in board.result.rows if row.title == "fast")
    found = [cell.outcomes["pgd-20"].accuracy for cell in fast.cells]
    assert column(board, "pgd-20_worst_seed")["fast"] == min(found) < max(found)
    assert math.isnan(column(board, "pgd-20_worst_seed")["lost"])  # type: ignore[arg-type]


def test_a_board_without_a_goal_has_none_of_its_columns() -> None:
    plain = invent(ROWS[1:2])
    new = set(alone().table) - set(plain.table)
    worst = {"clean_worst_seed", "pgd-20_worst_seed"}
    assert new == {"train_seconds", "train_seconds_most", "goal", *worst}
    assert 'id="speedrun"' not in render(plain)
    assert speedrun_table(plain.result, plain.table) is None


def test_its_columns_are_read_back_with_their_kinds() -> None:
    board = race()
    read = read_csv(to_csv(board.table), TABLE)
    assert list(read["goal"]) == list(board.table["goal"])
    assert read["train_seconds"].tolist()[:-1] == [270, 60, 15]
    assert kind_of("pgd-20_worst_seed") == "fraction"
    assert ("Goal", "reached") in details(board)[0]["facts"]


def test_the_fastest_that_reaches_the_goal_is_first_and_who_misses_it_has_no_place() -> None:
    board = race()
    found = [(row.place, row.title) for row in standings_of(board.result, board.table)]
    assert found == [(1, "fast"), (2, "slow"), (None, "weak"), (None, "lost")]
    assert column(board, "rank")["slow"] == 1, "the table itself is ranked by accuracy"


def test_a_row_with_too_few_seeds_has_no_place() -> None:
    board = alone(Goal(accuracy={"pgd-20": 0.1}, seeds=3))
    assert {row.place for row in standings_of(board.result, board.table)} == {None}


def test_a_network_that_was_not_trained_here_has_no_place() -> None:
    board = alone()
    [row] = board.result.rows
    cells = tuple(
        replace(cell, evidence=cell.evidence.model_copy(update={"training": ()}))
        for cell in row.cells
    )
    result = replace(board.result, rows=(replace(row, cells=cells),))
    goal = next(e for name, e, _ in columns_of_table(result) if name == "goal")
    assert goal.value(_row(result)) == "not trained here"  # type: ignore[union-attr, call-arg, arg-type]


def test_a_row_with_a_network_of_its_own_has_no_place() -> None:
    board = alone()
    wider = board.result.board.model.model_copy(update={"width": 2})
    other = replace(board.result, board=board.result.board.model_copy(update={"model": wider}))
    goal = next(e for name, e, _ in columns_of_table(other) if name == "goal")
    assert goal.value(_row(other)) == "another network"  # type: ignore[union-attr, call-arg, arg-type]


def test_equally_fast_rows_share_a_place() -> None:
    rows = (ROWS[0], replace(ROWS[0], title="as slow"), ROWS[1])
    board = invent(rows, goal=GOAL)
    assert [row.place for row in standings_of(board.result, board.table)] == [1, 2, 2]


def test_the_hardware_says_what_seconds_depend_on() -> None:
    cpu = {"device": "cpu: a machine", "threads": "1"} | timed_on(Shard(), alone=True)
    assert hardware([cpu, cpu]) == "cpu: a machine, 1 thread"
    gpu = {"device": "cuda: a card", "threads": "16"} | timed_on(Shard(0, 2), alone=True)
    assert hardware([cpu, gpu]) == "cpu: a machine, 1 thread; cuda: a card, 2 processes"
    shared = {"device": "cuda: a card"} | timed_on(Shard(), alone=False)
    assert hardware([shared]) == "cuda: a card, perhaps beside other work"
    assert hardware([]) == ""


def test_the_hardware_of_a_training_is_that_of_all_its_sessions() -> None:
    alone = timed_on(Shard(), alone=True)
    one, other = {"device": "cpu: one", "threads": "1"}, {"device": "cpu: other", "threads": "1"}
    assert hardware([in_sessions([one | alone, one | alone])]) == "cpu: one, 1 thread"
    assert hardware([in_sessions([one | alone, other | alone])]) == (
        "cpu: one and cpu: other, 1 thread"
    )
    assert hardware([in_sessions([one, one | alone])]) == (
        "cpu: one, 1 thread, perhaps beside other work"
    )
    two = one | {"threads": "2", "processes": "2"}
    assert hardware([in_sessions([one | alone, two | alone])]) == (
        "cpu: one, 1 and 2 threads, 1 and 2 processes"
    )
    many = [{"device": f"cpu: {number}"} for number in range(5)]
    assert in_sessions(many) == {"device": "cpu: 0 and 4 others"}


def test_a_training_of_which_a_session_was_not_recorded_is_not_called_alone() -> None:
    here = {"device": "cpu: one"} | timed_on(Shard(), alone=True)
    assert in_sessions([{}, here]) == {"device": "cpu: one"}
    assert in_sessions([{}]) == in_sessions([]) == {}


def test_the_page_shows_places_seconds_hardware_and_what_is_missed() -> None:
    board = race()
    shown = speedrun(board)
    assert shown is not None
    fast, _, weak, lost = shown.rows
    assert (fast.place, fast.seconds, fast.slowest) == ("1", "60.00", "60.00")
    assert fast.hardware == "cpu: a machine, perhaps beside other work"
    assert (weak.place, lost.seconds) == ("\N{EN DASH}", "\N{EN DASH}")
    assert weak.missed == column(board, "goal")["weak"]
    text = " ".join(render(board).split())
    section = text[text.index('<section id="speedrun"') :].split("</section>")[0]
    assert "Seconds of training to 70% under clean and 40% under pgd-20" in section
    assert "there is no warm-up" in section
    assert section.index("fast") < section.index("slow") < section.index("weak")
    assert f"<td>{weak.missed}</td>" in section
    assert "Rows were trained on different hardware" in section, "the lost one has no manifest"


def test_the_goal_is_not_rounded() -> None:
    board = alone(Goal(accuracy={"clean": 0.9425, "pgd-20": 0.99996}))
    shown = speedrun(board)
    assert shown is not None
    assert shown.goal == "94.25% under clean and 99.996% under pgd-20"
    table = speedrun_table(board.result, board.table)
    assert table is not None
    assert "clean 94.25%, pgd-20 99.996%" in str(table.title)


def test_names_on_the_page_are_escaped() -> None:
    board = alone(row=replace(ROWS[0], title="<b>bold</b>"))
    assert "<b>bold</b></th>" not in render(board)


def test_a_run_prints_the_race() -> None:
    board = race()
    table = speedrun_table(board.result, board.table)
    assert table is not None
    console = Console(width=100, record=True)
    console.print(table)
    text = console.export_text()
    assert "Speedrun to clean 70%, pgd-20 40%" in text
    assert re.search(r"1 +fast +60\.00 +60\.00", text)
    assert re.search(r"- +weak", text)
    assert f"misses {column(board, 'goal')['weak']}" in text


def _row(result: object) -> object:
    from robench.leaderboard.row import LeaderboardRow

    return LeaderboardRow(result, result.rows[0])  # type: ignore[attr-defined, arg-type]
