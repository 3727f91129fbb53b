"""Errors that the user can fix, each with a hint, and warnings."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(ValueError):
    """A mistake in the user's input: one clear sentence saying what, where and what to do.

    The command line prints it without a traceback and exits with code 2. It is a ``ValueError``, so
    that Python code may catch it as such, and a validator may raise it.
    """


class RobenchWarning(UserWarning):
    """Something that the user should know and that does not stop the work."""


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """Return the sentence that names the valid spellings nearest to ``name``.

    Falls back to the whole list if nothing is near.
    """
    valid = sorted(valid)
    near = get_close_matches(name, valid, n=3, cutoff=0.5)
    if near:
        return "did you mean " + " or ".join(f"'{n}'" for n in near) + "?"
    if valid:
        return "valid: " + ", ".join(valid) + "."
    return "there are none."
