"""A third-party network as a row: specified, evaluated and checked like the board's own rows."""

import hashlib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from robench.base import Defense
from robench.board.board import Board
from robench.board.cells import ExternalCell
from robench.data import DataSet
from robench.errors import UserError
from robench.models.checkpoint import load_weights
from robench.models.complexity import Complexity, count_parameters, measure_complexity
from robench.models.data_fit import check_fit
from robench.models.external import (
    ROBUSTBENCH,
    ExternalModel,
    ExternalOptions,
    build_external,
    load_external,
    name_as_built,
    split_name,
)
from robench.models.library_networks import LIBRARIES
from robench.models.library_options import check_library_options
from robench.models.normalization import recorded
from robench.runs.cell import evaluate_external
from robench.runs.check_cell import with_checks
from robench.runs.context import RunContext
from robench.runs.records import RowResult
from robench.runs.train_cell import minibatch_of
from robench.sources import source_files
from robench.system.provenance import file_hash


def load_own(
    architecture: str,
    weights: Path | None,
    board: Board,
    dataset: DataSet,
    options: ExternalOptions | None = None,
) -> tuple[ExternalCell, ExternalModel, bytes]:
    """Load a third-party network; return its specification, the model and its safetensors file.

    Args:
        architecture: see :func:`robench.models.external.load_external`; its code is executed.
        weights: ``.safetensors``, or a file of ``torch.save`` with tensors only.
        board: the board whose data and seed it is evaluated with.
        dataset: the data set of the board, loaded.
        options: what is put before the network, and which weights of the file are taken.

    Raises:
        UserError: if there is no such model, it does not fit the weights or the images, or a
            weight is not a finite number; or if it is a network of the hub that robench trained.
    """
    options = options or ExternalOptions()
    external = load_external(architecture, weights, options)
    if external.origin is not None:
        architecture = _built_by(external)
    model = external.module
    architecture = name_as_built(architecture, model)
    check_fit(model, architecture, dataset)
    values = model.state_dict()
    _check_values(architecture, values)
    # Clones: safetensors refuses tensors that share memory, as tied weights do.
    state = {k: v.detach().cpu().contiguous().clone() for k, v in values.items()}
    content = safetensors.torch.save(state)
    source, rest = split_name(architecture)
    if source == ROBUSTBENCH:
        raise UserError(
            f"'{architecture}' is built by code of RobustBench, which readers of a row may not "
            f"have: put the network into a file, and submit it as FILE.py:function."
        )
    file = Path(source) if source.endswith(".py") else None
    neighbors = sorted(set(source_files(file)) - {file.name}) if file else []
    if neighbors:
        raise UserError(
            f"{file} imports {neighbors[0]} from beside it, but one file builds a published "
            f"network: put all that it needs into {file}."
        )
    given = external.normalization if external.origin else options.normalization
    if given is not None and given.is_identity and source not in LIBRARIES:
        given = None  # what such a network gets anyway
    cell = ExternalCell(
        architecture=f"{file.name if file else source}:{rest}",
        code_hash=file_hash(file) if file else None,
        weights_hash=hashlib.sha256(content).hexdigest(),
        data=board.data.model_copy(update={"name": dataset.name}),
        data_hash=dataset.fingerprint,
        seed=board.seeds[0],
        mean=given.mean if given else None,
        std=given.std if given else None,
        origin=external.origin,
    )
    return cell, external, content


def _check_values(architecture: str, values: Mapping[str, Any]) -> None:
    """Check that a state dict can be written as safetensors.

    Raises:
        UserError: if a value is no tensor, is sparse, quantized or nested, or has a number that is
            not finite.
    """
    for name, value in values.items():
        if isinstance(value, torch.Tensor) and (kind := _special_kind(value)):
            raise UserError(
                f"{architecture}: '{name}' is a {kind} tensor, which a safetensors file cannot "
                f"hold; let the network keep it as a dense one."
            )
        if not isinstance(value, torch.Tensor) or not value.isfinite().all():
            raise UserError(f"{architecture}: '{name}' is not a tensor of finite numbers.")


def _special_kind(value: torch.Tensor) -> str | None:
    """Return what a tensor is, if not a dense array of numbers."""
    if value.is_quantized:
        return "quantized"
    if value.is_nested:
        return "nested"
    layout = str(value.layout).removeprefix("torch.").lstrip("_")
    return None if value.layout == torch.strided else layout.partition("_")[0]


def _built_by(external: ExternalModel) -> str:
    """Return the library's architecture of a network of the hub, which others build without it.

    Raises:
        UserError: if robench trained it, or an option of the architecture is not accepted.
    """
    if external.architecture is None:
        raise UserError(
            f"{external.origin} is a network that robench trained: its row is submitted from its "
            f"leaderboard, with 'robench submit LEADERBOARD --rows ROW'."
        )
    check_library_options(external.architecture)
    return external.architecture


def rebuild(cell: ExternalCell, weights: Path, code: Path, dataset: DataSet) -> nn.Module:
    """Rebuild a published network and load its weights.

    For ``timm:`` and ``torchvision:`` only the code of those libraries is executed; for other
    architectures the author's code is, so the caller needs the user's consent.

    Args:
        cell: the specification of the network.
        weights: its safetensors file.
        code: the folder of the ``.py`` file that builds it.
        dataset: the data set that it is evaluated on.

    Raises:
        UserError: if the architecture is missing or not the published one, or the weights or
            images do not fit.
    """
    name = cell.architecture
    if cell.of_library:
        check_library_options(name)
    elif cell.file is not None:
        file = code / cell.file
        if not file.is_file() or file_hash(file) != cell.code_hash:
            raise UserError(f"{file} is not the file that builds the published network.")
        name = f"{code}/{name}"
    model = load_weights(weights, build_external(name, recorded(cell))).eval()
    check_fit(model, cell.architecture, dataset)
    return model


def external_row(
    title: str, cell: ExternalCell, model: nn.Module, weights: bytes, board: Board, ctx: RunContext
) -> RowResult:
    """Return the row of a third-party network: attacked, checked, its complexity measured.

    Args:
        title: the title of the row.
        cell: the specification of the network.
        model: the network with its weights.
        weights: the contents of its safetensors file.
        board: the board that it is evaluated by.
        ctx: the context of the run; its store gets the outcomes.
    """
    result = evaluate_external(cell, model, weights, title, ctx)
    result = with_checks(title, result, None, ctx, model)
    return RowResult(title, _complexity(model, board, ctx), (result,))


def _complexity(model: nn.Module, board: Board, ctx: RunContext) -> Complexity:
    """Measure what torch's counters support of an arbitrary network."""
    shape = (ctx.dataset.in_channels, *ctx.dataset.image_size)
    images = minibatch_of(board.data, board.training.batch_size, ctx.dataset)
    batch = torch.zeros(images, *shape, device=ctx.device)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return measure_complexity(model.to(ctx.device), Defense(), batch)
    except Exception:  # torch's counters may not support its layers
        return Complexity(count_parameters(model), None, None)
