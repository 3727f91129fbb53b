"""Compare the log of each training with the recipe that it follows."""

import math
from collections.abc import Iterator, Sequence

from robench.base import TrainingMethod
from robench.board.cells import Cell
from robench.data.facts import facts_of
from robench.errors import UserError
from robench.leaderboard.published import Leaderboard, PublishedCell
from robench.shipped import is_shipped
from robench.training.resume import odd_columns
from robench.training.schedules import rate_at

Log = Sequence[dict[str, float | None]]

ROUNDING = 1e-9
"""How much a figure may deviate, relative to itself, when it is computed anew."""


def log_problems(board: Leaderboard) -> Iterator[str]:
    """Yield where the log of a training contradicts its recipe, one sentence each."""
    for cell in board.cells:
        if problem := _problem(cell):
            yield f"'{cell.row}', seed {cell.seed}: {problem}"
    yield from _other_images(board)


def log_notes(board: Leaderboard) -> list[str]:
    """Return what could not be compared in the logs, one sentence each."""
    unknown = {
        str(cell.file.cell.training.method)
        for cell in board.cells
        if isinstance(cell.file.cell, Cell) and _method(cell.file.cell) is None
    }
    return [
        f"the learning rates of '{name}' were not compared: it is not loaded here."
        for name in sorted(unknown)
    ]


def _problem(cell: PublishedCell) -> str | None:
    log, manifest = cell.file.training, cell.file.manifest
    spec = cell.file.cell
    seconds = manifest.training_seconds if manifest else None
    if not isinstance(spec, Cell):
        return "it was not trained here, but has a log of training." if log or seconds else None
    if manifest is None:
        return "its training diverged, so it has no log." if log else None
    if (problem := _form(log, spec)) is not None:
        return problem
    if seconds is None or not math.isclose(seconds, _sum(log, "seconds"), rel_tol=ROUNDING):
        return f"its training took {seconds} seconds, but its epochs {_sum(log, 'seconds'):g}."
    return _rates(log, spec)


def _form(log: Log, spec: Cell) -> str | None:
    """Return what is wrong with the epochs, their columns and the range of each figure."""
    epochs = [row.get("epoch") for row in log]
    if len(log) != spec.training.epochs or epochs != list(range(1, len(log) + 1)):
        return f"its log does not have the epochs 1 to {spec.training.epochs}, each once."
    for row in log:
        where = f"in epoch {row['epoch']:g} its"
        if odd := odd_columns(row) or sorted(set(row) ^ set(log[0])):
            return f"{where} log has other columns than a training writes: {odd[0][:40]}."
        for name in ("lr", "seconds", "images_per_second"):
            value = row[name]
            if value is None or not 0 < value < math.inf:
                return f"{where} {name} is {value}, which is not above 0."
        loss, right, val = row["train_loss"], row["train_accuracy"], row["val_accuracy"]
        if loss is None or not math.isfinite(loss):
            return f"{where} train_loss is {loss}: a training with such a loss has diverged."
        if right is None or not 0 <= right <= 1 or not (val is None or 0 <= val <= 1):
            return f"{where} accuracies are {right} and {val}, which are not between 0 and 1."
        if (val is None) != (log[0]["val_accuracy"] is None) or (
            val is not None and not spec.data.validation
        ):
            return f"{where} val_accuracy is {val}, unlike its validation part."
        robust = row.get("val_robust")
        if robust is not None and not (spec.data.validation and 0 <= robust <= 1):
            return f"{where} val_robust is {robust}, not an accuracy on its validation part."
        if not _is_whole(_images(row)) or not math.isclose(_images(row), _images(log[0])):
            return f"{where} images_per_second is not that of a whole pass over its images."
    return None


def _rates(log: Log, spec: Cell) -> str | None:
    """Return where learning rates or counts of images are not those of the recipe."""
    method = _method(spec)
    if method is None:
        return None
    recipe, images = spec.training, round(_images(log[0]))
    steps = method.steps_per_minibatch * math.ceil(images / recipe.batch_size)
    own = is_shipped("training method", recipe.method.partition("(")[0])
    for row in log:
        right = rate_at(recipe, steps, (int(row["epoch"] or 1) - 1) * steps)
        where = f"in epoch {row['epoch']:g} its"
        if not math.isclose(row["lr"] or 0, right, rel_tol=ROUNDING, abs_tol=1e-12):
            return f"{where} learning rate is {row['lr']:.6g}, but its schedule gives {right:.6g}."
        seen = images * method.steps_per_minibatch
        if own and not _is_whole((row["train_accuracy"] or 0) * seen):
            return f"{where} train_accuracy is not a share of its {seen} predictions."
        if own and (row["train_loss"] or 0) < 0:
            return f"{where} train_loss is negative."
    return None


def _other_images(board: Leaderboard) -> Iterator[str]:
    """Yield which trainings saw another number of images than their data have."""
    seen: dict[object, int] = {}
    for cell in board.cells:
        spec, log = cell.file.cell, cell.file.training
        if not isinstance(spec, Cell) or not log or not _is_whole(_images(log[0])):
            continue
        images, data = round(_images(log[0])), spec.data
        name = f"'{cell.row}', seed {cell.seed}"
        facts = facts_of(data.name)
        if facts and facts.train and facts.classes:
            expected = facts.train * (1 - data.validation) * data.kept
            # Shares of each class are rounded twice; a last batch of one image is left out.
            if abs(images - expected) > facts.classes + 1:
                yield f"{name}: an epoch had {images} images; its data have about {expected:.0f}."
        key = (spec.data_hash, data.validation, data.kept, spec.training.batch_size)
        if seen.setdefault(key, images) != images:
            yield f"{name}: an epoch had {images} images, but {seen[key]} of another row."


def _method(spec: Cell) -> TrainingMethod | None:
    try:
        return spec.training.build_method()
    except UserError:
        return None


def _images(row: dict[str, float | None]) -> float:
    return (row.get("images_per_second") or math.nan) * (row.get("seconds") or math.nan)


def _is_whole(value: float) -> bool:
    return math.isfinite(value) and abs(value - round(value)) <= max(1e-6, ROUNDING * value)


def _sum(log: Log, name: str) -> float:
    return sum(row.get(name) or 0.0 for row in log)
