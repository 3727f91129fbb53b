"""What the user is told: mistakes that can be mended, with a hint, and notices."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(ValueError):
    """A mistake in what the user gave: one clear sentence saying what, where and what to do.

    The command line prints it without a traceback and exits with code 2. It is a ``ValueError``, so
    that Python code may catch it as such, and a validator may raise it.
    """


class RobenchWarning(UserWarning):
    """Something that the user should know and that stops nothing."""


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """Return the sentence that names the valid spellings nearest to ``name``.

    Falls back to the whole list where nothing is near.
    """
    valid = sorted(valid)
    near = get_close_matches(name, valid, n=3, cutoff=0.5)
    if near:
        return "did you mean " + " or ".join(f"'{n}'" for n in near) + "?"
    if valid:
        return "valid: " + ", ".join(valid) + "."
    return "there are none."
