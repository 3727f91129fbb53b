"""Widths of texts, estimated without a font."""

import string

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath

from robench.leaderboard.lettering import fitting, text_width

LETTERS = string.printable.strip() + "éÜñçøÆ±…ДЖщλΩ"


def in_dejavu_sans(text: str) -> float:
    """Return the width of a text in a wide font that many systems have, at 12 pixels."""
    width, _, _ = TextToPath().get_text_width_height_descent(
        text, FontProperties(family="DejaVu Sans", size=12), ismath=False
    )
    return float(width)


def test_no_letter_is_wider_than_estimated_and_few_are_much_narrower() -> None:
    for letter in LETTERS:
        assert in_dejavu_sans(10 * letter) <= text_width(10 * letter, 12) + 0.1, letter
    name = "batchnorm(momentum=0.1), seed 12"
    assert text_width(name, 12) < 1.2 * in_dejavu_sans(name)
    assert text_width("中文", 12) > 24  # as wide as high
    assert text_width("e\u0301", 12) == text_width("e", 12)


def test_as_much_of_a_text_is_kept_as_fits() -> None:
    assert fitting("a name", text_width("a name", 12), 12) == "a name"
    room = text_width("a na…", 12)
    assert fitting("a name", room, 12) == "a na…"
    assert fitting("a name", room - 1, 12) == "a n…"
    assert fitting("a name", 0, 12) == "…"
