"""Compare the names of outcome files with the attacks that they are said to be of.

A name is a hash of the attack with all of its options, its source, the number of images and the
shortcuts that were left out (:mod:`robench.runs.identity`): whoever changes one of these on a board
names other files.
"""

from collections.abc import Iterator

from robench.leaderboard.audit.attacks import known_attacks
from robench.leaderboard.evidence import read_sums
from robench.leaderboard.published import Leaderboard
from robench.registry import attacks
from robench.runs.identity import column_key, source_of
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
                source = _source(entry)
                attack = known.built.get(column)
                made = column_key(column, board.board.evaluation, attack, source)
                if made != key and not source_is_unknown(entry):
                    yield (
                        f"{where}: the outcomes of {column} are named {key}, but those of this "
                        f"attack, with the options of the board, are named {made}."
                    )
    listed = {name for name in read_sums(board.folder) if name.startswith("outcomes/")}
    yield from (f"{name} belongs to no cell." for name in sorted(listed - wanted))
    yield from (f"{name} is not in SHA256SUMS." for name in sorted(wanted - listed))


def source_is_unknown(entry: OutcomeEntry) -> bool:
    """Return whether outcomes are of somebody's own attack whose source was not recorded.

    Boards have recorded it since there are ``sources/`` in them.
    """
    if entry.column == "clean" or entry.source is not None:
        return False
    return not is_shipped(attacks.kind, attacks.lookup(entry.column)[0].name.partition(":")[0])


def _source(entry: OutcomeEntry) -> str | None:
    """Return the recorded source, or that of the attack here where none was recorded."""
    return source_of(entry.column) if source_is_unknown(entry) else entry.source
