"""What ranks the rows of a board: one of its columns, or the worst case over several attacks.

The attacks of the worst case keep to one threat model, and an image counts as robust only if it is
robust under each of them.
"""

from collections.abc import Mapping, Sequence

from robench.base import ThreatModel
from robench.errors import UserError, did_you_mean, shortened

WORST_CASE = "worst_case"
"""The column of all attacks of a set combined, image by image."""

BEST_KNOWN = "best_known"
"""The worst case, lowered by the adversarial images that others found: ``robench challenge``."""

COMBINED = (WORST_CASE, BEST_KNOWN)
"""Columns that are combined from the outcomes of others; no attack may have their names."""

CORRUPTION = "corruption"
"""The mean over the columns of corruptions; no attack may have its name, but a call may: it stands
for several columns."""

SUMMARIES = (*COMBINED, CORRUPTION)
"""Columns that may rank without being evaluated themselves."""

ADAPTIVE = "adaptive"
"""The attack that each defense may ship against itself; it cannot rank rows that have none."""

DEFAULT_RANKING_COLUMN = "pgd-20"
"""The column that ranks if a board has it, has no AutoAttack and leaves ``rank_by`` out."""

AUTOATTACK = "autoattack"
"""The attack that the field trusts to order defenses, in lower case, whatever library it is of."""


def default_ranking(attacks: Sequence[str]) -> str:
    """Return what ranks a board that leaves it open: the worst case if AutoAttack is in it.

    PGD-20 alone orders defenses otherwise than AutoAttack does. A board without it is ranked by
    its :func:`default_column`.
    """
    common = _common(attacks)
    return WORST_CASE if len(common) > 1 and has_autoattack(common) else default_column(attacks)


def default_column(attacks: Sequence[str]) -> str:
    """Return the column that stands for all: PGD-20, AutoAttack, or else the last, or clean."""
    common = _common(attacks)
    if not common:
        return "clean"
    if DEFAULT_RANKING_COLUMN in common:
        return DEFAULT_RANKING_COLUMN
    return next(filter(_is_autoattack, common), common[-1])


def main_column(attacks: Sequence[str], worst_case: Sequence[str]) -> str:
    """Return the column whose threat model a board has that is ranked by a combined column.

    Args:
        attacks: its attacks.
        worst_case: the attacks of the worst case; empty for the default.
    """
    return _common(worst_case)[0] if worst_case else default_column(attacks)


def _common(attacks: Sequence[str]) -> list[str]:
    """Return the attacks that every row is attacked by: all but those of its defense."""
    return [name for name in attacks if name.partition("(")[0] != ADAPTIVE]


def check_ranking(attacks: Sequence[str], rank_by: str, worst_case: Sequence[str]) -> None:
    """Check the columns of a board, as far as names alone tell.

    Args:
        attacks: its attacks.
        rank_by: the column that ranks; empty for the default.
        worst_case: the attacks of the worst case; empty for the default.

    Raises:
        UserError: if two columns have one name, or a name is not that of a column.
    """
    columns = ("clean", *attacks)
    if len(set(columns)) < len(columns):
        raise UserError(f"two columns have the same name: {shortened(', '.join(columns))}.")
    if taken := [name for name in SUMMARIES if name in attacks]:
        raise UserError(f"an attack may not be named '{taken[0]}': the table has such a column.")
    if rank_by.partition("(")[0] == ADAPTIVE:
        raise UserError(
            f"rank_by = '{shortened(rank_by)}' is an attack that only some defenses have; rank by "
            f"'{WORST_CASE}', in which it counts."
        )
    if rank_by and rank_by not in (*columns, *SUMMARIES):
        near = did_you_mean(rank_by, (*columns, *SUMMARIES))
        raise UserError(f"rank_by = '{shortened(rank_by)}' is not a column; {near}")
    if len(set(worst_case)) < len(worst_case):
        raise UserError("worst_case names an attack twice; name each once.")
    if worst_case and not _common(worst_case):
        raise UserError(
            f"worst_case has no attack but '{shortened(worst_case[0])}', which only some defenses "
            f"have; add one that every row is attacked by."
        )
    for name in worst_case:
        if name not in attacks:
            raise UserError(
                f"worst_case has '{shortened(name)}', which is not one of the board's attacks; "
                f"{did_you_mean(name, attacks)}"
            )


def check_threat_models(
    main: str,
    rank_by: str,
    worst_case: Sequence[str],
    threat_models: Mapping[str, ThreatModel | None],
) -> None:
    """Check that the attacks of the worst case keep to one ball.

    Args:
        main: the column whose threat model the worst case has.
        rank_by: the column that ranks.
        worst_case: the attacks of the worst case; empty for all of the threat model.
        threat_models: column -> the ball that it keeps to.

    Raises:
        UserError: if one keeps to none or to another, or rows are ranked by the worst case over no
            attack.
    """
    wanted = threat_models[main]
    if wanted is None and (worst_case or rank_by in COMBINED):
        named = f"'{shortened(main)}' keeps to no ball" if main != "clean" else "there is no attack"
        raise UserError(
            f"the worst case is over attacks of one threat model, but {named}; name the attacks in "
            f"evaluation.worst_case."
        )
    for name in worst_case:
        if threat_models[name] != wanted:
            raise UserError(
                f"the worst case is over attacks of one threat model, but '{shortened(name)}' does "
                f"not have that of '{shortened(main)}'; take one of them out of "
                f"evaluation.worst_case."
            )


def has_autoattack(attacks: Sequence[str]) -> bool:
    """Return whether AutoAttack, of robench or a library, is among attacks."""
    return any(map(_is_autoattack, attacks))


def _is_autoattack(attack: str) -> bool:
    library, _, inner = attack.partition("(")[0].partition(":")
    return (inner or library).casefold() == AUTOATTACK
