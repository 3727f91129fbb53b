"""Time a large leaderboard: built from outcomes, compared pair by pair, drawn as a page.

The outcomes are synthetic; everything else is what ``robench run`` does with real ones. The peer
compares the same rows by calling statsmodels' exact McNemar test on one pair after another, and
its t interval of the difference.

    python benchmarks/leaderboard.py            # 200 rows of 5 seeds, 10,000 samples, 6 attacks
    python benchmarks/leaderboard.py --quick
"""

import argparse
import itertools
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from common import options, paired, report
from numpy.typing import NDArray
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.weightstats import DescrStatsW

from robench.base import ThreatModel
from robench.board.board import Board, RowSpec
from robench.board.cells import Cell
from robench.board.specs import DataSpec, EvaluationSpec, ModelSpec, TrainingSpec
from robench.evaluation import Outcomes
from robench.leaderboard.audit import audit
from robench.leaderboard.comparison import compare
from robench.leaderboard.page.write import write_page
from robench.leaderboard.publish import write_leaderboard
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.table import compare_rows, leaderboard
from robench.models.complexity import Complexity
from robench.runs.records import (
    BoardResult,
    CellResult,
    EvaluatedColumn,
    Evidence,
    Manifest,
    OutcomeEntry,
    OutcomeFiles,
    RowResult,
)
from robench.system.provenance import file_hash

ATTACKS = ("noise", "fgsm", "pgd-10", "pgd-20", "pgd-50", "simba")
BALL = ThreatModel("linf", 8 / 255)


def synthetic(accuracy: float, samples: int, rng: np.random.Generator) -> Outcomes:
    """Return synthetic outcomes of an attack that leaves an accuracy of about ``accuracy``."""
    correct = rng.random(samples) < 0.9
    robust = correct & (rng.random(samples) < accuracy)
    counts = rng.integers(1, 1000, samples)
    sizes = np.where(correct, rng.random(samples, dtype=np.float32), np.float32(0))
    return Outcomes(correct, robust, robust, counts, counts, counts, sizes, sizes)


def cell(title: str, seed: int, strength: float, samples: int, folder: Path) -> CellResult:
    rng = np.random.default_rng([seed, int(strength * 1e6)])
    spec = Cell(
        defense=title, data=DataSpec(), data_hash="0" * 64, model=ModelSpec(width=16),
        training=TrainingSpec(), seed=seed,
    )  # fmt: skip
    paths, entries = {}, {}
    for index, column in enumerate(("clean", *ATTACKS)):
        path = folder / spec.key / f"{column}.npz"
        synthetic(strength / (1 + 0.1 * index), samples, rng).save(path)
        paths[column] = path
        entries[column] = OutcomeEntry(
            column=column, outcomes_hash=file_hash(path), seconds_of_group=1.0, gradients="float32",
            version="invented",
        )  # fmt: skip
    manifest = Manifest(
        specification=spec.key, version="invented", environment={"python": "3"},
        data_hash="0" * 64, training_seconds=1.0, peak_memory_mib=1, weights_hash="0" * 64,
        outcomes=entries,
    )  # fmt: skip
    epochs = tuple({"epoch": float(e), "seconds": 1.0, "val_accuracy": 0.5} for e in range(30))
    return CellResult(Evidence(cell=spec, manifest=manifest, training=epochs), OutcomeFiles(paths))


def board(rows: int, seeds: int, samples: int, folder: Path) -> BoardResult:
    titles = [f"defense_{i}" for i in range(rows)]
    spec = Board(
        title="invented outcomes", arms=tuple(RowSpec(defense=title) for title in titles),
        seeds=tuple(range(seeds)), model=ModelSpec(width=16),
        evaluation=EvaluationSpec(attacks=ATTACKS, samples=samples, rank_by="pgd-20"),
    )  # fmt: skip
    attacked = {name: EvaluatedColumn(BALL, name == "simba") for name in ATTACKS}
    columns = {"clean": EvaluatedColumn(), **attacked}
    costs = Complexity(parameters=1, multiply_adds=1, training_memory_mib=1.0)
    made = tuple(
        RowResult(
            title, costs,
            tuple(cell(title, s, 0.3 + 0.4 * i / rows, samples, folder) for s in range(seeds)),
        )
        for i, title in enumerate(titles)
    )  # fmt: skip
    return BoardResult(spec, "invented", columns, made)


def one_by_one(robust: dict[str, NDArray[np.bool_]]) -> list[float]:
    """Compare each pair of rows of one seed with one call of statsmodels."""
    found = []
    for one, other in itertools.combinations(robust.values(), 2):
        won, lost = int((one & ~other).sum()), int((other & ~one).sum())
        found.append(float(mcnemar([[0, won], [lost, 0]], exact=True).pvalue))
        DescrStatsW(one[0].astype(float) - other[0]).tconfint_mean()
    return found


def whole(arguments: argparse.Namespace, folder: Path) -> None:
    result = board(arguments.rows, arguments.seeds, arguments.samples, folder / "cells")
    start = time.perf_counter()
    compared = compare_rows(result)
    table = leaderboard(result, compared)
    built = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    write_leaderboard(result, table, compared, folder / "large")
    read = Leaderboard.read(folder / "large")
    start = time.perf_counter()
    page = write_page(read, folder / "page.html")
    drawn = time.perf_counter() - start
    start = time.perf_counter()
    problems = audit(read)
    print(
        f"{arguments.rows} rows x {arguments.seeds} seeds x {arguments.samples} samples x "
        f"{len(ATTACKS)} attacks: built in {built:.1f} s, peak {peak:.0f} MiB; page of "
        f"{page.stat().st_size / 2**20:.2f} MiB in {drawn:.1f} s; verified in "
        f"{time.perf_counter() - start:.1f} s, {len(problems)} problems"
    )
    for problem in problems[:3]:
        print(problem)


def main() -> None:
    parser = options(
        str(__doc__).split("\n", 1)[0], rows=200, seeds=5, samples=10_000, networks=200, rounds=3
    )
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rows, arguments.samples, arguments.networks = 20, 1000, 60
    with tempfile.TemporaryDirectory() as scratch:
        whole(arguments, Path(scratch))
    rng = np.random.default_rng(0)
    robust = {
        str(i): rng.random((1, arguments.samples)) < 0.4 + 0.2 * i / arguments.networks
        for i in range(arguments.networks)
    }
    times = paired(lambda: compare(robust), lambda: one_by_one(robust), arguments.rounds)
    report({"comparison/statsmodels": times}, arguments.json)


if __name__ == "__main__":
    main()
