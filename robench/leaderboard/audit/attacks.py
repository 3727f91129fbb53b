"""The attacks of a published board, as far as they are registered here."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from robench.base import Attack
from robench.board.attack_calls import build_attack
from robench.board.specs import EvaluationSpec
from robench.entries import missing_package
from robench.errors import UserError
from robench.leaderboard.published import Leaderboard
from robench.registry import attacks
from robench.runs.records import EvaluatedColumn
from robench.shipped import is_shipped


@dataclass(frozen=True)
class KnownAttacks:
    """What can be built of a board's attacks.

    Attributes:
        built: column -> attack, for those that are registered here.
        refused: column -> why an attack that comes with robench cannot be built as it is written.
        unknown: the columns of all other attacks: what follows from them is not known here.
    """

    built: Mapping[str, Attack]
    refused: Mapping[str, str]
    unknown: tuple[str, ...]


def known_attacks(evaluation: EvaluationSpec) -> KnownAttacks:
    """Build each attack of a board with the board's defaults."""
    built: dict[str, Attack] = {}
    refused: dict[str, str] = {}
    unknown: list[str] = []
    for column in evaluation.attacks:
        try:
            built[column] = build_attack(column, evaluation.defaults)
        except UserError as error:
            if _ought_to_build(column):
                refused[column] = str(error)
            else:
                unknown.append(column)
    return KnownAttacks(built, refused, tuple(unknown))


def threat_model_problems(board: Leaderboard) -> Iterator[str]:
    """Yield where ``board.json`` says of a column what its attack does not, one sentence each."""
    known = known_attacks(board.board.evaluation)
    for column, reason in known.refused.items():
        yield f"its attack '{column[:80]}' cannot be run: {reason}"
    wanted = {name: EvaluatedColumn.of(attack) for name, attack in known.built.items()}
    for name, meant in {"clean": EvaluatedColumn(), **wanted}.items():
        published = board.columns[name]
        if published.threat_model != meant.threat_model:
            yield (
                f"board.json says that {name} keeps to {_ball(published)}, but with the board's "
                f"options it keeps to {_ball(meant)}."
            )
        if published.reports_queries != meant.reports_queries:
            yield f"board.json is wrong about whether the queries of {name} are a result."
        if published.corrupts != meant.corrupts:
            yield f"board.json is wrong about whether {name} is a corruption."
        if published.proves != meant.proves:
            yield f"board.json is wrong about what {name} proves."


def code_problems(board: Leaderboard) -> Iterator[str]:
    """Yield which attacks a board names without saying what they are, one sentence each.

    What neither robench nor a library that it knows brings is known by its code alone: without it,
    a name would exempt its outcomes from all that is compared with attacks.
    """
    brought = {entry.entry for entry in board.sources}
    for column in board.board.evaluation.attacks:
        word = name_of(column)
        if is_shipped(attacks.kind, word):
            continue
        # An attack of a notebook has no file; who has it loaded needs none.
        if f"attack {word}" not in brought and not attacks.knows(word):
            yield (
                f"board.json names an attack that it does not bring: '{column[:80]}' is not "
                f"robench's, and its code is not in sources/."
            )
            continue
        for cell in board.cells:
            entries = cell.file.manifest.outcomes.values() if cell.file.manifest else ()
            if any(entry.column == column and entry.source is None for entry in entries):
                yield (
                    f"'{cell.row}', seed {cell.seed}: the outcomes of {column[:80]} do not name "
                    f"the code of their attack by its hash."
                )


def name_of(column: str) -> str:
    """Return the name under which an attack, or the library of one, may be registered."""
    word = re.match(r"[a-z][a-z0-9_]*", column)
    return word[0] if word else column


def _ought_to_build(column: str) -> bool:
    """Return whether an attack comes with robench and all that it needs is installed."""
    word = re.match(r"[a-z][a-z0-9_]*:?", column)
    # Which attacks a library has depends on its version, and it may not be installed.
    if word is None or word[0].endswith(":") or not is_shipped(attacks.kind, word[0]):
        return False
    return not attacks.knows(word[0]) or missing_package(attacks.get(word[0])) is None


def _ball(column: EvaluatedColumn) -> str:
    if column.threat_model is None:
        return "no threat model"
    norm, eps = column.threat_model
    return f"{norm[:80]} {eps:g}"
