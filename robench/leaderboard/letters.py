"""Letters of rows: two rows share one exactly if they are not distinguishable.

H.-P. Piepho, "An algorithm for a letter-based representation of all-pairwise comparisons", J. Comp.
Graph. Stat. 13, 2004.
"""

from collections.abc import Callable
from string import ascii_lowercase


def shared_letters(rows: int, alike: Callable[[int, int], bool]) -> list[str]:
    """Return the letters of each row, separated by spaces.

    A letter stands for a set of rows no two of which are distinguishable. Sets are grown from the
    first pair that shares none yet, by the nearest rows first, so that they are runs of neighbors
    wherever a run will do.

    Args:
        rows: their number; they are in the order of their accuracies.
        alike: whether two rows are not distinguishable; symmetric.
    """
    sets: list[list[int]] = []
    shared: set[tuple[int, int]] = set()
    for first in range(rows):
        for second in range(first, rows):
            if (first, second) in shared or not alike(first, second):
                continue
            members = _grown([first, second] if second > first else [first], rows, alike)
            shared |= {(i, j) for i in members for j in members if i <= j}
            sets.append(members)
    sets.sort()
    letters = [_letters(i) for i in range(len(sets))]
    return [
        " ".join(label for label, own in zip(letters, sets, strict=True) if row in own)
        for row in range(rows)
    ]


def _grown(members: list[int], rows: int, alike: Callable[[int, int], bool]) -> list[int]:
    """Return the set with all rows that are like each of its members, the nearest first."""
    grown = list(members)
    for row in sorted(range(rows), key=lambda row: (abs(row - members[0]), row)):
        if row not in grown and all(alike(row, member) for member in grown):
            grown.append(row)
    return sorted(grown)


def _letters(index: int) -> str:
    """Return a, b, ..., z, aa, ab, ..."""
    before, last = divmod(index, 26)
    return (_letters(before - 1) if before else "") + ascii_lowercase[last]
