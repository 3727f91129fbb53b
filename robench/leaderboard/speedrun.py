"""A board with a goal as a race: which rows reach it, and how many seconds their trainings took."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from robench.board.board import Board
from robench.board.cells import ExternalCell
from robench.board.goal import Goal
from robench.leaderboard.row import LeaderboardRow
from robench.runs.records import BoardResult
from robench.system.provenance import ALONE

REACHED = "reached"
"""What the column ``goal`` says of a row that may have a place."""

ROUNDING = 1e-9
"""A mean of accuracies of the seeds may fall below what it is exactly by this much."""


def has_goal(result: BoardResult) -> bool:
    """Return whether a board is a speedrun."""
    return result.board.goal is not None


def has_goal_for(result: BoardResult, column: str) -> bool:
    """Return whether a board is a speedrun to an accuracy in this column."""
    goal = result.board.goal
    return goal is not None and column in goal.accuracy


def mean_seconds(row: LeaderboardRow) -> float:
    """Return the seconds of training, mean over the seeds; nan if one has none."""
    return math.fsum(_seconds(row)) / len(row.cells)


def most_seconds(row: LeaderboardRow) -> float:
    """Return the seconds of the slowest training; nan if a seed has none."""
    seconds = _seconds(row)
    return math.nan if any(map(math.isnan, seconds)) else max(seconds)


def verdict(row: LeaderboardRow) -> str:
    """Return :data:`REACHED`, or what the row misses, separated by commas."""
    goal = row.board.goal
    return "" if goal is None else ", ".join(_missed(row, goal)) or REACHED


def _seconds(row: LeaderboardRow) -> list[float]:
    return [cell.training_seconds for cell in row.cells]


def _missed(row: LeaderboardRow, goal: Goal) -> Iterable[str]:
    if row.diverged:
        yield "diverged"
        return
    for column, wanted in goal.accuracy.items():
        gap = 100 * (wanted - row.evaluated[column].accuracy.mean)
        if not gap <= 100 * ROUNDING:
            yield f"{column} {-gap:.1f}" if gap >= 0.05 else f"{column} {-gap:.1g}"
    if len(row.cells) < goal.seeds:
        yield f"seeds {len(row.cells)} of {goal.seeds}"
    if isinstance(row.cell, ExternalCell) or any(map(math.isnan, _seconds(row))):
        yield "not trained here"
    elif row.cell.model != row.board.model:
        yield "another network"


@dataclass(frozen=True)
class Standing:
    """Where a row stands in a race.

    Attributes:
        place: 1 for the fastest; None for a row that misses the goal.
        title: its name.
        seconds: seconds of training, mean over the seeds; nan if it was not trained here.
        slowest: the same of the slowest seed.
        hardware: what it was trained on; see :func:`hardware`.
        accuracy: column of the goal -> mean and worst seed.
        seeds: number of seeds.
        commit: the code that trained it.
        flags: the checks that it failed, separated by spaces.
        verdict: :data:`REACHED`, or what it misses.
    """

    place: int | None
    title: str
    seconds: float
    slowest: float
    hardware: str
    accuracy: Mapping[str, tuple[float, float]]
    seeds: int
    commit: str
    flags: str
    verdict: str


def standings(
    board: Board, table: pd.DataFrame, environments: Mapping[str, Sequence[Mapping[str, str]]]
) -> list[Standing]:
    """Return the rows of a race: those that reach the goal by their seconds, then the others.

    Args:
        board: the specification; without a goal there is no race.
        table: its leaderboard.
        environments: title -> the environments in the manifests of its cells.
    """
    if board.goal is None:
        return []
    order = table.assign(late=table["goal"] != REACHED)
    order = order.sort_values(["late", "train_seconds"], kind="stable", na_position="last")
    seconds = order.loc[~order["late"], "train_seconds"]
    places = seconds.rank(method="min", na_option="bottom").astype(int).to_dict()
    return [
        _standing(board.goal, places.get(index), row, environments.get(str(row["defense"]), ()))
        for index, row in zip(order.index, order.to_dict("records"), strict=True)
    ]


def standings_of(result: BoardResult, table: pd.DataFrame) -> list[Standing]:
    """Return the rows of a race with the hardware of their manifests; see :func:`standings`."""
    manifests = {row.title: [c.evidence.manifest for c in row.cells] for row in result.rows}
    environments = {
        title: [manifest.environment for manifest in own if manifest is not None]
        for title, own in manifests.items()
    }
    return standings(result.board, table, environments)


def hardware(environments: Iterable[Mapping[str, str]]) -> str:
    """Return what trainings ran on, such as ``cpu: AMD EPYC 7B13, 1 thread``; each once.

    A training of which it is not recorded that it ran alone may have been slowed down by others.
    """
    return "; ".join(dict.fromkeys(map(_machine, environments)))


def _machine(environment: Mapping[str, str]) -> str:
    device, threads = environment.get("device", ""), environment.get("threads", "")
    words = [device or "unknown"]
    if threads and not device.startswith("cuda"):
        words.append("1 thread" if threads == "1" else f"{threads} threads")
    if processes := environment.get("processes", ""):
        words.append(f"{processes} processes")
    if environment.get("training", "") != ALONE:
        words.append("perhaps beside other work")
    return ", ".join(words)


def _standing(
    goal: Goal, place: int | None, row: Mapping[Any, Any], environments: Iterable[Mapping[str, str]]
) -> Standing:
    return Standing(
        place=place,
        title=str(row["defense"]),
        seconds=float(row["train_seconds"]),
        slowest=float(row["train_seconds_most"]),
        hardware=hardware(environments),
        accuracy={
            name: (float(row[f"{name}_mean"]), float(row[f"{name}_worst_seed"]))
            for name in goal.accuracy
        },
        seeds=len(str(row["seeds"]).split()),
        commit=str(row["version"]),
        flags=str(row["flags"]),
        verdict=str(row["goal"]),
    )
