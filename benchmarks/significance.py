"""Measure how often the comparison of rows is wrong, and how often it finds a difference.

Boards are simulated: the runs of a row vary about its accuracy, some images are hard for all
networks, some for all runs of a row. On a board whose rows are equal, any pair that is called
distinguishable is an error; 5% of such boards may have one. On a board whose first row is 5 points
better than the others, its pairs should be found.

    python benchmarks/significance.py            # 1,000 boards a case: a quarter of an hour
    python benchmarks/significance.py --quick
"""

import itertools
from dataclasses import asdict, dataclass

import numpy as np
from common import machine, options
from numpy.typing import NDArray
from scipy.stats import norm

from robench.leaderboard.comparison import compare
from robench.system.files import write_json

Rng = np.random.Generator

BETTER = 0.05
"""By how much the first row is better on boards on which there is something to find."""

BASE = 0.4
"""Accuracy of the rows."""

SPREADS = {
    "all alike": lambda rows, _: np.full(rows, 0.01),
    "unlike": lambda rows, rng: 0.01 * np.exp(rng.normal(0, 0.7, rows)),
    "one of ten times": lambda rows, _: np.array([0.03, *[0.003] * (rows - 1)]),
}
"""How far the runs of each row vary: standard deviations of their accuracies."""


@dataclass(frozen=True)
class Line:
    """One kind of board; shares are of the boards, or of the first row's pairs."""

    spreads: str
    rows: int
    seeds: int
    wrong: float
    found: float


def outcomes(
    accuracies: NDArray[np.float64], shared: NDArray[np.float64], rng: Rng
) -> NDArray[np.bool_]:
    """Return which images each run of a row classifies correctly, (seeds, images).

    Each image has a difficulty for all networks, ``shared``, one for the row and one for the run,
    which make up 64%, 9% and 27% of its variance.
    """
    own, each = rng.normal(size=shared.shape), rng.normal(size=(len(accuracies), *shared.shape))
    difficulty = 0.8 * shared + 0.3 * own + np.sqrt(0.27) * each
    return difficulty < norm.ppf(np.clip(accuracies, 0.01, 0.99))[:, None]


def board(
    kind: str, rows: int, seeds: int, *, better: float, images: int, rng: Rng
) -> dict[str, NDArray[np.bool_]]:
    """Return the outcomes of a board: row -> (seeds, images)."""
    spreads, shared = SPREADS[kind](rows, rng), rng.normal(size=images)
    made = {}
    for row, spread in enumerate(spreads):
        middle = BASE + (better if row == 0 else 0)
        made[str(row)] = outcomes(middle + spread * rng.normal(size=seeds), shared, rng)
    return made


def measure(kind: str, rows: int, seeds: int, *, boards: int, images: int) -> Line:
    """Compare the rows of many boards, with and without something to find."""
    rng = np.random.default_rng([rows, seeds])
    wrong, found = [], []
    for _ in range(boards):
        equal = compare(board(kind, rows, seeds, better=0.0, images=images, rng=rng)).pairs
        wrong.append(equal["distinguishable"].any())
        pairs = compare(board(kind, rows, seeds, better=BETTER, images=images, rng=rng)).pairs
        first = pairs[(pairs["first"] == "0") | (pairs["second"] == "0")]
        found.append(first["distinguishable"].mean())
    return Line(kind, rows, seeds, float(np.mean(wrong)), float(np.mean(found)))


def main() -> None:
    parser = options(str(__doc__).split("\n", 1)[0], boards=1000, images=1000)
    arguments = parser.parse_args()
    cases = itertools.product(SPREADS, (2, 4, 10), (2, 3, 5))
    if arguments.quick:
        arguments.boards = min(arguments.boards, 60)
        cases = itertools.product(SPREADS, (4,), (2, 3))
    print(f"{arguments.boards} boards a case, {arguments.images} images\n{machine()}")
    print(f"{'runs vary':16}  {'rows':>4}  {'seeds':>5}  {'a false pair':>12}  {'found':>6}")
    lines = []
    for kind, rows, seeds in cases:
        line = measure(kind, rows, seeds, boards=arguments.boards, images=arguments.images)
        lines.append(asdict(line))
        print(f"{kind:16}  {rows:4}  {seeds:5}  {line.wrong:12.1%}  {line.found:6.1%}", flush=True)
    if arguments.json is not None:
        write_json(arguments.json, {"lines": lines})


if __name__ == "__main__":
    main()
