"""In-memory leaderboards for the tests of the page, with invented outcomes.

The table, the comparisons and the manifests are built by the code that builds them for real boards.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from robench.board.board import Board, RowSpec
from robench.board.cells import Cell
from robench.board.goal import Goal
from robench.board.paper import Paper
from robench.board.specs import DataSpec, EvaluationSpec, ModelSpec, TrainingSpec
from robench.evaluation import Outcomes
from robench.leaderboard.derived import derived_tables
from robench.leaderboard.evidence import CellFile
from robench.leaderboard.published import Leaderboard, PublishedCell
from robench.leaderboard.table import compare_rows, leaderboard
from robench.models.complexity import Complexity
from robench.runs.records import (
    BoardResult,
    CellResult,
    Divergence,
    EvaluatedColumn,
    Evidence,
    Manifest,
    OutcomeEntry,
    RowResult,
)

EPS = 8 / 255
THREAT_MODEL = ("linf", EPS)
COLUMNS = {
    "clean": EvaluatedColumn(),
    "fgsm": EvaluatedColumn(THREAT_MODEL),
    "pgd-20": EvaluatedColumn(THREAT_MODEL),
    "simba(samples=50)": EvaluatedColumn(None, reports_queries=True),
}
COSTS = Complexity(parameters=701_466, multiply_adds=35_046_656, training_memory_mib=79.3)
RADII = (0.0, EPS / 4, EPS / 2, EPS, 2 * EPS, 4 * EPS, 1.0)
HONEST = ("more_steps", "more_restarts", "noise_floor", "eps_curve", "large_eps", "inside_ball")


@dataclass(frozen=True)
class Invented:
    """The specification of an invented row; accuracies are fractions of the samples."""

    title: str
    accuracies: dict[str, float] = field(
        default_factory=lambda: {"clean": 0.8, "fgsm": 0.5, "pgd-20": 0.4, "simba(samples=50)": 0.1}
    )
    seconds: float = 10.0
    failed: dict[str, str] = field(default_factory=dict)
    method: str = "free"
    diverged: bool = False
    collapsed: bool = False
    model: ModelSpec = ModelSpec(width=16)  # noqa: RUF009 - frozen
    checked: bool = True
    device: str = "cpu: a machine"


def invent(
    rows: Sequence[Invented],
    *,
    title: str = "a board of the tests (reduced)",
    name: str = "tests",
    seeds: Sequence[int] = (0, 1),
    samples: int = 200,
    columns: dict[str, EvaluatedColumn] | None = None,
    folder: Path = Path("/nonexistent"),
    paper: Paper | None = None,
    authors: str = "",
    goal: Goal | None = None,
    rank_by: str = "pgd-20",
    sizes: dict[str, int] | None = None,
) -> Leaderboard:
    """Return a leaderboard with these rows, as if it had been read from ``folder``.

    ``sizes`` has the columns that are on fewer images.
    """
    columns = columns or COLUMNS
    board = Board(
        title=title,
        description="Made by the tests.",
        authors=authors,
        paper=paper,
        goal=goal,
        arms=tuple(RowSpec(defense="vanilla", label=row.title) for row in rows),
        seeds=tuple(seeds),
        data=DataSpec(name="digits"),
        model=ModelSpec(width=16),
        evaluation=EvaluationSpec(
            attacks=tuple(c for c in columns if c != "clean"),
            samples=samples,
            rank_by=rank_by,
            checks=any(row.checked for row in rows),
        ),
    )
    results = tuple(
        RowResult(
            row.title,
            COSTS,
            tuple(_cell(row, number, seed, samples, columns, sizes or {}) for seed in seeds),
        )
        for number, row in enumerate(rows)
    )
    result = BoardResult(board, "digits", columns, results)
    cells = tuple(
        PublishedCell(CellFile(row=row.title, costs=COSTS, **dict(cell.evidence)), cell, folder)
        for row in results
        for cell in row.cells
    )
    made = Leaderboard(name, folder, board, "digits", columns, cells)
    comparison = compare_rows(result)
    vars(made)["table"] = leaderboard(result, comparison)
    vars(made)["comparisons"] = comparison.pairs
    vars(made)["derived"] = derived_tables(result, made.table)
    return made


def _cell(
    row: Invented,
    number: int,
    seed: int,
    samples: int,
    columns: dict[str, EvaluatedColumn],
    sizes: dict[str, int],
) -> CellResult:
    rng = np.random.default_rng([number, seed])
    outcomes = {
        name: _outcomes(row, name, sizes.get(name, samples), rng, column.reports_queries)
        for name, column in columns.items()
    }
    specification = Cell(
        defense="vanilla",
        data=DataSpec(name="digits"),
        data_hash=_hash("digits"),
        model=row.model,
        training=TrainingSpec(method="standard" if row.method == "standard" else "free"),
        seed=seed,
    )
    manifest = Manifest(
        specification=specification.key,
        version="abcdef012345",
        environment={"device": row.device, "torch": "2.5.0", "python": "3.11.0"},
        data_hash=_hash("digits"),
        training_seconds=12.5,
        peak_memory_mib=512,
        weights_hash=_hash("weights", number, seed),
        outcomes={
            f"key-{index}": OutcomeEntry(
                column=column,
                outcomes_hash=_hash(column, number, seed),
                seconds_of_group=float(rng.random()),
                gradients="bf16",
                version="abcdef012345",
            )
            for index, column in enumerate(columns)
        },
    )
    evidence = Evidence(
        cell=specification,
        manifest=None if row.diverged else manifest,
        diverged=Divergence(reason="the loss is NaN", version="abc") if row.diverged else None,
        training=tuple(_epoch(epoch, row, rng) for epoch in range(1, 31)),
        checks=_checks(row, rng) if row.checked and not row.diverged else None,
    )
    return CellResult(evidence, {} if row.diverged else outcomes)


def _outcomes(
    row: Invented, column: str, samples: int, rng: np.random.Generator, counts: bool
) -> Outcomes:
    order = rng.permutation(samples) / samples
    correct = order < row.accuracies["clean"]
    robust = order < row.accuracies.get(column, row.accuracies["pgd-20"]) + 0.02 * rng.random()
    robust &= correct
    asked = correct if counts else np.zeros_like(correct)
    queries = np.where(asked, np.where(robust, 3000, rng.integers(1, 3000, samples)), 0)
    none = np.zeros(samples)
    return Outcomes(
        correct=correct,
        robust=correct if column == "clean" else robust,
        rounded=correct if column == "clean" else robust,
        queries=queries.astype(np.int64),
        forwards=none.astype(np.int64),
        backwards=none.astype(np.int64),
        linf=none.astype(np.float32),
        l2=none.astype(np.float32),
    )


def _epoch(epoch: int, row: Invented, rng: np.random.Generator) -> dict[str, float | None]:
    share = row.accuracies["clean"] * (1 - 0.8 ** (epoch + rng.random()))
    return {
        "epoch": epoch,
        "seconds": row.seconds,
        "images_per_second": 1000 / row.seconds,
        "train_loss": 2.3 - share,
        "train_accuracy": 0.9 * share,
        "val_accuracy": share,
        "val_robust": 0.0 if row.collapsed and epoch == 30 else share / 2,
    }


def _checks(row: Invented, rng: np.random.Generator) -> dict[str, Any]:
    findings = [
        {
            "check": name,
            "passed": None if name == "noise_floor" else True,
            "sentence": f"PGD with twice the steps leaves {100 * rng.random():.1f}% of 128 images "
            "right where the board's leaves as many: it is strong enough here.",
        }
        for name in HONEST
        if name not in row.failed
    ]
    failed = [{"check": n, "passed": False, "sentence": s} for n, s in row.failed.items()]
    at = row.accuracies["pgd-20"]
    curve = [
        {"eps": e, "accuracy": float(np.clip(row.accuracies["clean"] * 0.5 ** (e / EPS), 0, 1))}
        for e in RADII[:-1]
    ]
    last = {"eps": 1.0, "accuracy": 0.0 if at < 0.9 else at}
    return {"version": 1, "samples": 128, "findings": failed + findings, "curve": [*curve, last]}


def _hash(*what: object) -> str:
    return hashlib.sha256(repr(what).encode()).hexdigest()
