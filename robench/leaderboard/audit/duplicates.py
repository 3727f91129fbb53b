"""Find outcomes that were copied from one column or cell to another, and cells listed twice.

Lengths of perturbations are evidence: an attack that asks the model moves each image by a length of
its own on each network. What may honestly be equal is passed over, such as unmoved images and noise
that asks no model, or noted where a forger could have made it, too.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields

import numpy as np

from robench.base import Attack
from robench.board.cells import ExternalCell
from robench.evaluation import Outcomes
from robench.leaderboard.audit.attacks import known_attacks
from robench.leaderboard.audit.seeds import (
    BLOCK,
    DISTINCT_IN_BLOCK,
    Lengths,
    log_of,
    same_log_problems,
)
from robench.leaderboard.audit.starts import explained_lengths
from robench.leaderboard.published import Leaderboard, PublishedCell

DISTINCT = 5
"""How many different lengths must agree in a whole column."""

CLEAN_MISTAKES = 20
"""How many mistakes on clean images must agree before two networks are called one."""


@dataclass(frozen=True)
class Copies:
    """What was found: problems, and what is equal for a reason that a reader should know."""

    problems: tuple[str, ...]
    notes: tuple[str, ...]


def duplicates(board: Leaderboard) -> Copies:
    """Return which outcomes, weights and manifests of a board are there twice.

    Raises:
        UserError: if outcomes are missing or damaged.
    """
    problems = [*_listed_twice(board), *_same_weights(board), *same_log_problems(board.cells)]
    notes: list[str] = []
    near = Lengths()
    first_with: dict[bytes, _Print] = {}
    equal: dict[tuple[str, int, str, int], tuple[bool, str]] = {}
    built = known_attacks(board.board.evaluation).built
    for cell in board.cells:
        inside = _inside(cell, built)
        problems += inside.problems
        notes += inside.notes
        for column, outcomes in cell.outcomes.items():
            explained = explained_lengths(cell, column, outcomes)
            near.add(cell, column, outcomes, explained)
            for content, honest in _prints(column, outcomes, explained):
                mine = _Print(cell, column, honest)
                other = first_with.setdefault(content, mine)
                if other.cell.file.cell.key != cell.file.cell.key:
                    pair = (other.cell.row, other.cell.seed, cell.row, cell.seed)
                    found = _sentence(other, mine)
                    if pair not in equal or found[0] > equal[pair][0]:
                        equal[pair] = found
    problems += [sentence for wrong, sentence in equal.values() if wrong]
    problems += near.problems()
    notes += [sentence for wrong, sentence in equal.values() if not wrong]
    return Copies(tuple(problems), tuple(notes))


@dataclass(frozen=True)
class _Print:
    """Where a pattern was found.

    Attributes:
        cell: the cell.
        column: the column.
        honest: whether another network may have the same, for a reason that a reader should know.
    """

    cell: PublishedCell
    column: str
    honest: bool


def _sentence(other: _Print, mine: _Print) -> tuple[bool, str]:
    """Return whether an equal pattern is a problem, and what is said of it."""
    has = f"'{mine.cell.row}', seed {mine.cell.seed}, has outcomes of {mine.column}"
    those = f"those of {other.column} of '{other.cell.row}', seed {other.cell.seed}"
    if _one_network(other.cell, mine.cell):
        return False, f"{has} equal to {those}: both are the same network."
    if not (other.honest and mine.honest):
        return True, f"{has} that are a copy of {those}, another network."
    if mine.column == "clean":
        return False, f"{has} equal to {those}, as two networks that make the same mistakes give."
    return False, f"{has} equal to {those}, as a random start that no gradient moves gives."


def _listed_twice(board: Leaderboard) -> Iterator[str]:
    counts = Counter((cell.row, cell.seed) for cell in board.cells)
    for (row, seed), count in counts.items():
        if count > 1:
            yield f"'{row}', seed {seed}, has {count} manifests; it must have one."


def _same_weights(board: Leaderboard) -> Iterator[str]:
    """Yield which trained cells share weights: their files name the cell, so none are equal.

    Third-party networks may: with another normalization or code, they are other networks.
    """
    first: dict[str, PublishedCell] = {}
    for cell in board.cells:
        if cell.file.manifest is None or isinstance(cell.file.cell, ExternalCell):
            continue
        other = first.setdefault(cell.file.manifest.weights_hash, cell)
        if other.file.cell.key != cell.file.cell.key:
            yield (
                f"'{cell.row}', seed {cell.seed}, has the weights of '{other.row}', seed "
                f"{other.seed}, which is specified differently."
            )


def _inside(cell: PublishedCell, built: Mapping[str, Attack]) -> Copies:
    """Return which columns of one cell are equal in every value."""
    problems, notes = [], []
    first: dict[bytes, str] = {}
    for column, outcomes in cell.outcomes.items():
        if not _telling(outcomes.l2, DISTINCT) or not outcomes.robust.any():
            continue  # once all images are fooled, more steps may change nothing
        content = b"".join(getattr(outcomes, f.name).tobytes() for f in fields(outcomes))
        other = first.setdefault(content, column)
        if other == column:
            continue
        where = f"'{cell.row}', seed {cell.seed}: the outcomes of {column} are those of {other}"
        if other not in built or column not in built:
            notes.append(f"{where}; whether the attacks are the same is not known here.")
        elif _may_agree(built[other], built[column]):
            notes.append(f"{where}, as these attacks may give.")
        else:
            problems.append(f"{where}, another attack.")
    return Copies(tuple(problems), tuple(notes))


def _may_agree(one: Attack, other: Attack) -> bool:
    """Return whether two attacks may give the same outcomes on networks that withstand them.

    The losses of two classes have the same gradients up to a factor; the number of images does not
    matter where both attack all of them; one step is one step, whoever takes it. Certificates have
    the same radii, whatever they ask for.
    """
    if one.proves and other.proves:
        return True
    if type(one) is type(other):
        mine, theirs = vars(one), vars(other)
        return {name for name in mine if mine[name] != theirs[name]} <= {"loss", "samples"}
    steps = {getattr(attack, "steps", None) for attack in (one, other)}
    return steps == {None, 1} and one.threat_model == other.threat_model


def _prints(column: str, outcomes: Outcomes, explained: np.ndarray) -> Iterator[tuple[bytes, bool]]:
    """Yield unlikely patterns with their place, and whether two networks may yet share each.

    Args:
        column: the column.
        outcomes: its outcomes.
        explained: the images whose lengths need not be those of one network, (n,) bool.
    """
    if column == "clean":
        # Networks that always predict one class agree honestly, and are right on few images; those
        # that never saw a class are wrong on all of it, so that this is never a proof.
        wrong = int((~outcomes.correct).sum())
        if CLEAN_MISTAKES <= wrong < len(outcomes) / 2:
            yield b"clean" + outcomes.correct.tobytes(), True
        return
    if not outcomes.forwards.any():
        return  # it did not ask the model: noise is the same for every network
    left = np.where(explained, 0, outcomes.l2)
    if _telling(outcomes.l2, DISTINCT):
        yield b"all" + outcomes.l2.tobytes(), not _telling(left, DISTINCT)
    for start in range(0, len(outcomes), BLOCK):
        part = slice(start, start + BLOCK)
        if _telling(outcomes.l2[part], DISTINCT_IN_BLOCK):
            content = str(start).encode() + outcomes.l2[part].tobytes()
            yield content, not _telling(left[part], DISTINCT_IN_BLOCK)


def _telling(lengths: np.ndarray, least: int) -> bool:
    return len(np.unique(lengths[lengths > 0])) >= least


def _one_network(one: PublishedCell, other: PublishedCell) -> bool:
    """Return whether two cells have the same weights for all that the files say.

    That is honest where a recipe or defense has an option without effect. A log is easily copied,
    so it excuses nothing where the seeds say that the networks are two.
    """
    if isinstance(one.file.cell, ExternalCell) and isinstance(other.file.cell, ExternalCell):
        return one.file.cell.weights_hash == other.file.cell.weights_hash
    log = log_of(one)
    return bool(log) and one.seed == other.seed and log == log_of(other)
