"""Compare the weights in a board's folder with the manifests and the specified networks."""

from collections.abc import Iterator, Mapping

from robench.board.cells import Cell
from robench.errors import UserError
from robench.leaderboard.audit.costs import facts_of_board
from robench.leaderboard.audit.networks import (
    Tensors,
    forms_of,
    network_for,
    tensors_of,
    without_late_state,
)
from robench.leaderboard.evidence import weights_name
from robench.leaderboard.published import Leaderboard
from robench.models.weight_files import read_safetensors


def weights_problems(board: Leaderboard, sums: Mapping[str, str]) -> Iterator[str]:
    """Yield where weights are missing or not those of their manifest, one sentence each.

    Args:
        board: the board as read.
        sums: relative path -> SHA-256, as listed.
    """
    for cell in board.cells:
        manifest, name = cell.file.manifest, weights_name(cell.file.cell.key)
        if manifest is None:
            continue
        if name not in sums and board.board.publish_weights:
            yield (
                f"'{cell.row}', seed {cell.seed}: the board says that it publishes its weights, "
                f"but {name} is not in SHA256SUMS."
            )
        elif sums.get(name, manifest.weights_hash) != manifest.weights_hash:
            yield f"'{cell.row}', seed {cell.seed}: {name} is not the file of its manifest."


def tensor_problems(board: Leaderboard) -> Iterator[str]:
    """Yield where weights do not consist of the tensors of their network, one sentence each.

    Names, types and shapes are compared with those of the specified network, built with fresh
    weights, as far as it can be built here.
    """
    facts = facts_of_board(board)
    if facts is None or facts.classes is None:
        return
    for cell in board.cells:
        spec, name = cell.file.cell, weights_name(cell.file.cell.key)
        path = board.folder / name
        if not isinstance(spec, Cell) or not path.is_file():
            continue
        network = network_for(spec, facts, facts.classes)
        if (wanted := tensors_of(network, spec)) is None:
            continue
        where = f"'{cell.row}', seed {cell.seed}"
        try:
            found = forms_of(state := read_safetensors(path))
        except UserError as error:
            yield f"{where}: {error}"
            continue
        if len(found) > len(wanted):
            found = forms_of(without_late_state(state, network))
        if found != wanted:
            yield f"{where}: {name} holds no weights of its network: {_odd(found, wanted)}."


def _odd(found: Tensors, wanted: Tensors) -> str:
    """Return the first tensor that is missing, surplus or of another type or shape."""
    there, here = ({form[0]: form[1:] for form in forms} for forms in (found, wanted))
    name = next(n for n in sorted(there | here) if there.get(n) != here.get(n))
    if name not in there:
        return f"'{name[:80]}' is missing"
    if name not in here:
        return f"'{name[:80]}' is not part of it"
    (dtype, shape), (right, form) = there[name], here[name]
    return f"'{name[:80]}' is {dtype} {shape}, where {right} {form} is needed"
