"""What the audit could not compare, and what is equal for a reason that a reader should know."""

from collections.abc import Iterator

from robench.leaderboard.audit.attacks import known_attacks
from robench.leaderboard.audit.duplicates import Copies, duplicates
from robench.leaderboard.audit.names import earlier_engines
from robench.leaderboard.audit.outcomes import BOUNDED_BELOW
from robench.leaderboard.audit.randomness import randomness_notes
from robench.leaderboard.audit.values import SIZES
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.sources import earlier_attack
from robench.runs.identity import ENGINE_VERSION, library_of
from robench.runs.records import OutcomeEntry


def audit_notes(board: Leaderboard, copies: Copies | None = None) -> list[str]:
    """Return what :func:`audit` took on trust in a board's outcomes, one sentence each.

    Args:
        board: the board as read.
        copies: its outcomes that are there twice; looked for if left out.

    Raises:
        UserError: if outcomes are missing or damaged.
    """
    return [
        *_unknown_attacks(board),
        *_other_norms(board),
        *_earlier_engines(board),
        *_earlier_attacks(board),
        *_other_libraries(board),
        *randomness_notes(board),
        *(copies or duplicates(board)).notes,
    ]


def _unknown_attacks(board: Leaderboard) -> Iterator[str]:
    for column in known_attacks(board.board.evaluation).unknown:
        yield (
            f"the attack {column} is not loaded here, so the names, the number of images and the "
            f"threat model of its outcomes were not compared with it."
        )


def _other_norms(board: Leaderboard) -> Iterator[str]:
    for name, column in board.columns.items():
        norm = column.threat_model[0] if column.threat_model else "linf"
        if norm in SIZES:
            continue
        lengths = f"only lengths in {' and '.join(SIZES)} are published"
        if norm in BOUNDED_BELOW:
            shorter = BOUNDED_BELOW[norm]
            yield f"the radius of {name} was compared with {shorter}, not with {norm}: {lengths}."
        else:
            yield f"the radius of {name} was not compared with its {norm[:80]} sizes: {lengths}."


def _earlier_engines(board: Leaderboard) -> Iterator[str]:
    for version, columns in earlier_engines(board).items():
        yield (
            f"the outcomes of {', '.join(sorted(columns))} were computed by version {version} of "
            f"the engine, under other rules than those of this version, {ENGINE_VERSION}."
        )


def _earlier_attacks(board: Leaderboard) -> Iterator[str]:
    columns = {
        entry.column
        for entry in _entries(board)
        if entry.column != "clean" and earlier_attack(entry.column, entry.source)
    }
    for column in sorted(columns):
        yield (
            f"the outcomes of {column} were computed by an earlier version of this attack; made "
            f"again, they may differ on some images."
        )


def _other_libraries(board: Leaderboard) -> Iterator[str]:
    named = {(entry.column, entry.library) for entry in _entries(board) if entry.library}
    for column, library in sorted(named):
        here = library_of(column)
        if library != here:
            yield (
                f"the outcomes of {column[:80]} were computed with {library}, but here is {here}; "
                f"made again, they may differ on some images."
            )


def _entries(board: Leaderboard) -> Iterator[OutcomeEntry]:
    """Yield what the manifests say of all outcomes."""
    for cell in board.cells:
        yield from cell.file.manifest.outcomes.values() if cell.file.manifest else ()
