"""Letters of rows: shared exactly by those that are not distinguishable."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robench.leaderboard.letters import shared_letters

Pairs = set[tuple[int, int]]


def letters(rows: int, apart: Pairs) -> list[str]:
    return shared_letters(rows, lambda i, j: (min(i, j), max(i, j)) not in apart)


@pytest.mark.parametrize(
    ("rows", "apart", "expected"),
    [
        (0, set(), []),
        (1, set(), ["a"]),
        (3, set(), ["a", "a", "a"]),
        (3, {(0, 1), (0, 2), (1, 2)}, ["a", "b", "c"]),
        (3, {(0, 2)}, ["a", "a b", "b"]),
        (4, {(0, 2), (0, 3), (1, 3)}, ["a", "a b", "b c", "c"]),
        # The outer rows are alike, the one between them is not like the first.
        (3, {(0, 1)}, ["a", "b", "a b"]),
    ],
)
def test_letters_of_small_tables(rows: int, apart: Pairs, expected: list[str]) -> None:
    assert letters(rows, apart) == expected


@given(st.integers(0, 9), st.data())
def test_two_rows_share_a_letter_exactly_if_they_are_not_distinguishable(
    rows: int, data: st.DataObject
) -> None:
    pairs = list(combinations(range(rows), 2))
    apart = data.draw(st.sets(st.sampled_from(pairs))) if pairs else set()
    own = [set(row.split()) for row in letters(rows, apart)]
    assert all(own)
    for i, j in pairs:
        assert bool(own[i] & own[j]) == ((i, j) not in apart)


def test_letters_go_on_after_z() -> None:
    every = set(combinations(range(30), 2))
    assert letters(30, every)[24:29] == ["y", "z", "aa", "ab", "ac"]
