"""How wide text is in a picture, estimated without the font that will show it."""

import unicodedata

_NARROW = frozenset(" .,:;'|!ijltfrIJ()[]/\\-\"")
_WIDE = frozenset("mwMW@%+=<>~#&^")


def text_width(text: str, size: float) -> float:
    """Return the width of text in pixels, at most, in DejaVu Sans, wider than most other fonts.

    Args:
        text: a line of text; East Asian letters and emoji count as two.
        size: the size of the font in pixels.
    """
    return size * sum(map(_em, text))


def fitting(text: str, room: float, size: float) -> str:
    """Return as much of the beginning of a text as fits in some pixels, with an ellipsis if cut."""
    if text_width(text, size) <= room:
        return text
    kept = len(text)
    while kept and text_width(text[:kept] + "…", size) > room:
        kept -= 1
    return text[:kept] + "…"


def _em(letter: str) -> float:
    """Return the width of a letter in multiples of the size of its font."""
    if unicodedata.combining(letter):
        return 0.0
    if unicodedata.east_asian_width(letter) in "WF":
        return 1.28
    plain = unicodedata.normalize("NFD", letter)[0]  # without its accent
    if plain in _NARROW:
        return 0.47
    if plain in _WIDE or not plain.isascii():
        return 1.1
    return 0.8 if plain.isupper() else 0.64
