"""Exact Lipschitz constants and distances of tiny networks, by enumeration of their linear pieces.

A network of linear layers, ReLU and MaxMin is linear on polytopes, which are found by splitting the
box [0, 1]^d at each activation; no bound of robench is used. On a polytope the constant is the
largest singular value of one matrix, and the nearest point of another class is a least-distance
problem (Lawson and Hanson 1974, Solving Least Squares Problems, chapter 23), which NNLS solves.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linprog, nnls
from torch import nn

from robench.backbones.lipschitz_convnet import MaxMin

Array = NDArray[np.float64]


class Shortcut(nn.Module):
    """Adds its input to what its layers make of it."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x) + x


@dataclass(frozen=True)
class Piece:
    """A polytope, and what a network computes on it: matrix @ x + shift where rows @ x >= least.

    The value has the shape of ``shape``.
    """

    matrix: Array
    shift: Array
    rows: Array
    least: Array
    shape: tuple[int, ...]

    def and_where(self, rows: Array, least: Array) -> "Piece | None":
        """Return the part where rows @ x >= least, too; None if it has no interior."""
        rows = np.concatenate([self.rows, rows])
        least = np.concatenate([self.least, least])
        dimensions = rows.shape[1]
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        # The largest ball within: rows @ center - lengths * radius >= least.
        found = linprog(
            np.r_[np.zeros(dimensions), -1.0],
            A_ub=np.c_[-rows, lengths], b_ub=-least, bounds=[(None, None)] * (dimensions + 1),
        )  # fmt: skip
        if not found.success or found.x[-1] < 1e-9:
            return None
        return replace(self, rows=rows, least=least)


def pieces(network: nn.Module, image_shape: tuple[int, int, int]) -> list[Piece]:
    """Return the linear pieces of a network on the box [0, 1]^d, all of it together."""
    d = int(np.prod(image_shape))
    box = np.concatenate([np.eye(d), -np.eye(d)]), np.r_[np.zeros(d), -np.ones(d)]
    start = Piece(np.eye(d), np.zeros(d), *box, image_shape)
    return list(_after(network, start))


def exact_lipschitz(parts: list[Piece]) -> float:
    """Return the least Lipschitz constant of the network on the box."""
    return max(float(np.linalg.norm(piece.matrix, ord=2)) for piece in parts)


def exact_distance(parts: list[Piece], x: Array, label: int) -> float:
    """Return the distance of an image (d,) to the nearest one of the box in another class."""
    found = [np.inf]
    for piece in parts:
        for other in set(range(len(piece.shift))) - {label}:
            row = piece.matrix[other] - piece.matrix[label]
            rows = np.concatenate([piece.rows, row[None]])
            least = np.r_[piece.least, piece.shift[label] - piece.shift[other]]
            found.append(_least_distance(rows, least - rows @ x))
    return float(min(found))


def _least_distance(rows: Array, least: Array) -> float:
    """Return the least norm of v with rows @ v >= least; infinite if there is none."""
    stacked = np.concatenate([rows.T, least[None]])
    target = np.r_[np.zeros(rows.shape[1]), 1.0]
    solution, length = nnls(stacked, target)
    if length < 1e-9:
        return np.inf
    residual = stacked @ solution - target
    return float(np.linalg.norm(residual[:-1]) / -residual[-1])


def _after(layer: nn.Module, piece: Piece) -> Iterator[Piece]:
    if isinstance(layer, nn.Sequential):
        parts = [piece]
        for inner in layer:
            parts = [new for part in parts for new in _after(inner, part)]
        yield from parts
    elif isinstance(layer, Shortcut):
        for part in _after(layer.layers, piece):
            yield replace(part, matrix=part.matrix + piece.matrix, shift=part.shift + piece.shift)
    elif isinstance(layer, nn.ReLU):
        yield from _split(piece, np.eye(len(piece.shift)), _relu)
    elif isinstance(layer, MaxMin):
        half = len(piece.shift) // 2
        yield from _split(piece, np.c_[np.eye(half), -np.eye(half)], _max_min)
    else:
        yield _linear(layer, piece)


def _linear(layer: nn.Module, piece: Piece) -> Piece:
    """Apply a linear layer, whose matrix is made of its results for the unit vectors."""
    units = torch.eye(len(piece.shift), dtype=torch.float64).reshape(-1, *piece.shape)
    with torch.no_grad():
        zero = layer(torch.zeros(1, *piece.shape, dtype=torch.float64))
        matrix = (layer(units) - zero).flatten(1).T.numpy()
    shift = matrix @ piece.shift + zero.flatten().numpy()
    return replace(piece, matrix=matrix @ piece.matrix, shift=shift, shape=tuple(zero.shape[1:]))


def _split(piece: Piece, sides: Array, select: Any) -> Iterator[Piece]:
    """Split a piece where sides @ value changes its sign, and select on each part."""
    parts: list[tuple[Piece, tuple[bool, ...]]] = [(piece, ())]
    for side in sides:
        row, least = (side @ piece.matrix)[None], -(side @ piece.shift)[None]
        halves = [
            (part.and_where(sign * row, sign * least), (*signs, sign > 0))
            for part, signs in parts
            for sign in (1, -1)
        ]
        parts = [(part, signs) for part, signs in halves if part is not None]
    for part, signs in parts:
        selected = select(np.array(signs))
        yield replace(part, matrix=selected @ part.matrix, shift=selected @ part.shift)


def _relu(positive: Array) -> Array:
    return np.diag(positive.astype(float))


def _max_min(first_is_larger: Array) -> Array:
    first, second = np.diag(first_is_larger.astype(float)), np.diag(1.0 - first_is_larger)
    return np.block([[first, second], [second, first]])
