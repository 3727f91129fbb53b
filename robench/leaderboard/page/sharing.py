"""Store the manifests of many cells compactly: the common part once, the rest per cell."""

from collections.abc import Sequence
from functools import reduce
from typing import Any

Tree = dict[str, Any]


def shared(trees: Sequence[Tree]) -> Tree:
    """Return the part of nested dictionaries that is the same in all of them."""
    return reduce(_common, trees) if trees else {}


def own(tree: Tree, common: Tree) -> Tree:
    """Return what ``tree`` holds in addition to ``common``; merging both gives ``tree``."""
    rest: Tree = {}
    for key, value in tree.items():
        if key not in common:
            rest[key] = value
        elif isinstance(value, dict) and (inner := own(value, common[key])):
            rest[key] = inner
    return rest


def thinned(points: Sequence[Any], most: int) -> list[Any]:
    """Return at most ``most`` (>= 2) points, evenly spaced, including the first and the last."""
    if len(points) <= most:
        return list(points)
    step = (len(points) - 1) / (most - 1)
    return [points[round(index * step)] for index in range(most)]


def _common(one: Tree, other: Tree) -> Tree:
    both: Tree = {}
    for key in one:  # not a set of keys, whose order differs between processes
        if key not in other:
            continue
        first, second = one[key], other[key]
        if first == second:
            both[key] = first
        elif isinstance(first, dict) and isinstance(second, dict):
            both[key] = _common(first, second)
    return both
