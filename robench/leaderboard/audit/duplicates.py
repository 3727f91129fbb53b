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
from robench.board.specs import ExternalCell
from robench.evaluation import Outcomes
from robench.leaderboard.audit.attacks import known_attacks
from robench.leaderboard.published import Leaderboard, PublishedCell

BLOCK = 50
"""A copy with a few images edited is found by a block of images in a row that it left alone."""

DISTINCT, DISTINCT_IN_BLOCK = 5, 12
"""How many different lengths must agree, in a whole column and in a block."""

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
    problems = [*_listed_twice(board), *_same_weights(board)]
    notes: list[str] = []
    first_with: dict[bytes, tuple[PublishedCell, str]] = {}
    told: set[tuple[str, int, str, int]] = set()
    built = known_attacks(board.board.evaluation).built
    for cell in board.cells:
        inside = _inside(cell, built)
        problems += inside.problems
        notes += inside.notes
        for column, outcomes in cell.outcomes.items():
            for print_ in _prints(column, outcomes):
                other, theirs = first_with.setdefault(print_, (cell, column))
                pair = (other.row, other.seed, cell.row, cell.seed)
                if other.file.cell.key == cell.file.cell.key or pair in told:
                    continue
                told.add(pair)
                mine = f"'{cell.row}', seed {cell.seed}, has outcomes of {column}"
                same = f"those of {theirs} of '{other.row}', seed {other.seed}"
                if _one_network(other, cell):
                    notes.append(f"{mine} equal to {same}: both are the same network.")
                else:
                    problems.append(f"{mine} that are a copy of {same}, another network.")
    return Copies(tuple(problems), tuple(notes))


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
    matter where both attack all of them; one step is one step, whoever takes it.
    """
    if type(one) is type(other):
        mine, theirs = vars(one), vars(other)
        return {name for name in mine if mine[name] != theirs[name]} <= {"loss", "samples"}
    steps = {getattr(attack, "steps", None) for attack in (one, other)}
    return steps == {None, 1} and one.threat_model == other.threat_model


def _prints(column: str, outcomes: Outcomes) -> Iterator[bytes]:
    """Yield what no two networks share: an unlikely pattern with its place."""
    if column == "clean":
        # Networks that always predict one class agree honestly, and are right on few images.
        wrong = int((~outcomes.correct).sum())
        if CLEAN_MISTAKES <= wrong < len(outcomes) / 2:
            yield b"clean" + outcomes.correct.tobytes()
        return
    if not outcomes.forwards.any():
        return  # it did not ask the model: noise is the same for every network
    if _telling(outcomes.l2, DISTINCT):
        yield b"all" + outcomes.l2.tobytes()
    for start in range(0, len(outcomes), BLOCK):
        part = outcomes.l2[start : start + BLOCK]
        if _telling(part, DISTINCT_IN_BLOCK):
            yield str(start).encode() + part.tobytes()


def _telling(lengths: np.ndarray, least: int) -> bool:
    return len(np.unique(lengths[lengths > 0])) >= least


def _one_network(one: PublishedCell, other: PublishedCell) -> bool:
    """Return whether two cells have the same weights for all that the files say.

    That is honest where a recipe or defense has an option without effect.
    """
    if isinstance(one.file.cell, ExternalCell) and isinstance(other.file.cell, ExternalCell):
        return one.file.cell.weights_hash == other.file.cell.weights_hash
    log = _log(one)
    return bool(log) and log == _log(other)


def _log(cell: PublishedCell) -> list[dict[str, float | None]]:
    """Return the log of the training without what depends on the machine."""
    return [{k: v for k, v in epoch.items() if "second" not in k} for epoch in cell.training]
