"""Compare the weights in a board's folder with the manifests and the specified networks."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from torch import Tensor

from robench.board.cells import Cell
from robench.data.facts import DataFacts
from robench.errors import UserError
from robench.leaderboard.audit.costs import facts_of_board
from robench.leaderboard.audit.networks import (
    Tensors,
    forms_of,
    infinite_of,
    network_for,
    tensors_of,
    without_late_state,
)
from robench.leaderboard.evidence import weights_name
from robench.leaderboard.published import Leaderboard, PublishedCell
from robench.leaderboard.weights_header import header_difference
from robench.models.weight_files import read_safetensors

MOST_OF_ONE_CLASS = 0.7
"""The largest share of the images that one class is taken to have."""


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
    """Yield where weights are not those of their network and cell, one sentence each.

    Headers are compared with the specification. Names, types and shapes are compared with those of
    the specified network, built with fresh weights, as far as it can be built here.
    """
    facts = facts_of_board(board)
    for cell in board.cells:
        path = board.folder / weights_name(cell.file.cell.key)
        if cell.file.manifest is None or not path.is_file():
            continue
        try:
            problem = _tensor_problem(board, cell, path, facts)
        except UserError as error:
            problem = str(error)
        if problem is not None:
            yield f"'{cell.row}', seed {cell.seed}: {problem}"


def _tensor_problem(
    board: Leaderboard, cell: PublishedCell, path: Path, facts: DataFacts | None
) -> str | None:
    """Return the first thing that is wrong with a file of weights, or None."""
    spec, name = cell.file.cell, path.relative_to(board.folder).as_posix()
    if odd := header_difference(board, cell, path):
        return f"the header of {name} does not have the {odd} of the specification."
    state = read_safetensors(path)
    found, wanted, infinite = forms_of(state), None, None
    if isinstance(spec, Cell) and facts is not None and facts.classes is not None:
        network = network_for(spec, facts, facts.classes)
        wanted, infinite = tensors_of(network, spec), infinite_of(network, spec)
        if wanted is not None and len(found) > len(wanted):
            found = forms_of(without_late_state(state, network))
    if wanted is not None and found != wanted:
        return f"{name} holds no weights of its network: {_odd(found, wanted)}."
    # A training that diverges in its last step is published with such weights: it says one class.
    if (tensor := _not_finite(state, infinite)) and _answers(cell):
        return (
            f"{name} holds '{tensor[:80]}' with values that are no numbers: no such network has "
            f"these outcomes."
        )
    return None


def _not_finite(state: Mapping[str, Tensor], infinite: frozenset[str] | None) -> str | None:
    """Return the first tensor with values that let no logit be finite, or None.

    Args:
        state: the tensors.
        infinite: those with such values in fresh weights; None if that is not known.
    """
    for name, value in sorted(state.items()):
        # A variance that overflowed silences a channel; a mask has values of -inf.
        silent = infinite is None or name.endswith("running_var")
        odd = value.isnan() if silent else ~value.isfinite()
        if name not in (infinite or ()) and odd.any():
            return name
    return None


def _answers(cell: PublishedCell) -> bool:
    """Return whether a network says different things of different images, from its outcomes."""
    outcomes = dict(cell.outcomes)
    fooled = any(found.fooled.any() for name, found in outcomes.items() if name != "clean")
    return fooled or bool(outcomes["clean"].correct.mean() > MOST_OF_ONE_CLASS)


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
