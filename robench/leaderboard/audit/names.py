"""Compare the names of outcome files with the attacks that they are said to be of.

A name is a hash of the attack with all of its options, its source, the number of images and the
shortcuts that were left out (:mod:`robench.runs.identity`): whoever changes one of these on a board
names other files.
"""

from collections.abc import Iterator
from functools import partial

from robench.leaderboard.audit.attacks import KnownAttacks, known_attacks, name_of
from robench.leaderboard.evidence import read_sums
from robench.leaderboard.published import Leaderboard
from robench.registry import attacks
from robench.runs.identity import ENGINE_VERSION, column_key
from robench.runs.records import OutcomeEntry
from robench.shipped import is_shipped


def name_problems(board: Leaderboard) -> Iterator[str]:
    """Yield where outcomes are not named as their attacks are, one sentence each."""
    known = known_attacks(board.board.evaluation)
    wanted: set[str] = set()
    for cell in board.cells:
        where = f"'{cell.row}', seed {cell.seed}"
        entries = cell.file.manifest.outcomes if cell.file.manifest else {}
        columns = [entry.column for entry in entries.values()]
        for key, entry in entries.items():
            column = entry.column
            wanted.add(cell.path_of(key).relative_to(board.folder).as_posix())
            if column not in board.columns:
                yield f"{where}: it has outcomes of '{column[:80]}', which is not on the board."
            elif columns.count(column) > 1:
                yield f"{where}: it has more than one file of outcomes of {column}."
            elif column == "clean" or column in known.built:
                made = _names(entry, board, known)
                if key not in made and not _source_is_unknown(entry):
                    yield (
                        f"{where}: the outcomes of {column} are named {key}, but those of this "
                        f"attack, with the options of the board, are named {made[0]}."
                    )
    listed = {name for name in read_sums(board.folder) if name.startswith("outcomes/")}
    yield from (f"{name} belongs to no cell." for name in sorted(listed - wanted))
    missing = (name for name in wanted - listed if not (board.folder / name).exists())
    yield from (f"{name} is not in SHA256SUMS." for name in sorted(missing))


def _source_is_unknown(entry: OutcomeEntry) -> bool:
    """Return whether outcomes lack the hash of somebody's own attack: a problem by itself."""
    if entry.column == "clean" or entry.source is not None:
        return False
    return not is_shipped(attacks.kind, name_of(entry.column))


def earlier_engines(board: Leaderboard) -> dict[int, set[str]]:
    """Return version -> columns, for outcomes that earlier versions of the engine computed.

    Such boards remain sound: their outcomes are what they say, under the rules of their time.
    """
    known = known_attacks(board.board.evaluation)
    found: dict[int, set[str]] = {}
    for cell in board.cells:
        for key, entry in cell.file.manifest.outcomes.items() if cell.file.manifest else ():
            if entry.column != "clean" and entry.column not in known.built:
                continue
            for back, name in enumerate(_names(entry, board, known)[1:], start=1):
                if name == key:
                    found.setdefault(ENGINE_VERSION - back, set()).add(entry.column)
    return found


def _names(entry: OutcomeEntry, board: Leaderboard, known: KnownAttacks) -> list[str]:
    """Return the names of a column's outcomes by this version of the engine and all before it."""
    evaluation, attack = board.board.evaluation, known.built.get(entry.column)
    versions = range(ENGINE_VERSION, 0, -1)
    column, source, library = entry.column, entry.source, entry.library
    made = partial(column_key, column, evaluation, attack, source, library=library)
    return [made(engine=version) for version in versions]
