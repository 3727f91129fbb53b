"""Load third-party weights: which of a file's state dicts fits which part of a network."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from robench.errors import UserError, shortened
from robench.models.late_state import accepted_state
from robench.models.state_dicts import (
    Kind,
    StateDict,
    canonical_names,
    find_state_dicts,
    is_averaged,
)
from robench.models.value_types import wrong_type
from robench.models.weight_files import read_weights

WRAPPERS = ("module", "model", "net")
"""Parts of names that wrappers of a model add before the names of weights."""
AVERAGED_MODEL = "n_averaged"
"""The counter that torch's ``AveragedModel`` stores beside the averaged weights."""
_COUNTER = "num_batches_tracked"
_STATISTICS = ("running_mean", "running_var")

Slots = Mapping[str, tuple[int, ...] | None]
"""Names of a network's state, with the shapes of tensors; None if any value fits."""


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


def load_third_party_weights(
    path: Path, model: nn.Module, which: Kind | None = None
) -> tuple[str, ...]:
    """Load a file's weights into ``model``, every tensor of it; nothing in the file is executed.

    Prefixes left by wrappers (``module.``) are removed, and a state dict nested in other content
    is found. Where a file holds raw and averaged weights, the averaged ones are taken, as timm
    does, since published figures are theirs. Weights of a bare network are loaded into the only
    part of ``model`` that they fit, if the rest of it has nothing to train.

    Args:
        path: ``.safetensors``, or a file of ``torch.save``.
        model: the network; lazy layers get the shapes of the file.
        which: ``ema`` or ``raw`` weights; None prefers averaged ones.

    Returns:
        Sentences that say which of the file's weights were taken, if that is not obvious.

    Raises:
        UserError: if the file is missing, damaged, contains more than tensors, or does not fit.
    """
    found = find_state_dicts(content := read_weights(path))
    if not found:
        raise UserError(
            f"{path} holds a {type(content).__name__}, not a state dict of tensors; save one with "
            f"torch.save(model.state_dict(), file)."
        )
    fits = [fit for state in found for fit in _fits(state, model)]
    if not fits:
        wrong = _first_difference(_slots(model), found)
        raise UserError(f"{path} holds the weights of another model: {wrong}.")
    fit = _chosen(path, fits, which)
    _load(path, model, fit)
    return tuple(_sentences(path, fit, fits, which))


def _fits(found: StateDict, model: nn.Module) -> list[Fit]:
    """Return the ways in which a state dict fits a network or, if there is none, a part of it."""
    for part in _whole_parts(model):
        module = dict(model.named_modules())[part]
        slots = _slots(module)
        tried = (
            _fit(found, part, {**slots, **_late(module, prefix, found)}, prefix)
            for prefix in _prefixes(found, slots)
        )
        if fits := [fit for fit in tried if fit]:
            return fits
    return []


def _late(module: nn.Module, prefix: str, found: StateDict) -> Slots:
    own = {n[len(prefix) :]: v for n, v in found.values.items() if n.startswith(prefix)}
    return dict(accepted_state(module, own))


def _whole_parts(model: nn.Module) -> Iterator[str]:
    """Yield the names of the parts that hold all trained weights, the network itself first.

    What lies outside such a part keeps its values: constants such as a mean and std, but no weights
    and no running statistics.
    """
    yield ""
    parameters = dict(model.named_parameters())
    trained = {name for name, p in parameters.items() if p.requires_grad} or set(parameters)
    state = set(model.state_dict())
    for part, _ in model.named_modules():
        outside = {name for name in state if not name.startswith(f"{part}.")}
        statistics = any(name.rpartition(".")[2] in _STATISTICS for name in outside)
        if part and outside < state and not statistics and not outside & trained:
            yield part


def _slots(model: nn.Module) -> Slots:
    return {
        name: None if not isinstance(value, Tensor) or is_lazy(value) else tuple(value.shape)
        for name, value in model.state_dict().items()
    }


def _prefixes(found: StateDict, slots: Slots) -> list[str]:
    """Return what may precede the names of the weights, the empty prefix first."""
    names, wanted = canonical_names(found.values).values(), canonical_names(slots).values()
    anchor = next((name for name in wanted if not name.endswith(_COUNTER)), "")
    found_before = {name.removesuffix(anchor) for name in names if name.endswith(anchor)}
    return sorted((p for p in found_before if not p or p.endswith(".")), key=len)


def _fit(found: StateDict, part: str, slots: Slots, prefix: str) -> Fit | None:
    """Return the fit if each slot gets a value of its shape and nothing below the prefix is left.

    Old checkpoints lack the counters of batch norms, which evaluation does not use.
    """
    theirs = {
        new[len(prefix) :]: old
        for old, new in canonical_names(found.values).items()
        if new.startswith(prefix)
    }
    ours = canonical_names(slots)
    names = {old: theirs[new] for old, new in ours.items() if new in theirs}
    missing = {name for name in set(slots) - set(names) if not name.endswith(_COUNTER)}
    extra = set(theirs) - set(ours.values())
    wrong = any(_shape(found.values[names[n]], slots[n]) is not None for n in names)
    return None if missing or extra or wrong else Fit(found, prefix, part, names)


def _shape(value: Any, wanted: tuple[int, ...] | None) -> str | None:
    """Return the shape of a value if it is not the wanted one, or None."""
    if wanted is None or (isinstance(value, Tensor) and tuple(value.shape) == wanted):
        return None
    return str(tuple(value.shape)) if isinstance(value, Tensor) else type(value).__name__


def _chosen(path: Path, fits: Sequence[Fit], which: Kind | None) -> Fit:
    kinds = {fit.kind for fit in fits}
    if which is not None and which not in kinds:
        held = "averaged (EMA)" if which == "raw" else "raw"
        raise UserError(
            f"{path} holds only {held} weights that fit, {fits[0].where}; leave out --weights "
            f"{which}."
        )
    kind = which or ("ema" if "ema" in kinds else "raw")
    same = [fit for fit in fits if fit.kind == kind]
    best = [fit for fit in same if fit.found.known == same[0].found.known]
    if len(best) > 1:
        places = " and ".join(fit.where for fit in best[:3])
        raise UserError(
            f"{path} holds several weights that fit: {places}; save the ones you mean with "
            f"torch.save(state_dict, file)."
        )
    return best[0]


def _load(path: Path, model: nn.Module, fit: Fit) -> None:
    before = f"{fit.part}." if fit.part else ""
    given = {f"{before}{name}": fit.found.values[theirs] for name, theirs in fit.names.items()}
    slots = model.state_dict()
    kept = {k: v for k, v in slots.items() if k not in given}
    wanted = {t: slots[own] for n, t in fit.names.items() if (own := f"{before}{n}") in slots}
    if wrong := wrong_type(wanted, {name: fit.found.values[name] for name in fit.names.values()}):
        raise UserError(
            f"{path} cannot be loaded: {wrong}; save the weights in floating point with "
            f"torch.save(model.state_dict(), file)."
        )
    try:
        model.load_state_dict({**kept, **given})
    except Exception as error:  # sparse values, or a module's own loading
        reason = str(error).strip().split("\n")[-1].strip()
        raise UserError(
            f"{path} cannot be loaded ({type(error).__name__}: {shortened(reason, 200)})."
        ) from error


def _sentences(path: Path, fit: Fit, fits: Sequence[Fit], which: Kind | None) -> list[str]:
    said = []
    others = sorted({other.where for other in fits if other.kind != fit.kind})
    words = {"ema": "averaged (EMA)", "raw": "raw"}
    if others:
        other: Kind = "raw" if fit.kind == "ema" else "ema"
        more = f"; --weights {other} takes the {words[other]} ones, {others[0]}"
        taken = f"{path.name} holds raw and averaged weights: took the {words[fit.kind]} ones"
        said.append(f"{taken}, {fit.where}{'' if which else more}.")
    elif fit.kind == "ema":
        said.append(f"{path.name} holds averaged (EMA) weights, {fit.where}; took them.")
    elif (fit.prefix and not fit.of_wrapper) or fit.found.path.count("."):
        said.append(f"{path.name}: took the weights of {fit.where}.")
    used = {name for other in fits for name in other.names.values()}
    if left := [name for name in fit.left_out if name not in used]:
        names = ", ".join(f"'{name}'" for name in left[:3])
        more = f" and {len(left) - 3} more" if len(left) > 3 else ""
        said.append(f"{path.name}: left out {names}{more}, which the network does not have.")
    if fit.part:
        said.append(
            f"{path.name} holds the weights of the part '{fit.part}' of the network; the rest "
            f"keeps its own constants."
        )
    return said


def _first_difference(slots: Slots, states: Sequence[StateDict]) -> str:
    """Return the first mismatch with the state dict that has most of the wanted names."""
    wanted = canonical_names(slots)

    def without_wrappers(state: StateDict) -> dict[str, Any]:
        values = dict(state.values)
        while (first := next(iter(values)).partition(".")[0]) in WRAPPERS:
            if not all(k.startswith(f"{first}.") for k in values) or set(values) <= set(slots):
                break
            values = {k.removeprefix(f"{first}."): v for k, v in values.items()}
        return {new: values[old] for old, new in canonical_names(values).items()}

    candidates = [without_wrappers(state) for state in states]
    best = max(candidates, key=lambda c: len(set(c) & set(wanted.values())))
    for name, new in wanted.items():
        if name.endswith(_COUNTER):
            continue
        if new not in best:
            return f"'{name}' is missing"
        if (shape := _shape(best[new], slots[name])) is not None:
            return f"'{name}' has shape {shape} where {slots[name]} is needed"
    extra = sorted(set(best) - set(wanted.values()))
    return f"'{extra[0]}' is not part of it" if extra else "its names are not unique"
