"""Per-sample state of a search: one row per sample, read and written one batch at a time.

With continuous batching (:func:`robench.attack_tools.batching.run_batched`) the samples of a batch
may be at different points of their searches. The state of a search is a dataclass of tensors with
one row per sample. A step reads the rows of its batch, computes new ones, and writes them at the
end::

    now = read_rows(state, rows)
    gradient, _ = input_gradient(model, now.x, labels[rows], "ce")  # may run out of memory
    write_rows(state, rows, State(x=now.x + gradient.sign(), taken=now.taken + 1))

so that a step that fails has changed nothing and can be repeated with fewer samples.
"""

from dataclasses import Field, fields
from typing import Any, ClassVar, Protocol, TypeVar

import torch
from torch import Tensor

from robench.attack_tools.threat_models import per_sample


class Table(Protocol):
    """A dataclass, every field of which is a tensor with one row per sample."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


TableT = TypeVar("TableT", bound=Table)


def read_rows(table: TableT, rows: Tensor) -> TableT:
    """Return the rows of some samples, without a copy if they are consecutive.

    It may share memory with ``table``: do not write to it, nor use it after :func:`write_rows`.

    Args:
        table: tensors with one row per sample.
        rows: (B,) int64 on the CPU, without duplicates.
    """
    at = contiguous(rows)
    return type(table)(**{field.name: getattr(table, field.name)[at] for field in fields(table)})


def write_rows(table: TableT, rows: Tensor, values: TableT) -> None:
    """Overwrite the rows of some samples.

    Args:
        table: tensors with one row per sample.
        rows: (B,) int64 on the CPU, without duplicates.
        values: the new rows, in the order of ``rows``.
    """
    at = contiguous(rows)
    for field in fields(table):
        getattr(table, field.name)[at] = getattr(values, field.name)


def choose(which: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """Return the images of ``one`` where ``which``, (B,) bool, is true, else of ``other``."""
    return torch.where(per_sample(which, one), one, other)


def contiguous(rows: Tensor) -> slice | Tensor:
    """Return consecutive rows as a slice, which copies nothing; return other rows unchanged."""
    if not len(rows):
        return rows
    first, last = int(rows[0]), int(rows[-1])
    follow = last - first + 1 == len(rows) and bool((rows[1:] > rows[:-1]).all())
    return slice(first, last + 1) if follow else rows
