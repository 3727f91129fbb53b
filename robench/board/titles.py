"""Names of rows that are those of other defenses: a reader would take the one for the other."""

import unicodedata

from robench.expressions import parse_expression
from robench.registry import defenses

_TWINS = str.maketrans(
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0455\u0458\u04bb\u0501\u03bf\u03bd\u03b1"
    "\u03c1\u0131\u03f2\u0578\u0585\u057d\u0570",
    "aeopcyxisjhdovapicnouh",
)
"""Letters of other alphabets -> those that look the same."""


def mistaken_for(title: str, defense: str | None) -> str | None:
    """Return the registered defense that the name of a row shows, if it is not the row's own.

    Args:
        title: the name of the row.
        defense: the expression of its defense; None for a third-party network.
    """
    try:
        shown = parse_expression(_skeleton(title)).name
        own = None if defense is None else parse_expression(defense).name
    except ValueError:
        return None  # words, and no expression of a defense
    return shown if shown in defenses and shown != own else None


def _skeleton(title: str) -> str:
    """Return a name as a reader sees it: of one alphabet, in lower case, without what is unseen."""
    # Before and after: normal forms make other letters of some twins, and twins of others.
    seen = "".join(c for c in unicodedata.normalize("NFKD", title.translate(_TWINS)) if _is_seen(c))
    return seen.casefold().translate(_TWINS).strip()


def _is_seen(character: str) -> bool:
    """Return whether a character has a form of its own, as no fillers and marks on others have."""
    marks = ("Mn", "Me", "Cf")
    return (
        character.isprintable()
        and character not in _FILLERS
        and unicodedata.category(character) not in marks
    )


_FILLERS = "\u115f\u1160\u3164\uffa0"
