"""Somebody else's network as a row: specified, judged and checked as the board's own are."""

import hashlib
import warnings
from pathlib import Path

import safetensors.torch
import torch
from torch import nn

from robench.base import Defense
from robench.board.board import Board
from robench.board.specs import ExternalCell
from robench.data import DataSet
from robench.errors import UserError
from robench.expressions import parse_expression
from robench.models.checkpoint import load_weights
from robench.models.complexity import Complexity, measure_complexity
from robench.models.external import build_external, check_fit, load_external
from robench.runs.cell import evaluate_external
from robench.runs.check_cell import with_checks
from robench.runs.context import RunContext
from robench.runs.records import RowResult
from robench.system.provenance import file_hash

LARGEST_OPTION = 30_000
"""Of a library's architecture that a stranger names; ImageNet-21k has 21,841 classes."""


def load_own(
    architecture: str, weights: Path | None, board: Board, dataset: DataSet
) -> tuple[ExternalCell, nn.Module, bytes]:
    """Load somebody's network; return its specification, the model and its safetensors file.

    Args:
        architecture: see :func:`robench.models.external.load_external`; its code is executed.
        weights: ``.safetensors``, or a file of ``torch.save`` with tensors only.
        board: whose data and seed it is judged with.
        dataset: loaded.

    Raises:
        UserError: where there is no such model, it does not fit the weights or the images, or a
            weight is no finite number.
    """
    model = load_external(architecture, weights)
    check_fit(model, architecture, dataset)
    values = model.state_dict()
    odd = [k for k, v in values.items() if not isinstance(v, torch.Tensor)]
    odd += [k for k, v in values.items() if k not in odd and not v.isfinite().all()]
    if odd:
        raise UserError(f"{architecture}: '{odd[0]}' is not a tensor of finite numbers.")
    # Clones: safetensors refuses tensors that share memory, as tied weights do.
    state = {k: v.detach().cpu().contiguous().clone() for k, v in values.items()}
    content = safetensors.torch.save(state)
    where, colon, rest = architecture.partition(":")
    file = Path(where) if where.endswith(".py") else None
    cell = ExternalCell(
        architecture=f"{file.name if file else where}{colon}{rest}",
        code_hash=file_hash(file) if file else None,
        weights_hash=hashlib.sha256(content).hexdigest(),
        data=board.data.model_copy(update={"name": dataset.name}),
        data_hash=dataset.fingerprint,
        seed=board.seeds[0],
    )
    return cell, model, content


def rebuild(cell: ExternalCell, weights: Path, code: Path, dataset: DataSet) -> nn.Module:
    """Build a published network again and load its weights.

    For ``timm:`` and ``torchvision:`` nothing but their code is executed; for other architectures
    that of the author is, so the caller must have been told to.

    Args:
        cell: its specification.
        weights: its safetensors file.
        code: folder of the ``.py`` file that builds it.
        dataset: that it is judged on.

    Raises:
        UserError: where the architecture is not there or not the published one, or the weights
            or images do not fit.
    """
    name = cell.architecture
    if cell.of_library:
        check_library_options(name)
    elif cell.file is not None:
        file = code / cell.file
        if not file.is_file() or file_hash(file) != cell.code_hash:
            raise UserError(f"{file} is not the file that builds the published network.")
        name = f"{code}/{name}"
    model = load_weights(weights, build_external(name)).eval()
    check_fit(model, cell.architecture, dataset)
    return model


def check_library_options(architecture: str) -> None:
    """Refuse options of a library's architecture that could load files or ask for much memory.

    Raises:
        UserError: names the option.
    """
    call = parse_expression(architecture.partition(":")[2])
    for name, value in call.options.items():
        loads = any(word in name for word in ("pretrained", "weights", "checkpoint", "cache"))
        plain = value is None or isinstance(value, (bool, int, float))
        if loads or not plain or (value is not None and not abs(value) <= LARGEST_OPTION):
            raise UserError(
                f"'{architecture[:80]}': the option '{name[:40]}' is not accepted in a submission; "
                f"only numbers up to {LARGEST_OPTION} are, of the architecture itself."
            )


def external_row(
    title: str, cell: ExternalCell, model: nn.Module, weights: bytes, board: Board, ctx: RunContext
) -> RowResult:
    """Return the row of somebody's network: attacked, checked, its costs counted.

    Args:
        title: of the row.
        cell: its specification.
        model: with its weights.
        weights: its safetensors file.
        board: that it is judged by.
        ctx: where to work and keep the outcomes.
    """
    result = evaluate_external(cell, model, weights, title, ctx)
    result = with_checks(title, result, None, ctx, model)
    return RowResult(title, _costs(model, board, ctx), (result,))


def _costs(model: nn.Module, board: Board, ctx: RunContext) -> Complexity:
    """Count what torch can count of a network that was not made for it."""
    shape = (ctx.dataset.in_channels, *ctx.dataset.image_size)
    batch = torch.zeros(board.training.batch_size, *shape, device=ctx.device)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return measure_complexity(model.to(ctx.device), Defense(), batch)
    except Exception:  # their layers may be beyond torch's counters
        return Complexity(sum(p.numel() for p in model.parameters()), None, None)
