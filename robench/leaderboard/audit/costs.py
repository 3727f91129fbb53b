"""Compare the published costs of each network with those of the network, built without weights."""

import math
from collections import Counter
from collections.abc import Collection, Iterator

from robench.board.cells import Cell, ExternalCell
from robench.data.facts import DataFacts, facts_of
from robench.leaderboard.audit.networks import counted, infer_facts, network_for
from robench.leaderboard.published import Leaderboard, PublishedCell
from robench.models.complexity import Complexity
from robench.runs.records import RowResult

LARGEST_COUNT = 10**16
"""No network has more parameters, or takes more multiply-adds for an image."""


def cost_problems(board: Leaderboard) -> Iterator[str]:
    """Yield where published costs are not those of the networks, one sentence each."""
    for cell in board.cells:
        first = next(other for other in board.cells if other.row == cell.row)
        if cell.file.costs != first.file.costs:
            yield f"'{cell.row}': seed {cell.seed} has other costs than seed {first.seed}."
    facts = facts_of_board(board)
    for row in board.result.rows:
        if problem := _impossible(row) or (facts and _difference(row, facts)):
            yield f"'{row.title}': {problem}"


def cost_notes(board: Leaderboard, rerun: Collection[str] = ()) -> list[str]:
    """Return what could not be compared of the costs, one sentence each.

    Args:
        board: the board as read.
        rerun: the titles of the rows whose costs a rerun compares.
    """
    facts = facts_of_board(board)
    rows = [row for row in board.result.rows if row.title not in rerun]
    if facts is None and rows:
        named = ", ".join(f"'{row.title}'" for row in rows)
        return [
            f"parameters and multiply-adds of {named} were not recomputed: the classes and the "
            f"size of the images of {board.dataset} are not known here."
        ]
    if facts is None:
        return []
    left = [row for row in rows if _counted(row, facts) is None]
    found = []
    for reason in dict.fromkeys(_why_not_built(row) for row in left):
        named = ", ".join(f"'{row.title}'" for row in left if _why_not_built(row) == reason)
        found.append(f"parameters and multiply-adds of {named} were not recomputed: {reason}.")
    if facts != facts_of(board.dataset) and len(left) < len(rows):
        channels, height, width = facts.shape
        found.append(
            f"{board.dataset} is not known here: parameters and multiply-adds were compared with "
            f"those for {facts.classes} classes and images of {channels}x{height}x{width}, which "
            f"they suggest."
        )
    return found


def facts_of_board(board: Leaderboard) -> DataFacts | None:
    """Return the images and classes of a board: known, or those that most costs suggest."""
    known = facts_of(board.dataset)
    if known and known.classes:
        return known
    votes: Counter[DataFacts] = Counter()
    small_first = sorted(_one_per_row(board), key=lambda cell: cell.file.costs.parameters)
    for cell in small_first:
        costs = _plain(cell.file.costs)
        if isinstance(cell.file.cell, Cell) and costs:
            found = infer_facts(cell.file.cell, costs, known)
            votes.update([found] if found else [])
        if votes and max(votes.values()) > 1:  # two rows agree
            break
    return votes.most_common(1)[0][0] if votes else None


def _why_not_built(row: RowResult) -> str:
    spec = row.cells[0].evidence.cell
    if isinstance(spec, ExternalCell) and not spec.of_library:
        return "its code was not run"
    return "without weights or code the network cannot be built here"


def _impossible(row: RowResult) -> str | None:
    """Return what is wrong with the costs of a row by themselves."""
    costs, trained = row.costs, row.recipe is not None
    counts = {"parameters": costs.parameters, "multiply-adds": costs.multiply_adds}
    for name, value in counts.items():
        if value is None and (trained or name == "parameters"):
            return f"it says nothing about its {name}."
        if value is not None and not 0 <= value <= LARGEST_COUNT:
            return f"no network has {str(value)[:20]} {name}."
    memory = costs.training_memory_mib
    if memory is None:
        return "it says nothing about its memory." if trained else None
    if not (math.isfinite(memory) and memory * 2**20 >= 4 * costs.parameters):
        return f"a training in {memory:g} MiB does not hold its {costs.parameters} parameters."
    return None


def _difference(row: RowResult, facts: DataFacts) -> str | None:
    """Return where the costs of a row are not those of its network."""
    if (found := _counted(row, facts)) is None:
        return None
    parameters, multiply_adds = found
    if row.costs.parameters != parameters:
        return f"it says {row.costs.parameters} parameters, but its network has {parameters}."
    if row.costs.multiply_adds != multiply_adds:
        return (
            f"it says {row.costs.multiply_adds} multiply-adds, but its network takes "
            f"{multiply_adds}."
        )
    return None


def _counted(row: RowResult, facts: DataFacts) -> tuple[int, int] | None:
    cell = row.cells[0].evidence.cell
    if not isinstance(cell, Cell) or facts.classes is None:
        return None
    return counted(network_for(cell, facts, facts.classes), cell)


def _one_per_row(board: Leaderboard) -> list[PublishedCell]:
    return list({cell.row: cell for cell in reversed(board.cells)}.values())[::-1]


def _plain(costs: Complexity) -> tuple[int, int] | None:
    if costs.multiply_adds is None or not 0 <= costs.parameters <= LARGEST_COUNT:
        return None
    return costs.parameters, costs.multiply_adds
