"""Errors that the user can fix, each with a hint, and warnings."""

import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from difflib import get_close_matches


class UserError(ValueError):
    """A mistake in the user's input: one clear sentence saying what, where and what to do.

    The command line prints it without a traceback and exits with code 2. It is a ``ValueError``, so
    that Python code may catch it as such, and a validator may raise it.
    """


class RobenchWarning(UserWarning):
    """Something that the user should know and that does not stop the work."""


_subject: ContextVar[str] = ContextVar("subject", default="")


def warn(text: str, stacklevel: int = 1) -> None:
    """Warn of something about what is worked on, and name it within :func:`warnings_about`.

    Args:
        text: what is to be said.
        stacklevel: how many calls above this one it is attributed to.
    """
    subject = _subject.get()
    said = f"{subject}: {text}" if subject else text
    warnings.warn(said, RobenchWarning, stacklevel=stacklevel + 1)


@contextmanager
def warnings_about(subject: str) -> Iterator[None]:
    """Name one of several networks in what :func:`warn` says.

    Without its name, the same warning about a second network would also be taken for a repetition.
    """
    token = _subject.set(subject)
    try:
        yield
    finally:
        _subject.reset(token)


LONGEST = 80
"""Characters of the input that a message repeats."""

_LISTED = 600
"""Characters of a list in a message."""


def shortened(text: object, longest: int = LONGEST) -> str:
    """Return input as a message repeats it: not long, and without invisible characters."""
    whole = str(text)
    cut = whole if len(whole) <= longest else f"{whole[: longest - 3]}..."
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in cut)


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, or its kind if it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def bare(name: str) -> str:
    """Return a name without what people write in several ways: capitals, spaces and dashes."""
    return re.sub(r"[\s_-]", "", name[:LONGEST]).casefold()


def question(near: Iterable[str]) -> str:
    """Return the question whether one of several names is meant, given as they are to be shown."""
    return f"did you mean {' or '.join(near)}?"


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """Return the sentence that names the valid spellings nearest to ``name``.

    Falls back to the list, or its beginning, if nothing is near.
    """
    valid = sorted(valid)
    plain = bare(name)
    near = [v for v in valid if bare(v) == plain][:3]
    if not near:
        # The time grows with the product of the lengths; both may come from a stranger's file.
        near = get_close_matches(name[:LONGEST], [v for v in valid if len(v) <= 3 * LONGEST][:2000],
                                 n=3, cutoff=0.5)  # fmt: skip
    if near:
        return question(f"'{shortened(n)}'" for n in near)
    if not valid:
        return "there are none."
    names = [shortened(v) for v in valid]
    between = "; " if any("," in name for name in names) else ", "
    while len(between.join(names)) > _LISTED and len(names) > 1:
        names = names[: len(names) * 3 // 4]
    rest = len(valid) - len(names)
    return "valid: " + between.join(names) + (f" and {rest} more." if rest else ".")
