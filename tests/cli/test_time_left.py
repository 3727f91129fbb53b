"""The time left, in words."""

import math

import pytest

from robench.cli.time_left import time_left


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -1.0, 0.0, 0.9])
def test_what_is_unknown_or_over_has_no_words(seconds: float) -> None:
    assert time_left(seconds) == ""


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(45, "45 s"), (89, "89 s"), (200, "3 min"), (89 * 60, "89 min"), (4 * 3600, "4.0 h")],
)
def test_the_unit_fits_the_time(seconds: float, words: str) -> None:
    assert time_left(seconds) == f" (about {words} left)"
