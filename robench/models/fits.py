"""Which of the weights of a file that fit a network are taken, and what is said of the others."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from robench.errors import UserError
from robench.models.state_dicts import Kind, StateDict, is_averaged

WRAPPERS = ("module", "model", "net")
"""Parts of names that wrappers of a model add before the names of weights."""
AVERAGED_MODEL = "n_averaged"
"""The counter that torch's ``AveragedModel`` stores beside the averaged weights."""
_SHOWN = 3


@dataclass(frozen=True)
class Fit:
    """A way in which a state dict fits a network.

    Attributes:
        found: the state dict.
        prefix: what precedes the names of its weights.
        part: the name of the part of the network that it fits; "" for the network itself.
        names: name in the network -> name in the state dict.
    """

    found: StateDict
    prefix: str
    part: str
    names: Mapping[str, str]

    @property
    def kind(self) -> Kind:
        """Whether its weights are averages over training."""
        averaged = AVERAGED_MODEL in self.found.values and self.prefix.startswith("module.")
        return "ema" if averaged or is_averaged(f"{self.found.path}.{self.prefix}") else "raw"

    @property
    def where(self) -> str:
        """The place of its weights in the file, in words."""
        prefix = self.prefix.rstrip(".")
        if prefix in WRAPPERS and AVERAGED_MODEL in self.found.values:
            return "those of torch's AveragedModel"
        places = [f"'{self.found.path}'"] if self.found.path else []
        places += [f"names below '{prefix}'"] if prefix and not self.of_wrapper else []
        return ", ".join(places) or "the file's"

    @property
    def of_wrapper(self) -> bool:
        """Whether the prefix is only that of wrappers, which all names have."""
        known = all(part in WRAPPERS for part in self.prefix.rstrip(".").split("."))
        return known and not self.left_out

    @property
    def left_out(self) -> list[str]:
        """Names in the state dict that the network has no use for."""
        return sorted(set(self.found.values) - set(self.names.values()) - {AVERAGED_MODEL})


def chosen_fit(
    path: Path, fits: Sequence[Fit], which: Kind | None, unnamed: Sequence[str] = ()
) -> Fit:
    """Return the fit whose weights are taken: those of the usual key, averaged before raw ones.

    Args:
        path: the file, for messages.
        fits: at least one, those of usual keys first.
        which: ``ema`` or ``raw`` weights; None prefers averaged ones.
        unnamed: where the file has averaged weights without names, which are in no fit.

    Raises:
        UserError: if there are none of that kind, or several that nothing tells apart.
    """
    kinds = {fit.kind for fit in fits}
    if which == "ema" and which not in kinds and unnamed:
        raise UserError(f"{path} holds {_without_names(unnamed)}.")
    if which is not None and which not in kinds:
        held = "averaged (EMA)" if which == "raw" else "raw"
        raise UserError(
            f"{path} holds only {held} weights that fit, {fits[0].where}; leave out --weights "
            f"{which}."
        )
    kind = which or ("ema" if "ema" in kinds else "raw")
    same = [fit for fit in fits if fit.kind == kind]
    best = [fit for fit in same if fit.found.known == same[0].found.known]
    others = [fit for fit in best[1:] if not _same_values(fit, best[0])]
    if others:
        places = " and ".join(fit.where for fit in [best[0], *others][:_SHOWN])
        raise UserError(
            f"{path} holds several weights that fit: {places}; save the ones you mean with "
            f"torch.save(state_dict, file)."
        )
    return best[0]


def sentences_on(
    path: Path, fit: Fit, fits: Sequence[Fit], which: Kind | None, unnamed: Sequence[str] = ()
) -> list[str]:
    """Return what a user should know of the choice, if it is not obvious.

    Args:
        path: the file, for messages.
        fit: the one that was chosen.
        fits: all of them.
        which: the kind of weights that was asked for.
        unnamed: as for :func:`chosen_fit`.
    """
    said = [*_taken(path.name, fit, fits, which)]
    if unnamed and fit.kind == "raw":
        said.append(
            f"{path.name}: took the raw weights, {fit.where}; it also holds "
            f"{_without_names(unnamed)}."
        )
    used = {name for other in fits for name in other.names.values()}
    if left := [name for name in fit.left_out if name not in used]:
        names = ", ".join(f"'{name}'" for name in left[:_SHOWN])
        said.append(f"{path.name}: left out {names}{_more(left)}, which the network does not have.")
    if fit.part:
        said.append(
            f"{path.name} holds the weights of the part '{fit.part}' of the network; the rest "
            f"keeps its own constants."
        )
    return said


def _taken(file: str, fit: Fit, fits: Sequence[Fit], which: Kind | None) -> Iterator[str]:
    """Yield which weights were taken, if a file has others or they are in an unusual place."""
    words = {"ema": "averaged (EMA)", "raw": "raw"}
    counterpart = next((other for other in fits if other.kind != fit.kind), None)
    named = (id(fit), id(counterpart))
    rest = [other for other in fits if id(other) not in named and not _same_values(other, fit)]
    if counterpart is not None:
        kind = counterpart.kind
        more = f"; --weights {kind} takes the {words[kind]} ones, {counterpart.where}"
        taken = f"{file} holds raw and averaged weights: took the {words[fit.kind]} ones"
        yield f"{taken}, {fit.where}{'' if which else more}."
    elif fit.kind == "ema":
        yield f"{file} holds averaged (EMA) weights, {fit.where}; took them."
    elif not rest and ((fit.prefix and not fit.of_wrapper) or fit.found.path.count(".")):
        yield f"{file}: took the weights of {fit.where}."
    if rest:
        places = ", ".join(other.where for other in rest[:_SHOWN])
        yield (
            f"{file}: took the weights of {fit.where}; those of {places}{_more(rest)} fit, too: "
            f"save the ones you mean with torch.save(state_dict, file)."
        )


def refuse_without_names(path: Path, unnamed: Sequence[str]) -> None:
    """Refuse a file that has averaged weights without names, and no others.

    Raises:
        UserError: if there are such weights.
    """
    if unnamed:
        raise UserError(f"{path} holds {_without_names(unnamed)}.")


def _without_names(unnamed: Sequence[str]) -> str:
    places = ", ".join(f"'{place}'" for place in unnamed[:_SHOWN])
    return (
        f"averaged (EMA) weights as torch-ema saves them, {places}, which have no names: to take "
        f"them, copy them into the model with torch-ema's copy_to, and save it with "
        f"torch.save(model.state_dict(), file)"
    )


def _same_values(one: Fit, other: Fit) -> bool:
    """Return whether two fits are the same weights, as of a file that has them twice."""
    if (one.part, one.names.keys()) != (other.part, other.names.keys()):
        return False
    return all(
        _equal(one.found.values[theirs], other.found.values[other.names[name]])
        for name, theirs in one.names.items()
    )


def _equal(one: Any, other: Any) -> bool:
    if not isinstance(one, Tensor) or not isinstance(other, Tensor):
        return True  # extra states, which are nothing to choose weights by
    try:
        return torch.equal(one, other)
    except RuntimeError:  # of other types, or sparse
        return False


def _more(left: Sequence[object]) -> str:
    return f" and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
