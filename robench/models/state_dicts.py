"""Find the state dicts within the content of a file of weights, raw and averaged ones."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

from robench.models.state_versions import Versions, versions_of

Kind = Literal["ema", "raw"]
"""Averaged over training (EMA, SWA), or as the last step left them."""

NESTED = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights",
          "params")  # fmt: skip
"""Keys under which checkpoints with other content store their state dict; earlier ones first."""

EXTRA_STATE = "_extra_state"
"""Last part of the names under which modules store what is not a tensor."""

SHADOW_PARAMS = "shadow_params"
"""The key under which torch-ema stores a list of averaged weights, beside their decay."""

_AVERAGED = re.compile(r"(^|[^a-z])(ema|swa|avg|averaged|shadow)([^a-z]|$)")
_DEPTH = 4


@dataclass(frozen=True)
class StateDict:
    """A state dict within a file.

    Attributes:
        path: the keys that lead to it, ``state_dict_ema``; "" if it is the file's whole content.
        values: the tensors, and the extra states, by name.
        versions: what the file says of the versions of the modules that they are of.
    """

    path: str
    values: Mapping[str, Any]
    versions: Versions = field(default_factory=dict)

    @property
    def known(self) -> int:
        """The place of its first key among the usual ones; after them if it is another."""
        first = self.path.split(".", 1)[0]
        return NESTED.index(first) if first in NESTED else len(NESTED)


def find_state_dicts(content: Any) -> list[StateDict]:
    """Return the state dicts within the content of a file, the usual ones first."""
    return sorted(_walk(content, (), set()), key=lambda found: found.known)


def find_shadow_params(content: Any) -> list[tuple[str, list[Tensor]]]:
    """Return the averaged weights that torch-ema stores as lists, which have no names.

    Args:
        content: what a file of weights holds.

    Returns:
        The keys that lead to each list, and its tensors, in the order of a model's parameters.
    """
    return list(_walk_lists(content, (), set()))


def is_averaged(names: str) -> bool:
    """Return whether keys or a prefix say that the weights are averages over training."""
    return _AVERAGED.search(names.lower()) is not None


def _walk(content: Any, path: tuple[str, ...], seen: set[int]) -> Iterator[StateDict]:
    """Yield the state dicts below ``path``; what a file has in several places counts once."""
    if not isinstance(content, Mapping) or len(path) > _DEPTH or id(content) in seen:
        return
    seen.add(id(content))
    named = {k: v for k, v in content.items() if isinstance(k, str)}
    tensors = {k: v for k, v in named.items() if _is_state(k, v)}
    if len(tensors) == len(content) and any(isinstance(v, Tensor) for v in tensors.values()):
        yield StateDict(".".join(path), tensors, versions_of(content))
        return
    for key, value in named.items():
        yield from _walk(value, (*path, key), seen)


def _walk_lists(
    content: Any, path: tuple[str, ...], seen: set[int]
) -> Iterator[tuple[str, list[Tensor]]]:
    if not isinstance(content, Mapping) or len(path) > _DEPTH or id(content) in seen:
        return
    seen.add(id(content))
    for key, value in content.items():
        if key == SHADOW_PARAMS and isinstance(value, (list, tuple)):
            if value and all(isinstance(v, Tensor) for v in value):
                yield ".".join((*path, key)), list(value)
        elif isinstance(key, str):
            yield from _walk_lists(value, (*path, key), seen)


def _is_state(name: str, value: Any) -> bool:
    return isinstance(value, Tensor) or name.rpartition(".")[2] == EXTRA_STATE


def canonical_names(names: Iterable[str]) -> dict[str, str]:
    """Return, by name, one name for a tensor however torch's wrappers name it.

    ``conv.weight_g`` and ``conv.weight_v`` of the older ``weight_norm`` are
    ``conv.parametrizations.weight.original0`` and ``original1`` of the newer, and likewise for
    ``spectral_norm``; the ``_orig_mod`` of ``torch.compile`` is left out. Other names are
    unchanged.
    """
    made = _of_newer_norms(list(names))
    return {name: new.replace("_orig_mod.", "") for name, new in made.items()}


def _of_newer_norms(names: list[str]) -> dict[str, str]:
    made = {name: name for name in names}
    for name in names:
        owner, dot, last = name.rpartition(".")
        tensor, _, part = last.rpartition("_")
        if not tensor or part not in ("g", "orig"):
            continue
        new = f"{owner}{dot}parametrizations.{tensor}."
        old = f"{owner}{dot}{tensor}_"
        if part == "g" and f"{old}v" in made:
            made |= {f"{old}g": f"{new}original0", f"{old}v": f"{new}original1"}
        elif part == "orig" and f"{old}u" in made:
            made |= {f"{old}orig": f"{new}original", f"{old}u": f"{new}0._u"}
            if f"{old}v" in made:
                made[f"{old}v"] = f"{new}0._v"
    return made
