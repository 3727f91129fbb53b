"""Load third-party weights: which of a file's state dicts fits which part of a network."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from robench.errors import UserError, shortened
from robench.models.fits import Fit, chosen_fit, refuse_without_names, sentences_on
from robench.models.late_state import accepted_state
from robench.models.misfit import COUNTER, Slots, given_as, misfit, other_shape
from robench.models.state_dicts import (
    Kind,
    StateDict,
    canonical_names,
    find_shadow_params,
    find_state_dicts,
)
from robench.models.state_versions import Versions, versions_of, with_versions
from robench.models.value_types import wrong_type
from robench.models.weight_files import read_weights
from robench.models.whole_parts import Tied, has_shape, tied_names, whole_parts


def load_third_party_weights(
    path: Path, model: nn.Module, which: Kind | None = None, *, published: bool = False
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
        published: whether robench wrote the file, from a model of the same code: its modules are
            of that code's versions, which safetensors cannot say.

    Returns:
        Sentences that say which of the file's weights were taken, if that is not obvious.

    Raises:
        UserError: if the file is missing, damaged, contains more than tensors, or does not fit.
    """
    found = find_state_dicts(content := read_weights(path))
    unnamed = [place for place, of in find_shadow_params(content) if _are_parameters(of, model)]
    fits = [fit for state in found for fit in _fits(state, model)]
    if not fits:
        refuse_without_names(path, unnamed)
    if not found:
        raise UserError(
            f"{path} holds a {type(content).__name__}, not a state dict of tensors; save one with "
            f"torch.save(model.state_dict(), file)."
        )
    if not fits:
        raise UserError(f"{path} {misfit(_slots(model), found, tied_names(model))}.")
    fit = chosen_fit(path, fits, which, unnamed)
    _load(path, model, fit, published)
    return tuple(sentences_on(path, fit, fits, which, unnamed))


def _are_parameters(values: Sequence[Tensor], model: nn.Module) -> bool:
    """Return whether values without names have the shapes of a model's parameters, in order."""
    parameters = list(model.parameters())
    trained = [p for p in parameters if p.requires_grad]
    return any(
        len(values) == len(own)
        and all(is_lazy(p) or p.shape == v.shape for p, v in zip(own, values, strict=True))
        for own in (parameters, trained)
    )


def _fits(found: StateDict, model: nn.Module) -> list[Fit]:
    """Return the ways in which a state dict fits a network or, if there is none, a part of it."""
    for part in whole_parts(model):
        module = dict(model.named_modules())[part]
        slots, tied = _slots(module), tied_names(module)
        tried = (
            _fit(found, part, {**slots, **_late(module, prefix, found)}, prefix, tied)
            for prefix in _prefixes(found, slots, tied)
        )
        if fits := [fit for fit in tried if fit]:
            return fits
    return []


def _late(module: nn.Module, prefix: str, found: StateDict) -> Slots:
    own = {n[len(prefix) :]: v for n, v in found.values.items() if n.startswith(prefix)}
    return dict(accepted_state(module, own))


def _slots(model: nn.Module) -> Slots:
    return {
        name: tuple(value.shape) if has_shape(value) else None
        for name, value in model.state_dict().items()
    }


def _prefixes(found: StateDict, slots: Slots, tied: Tied) -> list[str]:
    """Return what may precede the names of the weights, the empty prefix first."""
    names, wanted = canonical_names(found.values).values(), canonical_names(slots)
    first = next((name for name in slots if not name.endswith(COUNTER)), "")
    anchors = [wanted.get(name, name) for name in tied.get(first, [first])]
    found_before = {
        n.removesuffix(anchor) for anchor in anchors for n in names if n.endswith(anchor)
    }
    return sorted((p for p in found_before if not p or p.endswith(".")), key=len)


def _fit(found: StateDict, part: str, slots: Slots, prefix: str, tied: Tied) -> Fit | None:
    """Return the fit if each slot gets a value of its shape and nothing below the prefix is left.

    Old checkpoints lack the counters of batch norms, which evaluation does not use. Those of
    ``safetensors.torch.save_model`` have each of the model's tensors under one of its names only.
    """
    theirs = {
        new[len(prefix) :]: old
        for old, new in canonical_names(found.values).items()
        if new.startswith(prefix)
    }
    ours = canonical_names(slots)
    given = {old: theirs[new] for old, new in ours.items() if new in theirs}
    names = {n: given[g] for n in ours if (g := given_as(n, given, tied)) is not None}
    missing = {name for name in set(slots) - set(names) if not name.endswith(COUNTER)}
    extra = set(theirs) - set(ours.values())
    wrong = any(other_shape(found.values[names[n]], slots[n]) is not None for n in names)
    return None if missing or extra or wrong else Fit(found, prefix, part, names)


def _load(path: Path, model: nn.Module, fit: Fit, published: bool) -> None:
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
        versions = versions_of(slots)
        if not published:
            versions = _versions(versions, fit)
        model.load_state_dict(with_versions({**kept, **given}, versions))
    except Exception as error:  # sparse values, or a module's own loading
        reason = str(error).strip().split("\n")[-1].strip()
        raise UserError(
            f"{path} cannot be loaded ({type(error).__name__}: {shortened(reason, 200)})."
        ) from error


def _versions(own: Versions, fit: Fit) -> Versions:
    """Return the versions of a model's modules: those of the file for what it gives, or none."""
    theirs = {
        place.removeprefix(fit.prefix): fit.found.versions[name]
        for name, place in _places(fit.found.versions).items()
        if place.startswith(fit.prefix)
    }
    part = _places([fit.part])[fit.part]
    versions = {}
    for name, place in _places(own).items():
        if not place.startswith(part):
            versions[name] = own[name]
        elif place.removeprefix(part) in theirs:
            versions[name] = theirs[place.removeprefix(part)]
    return versions


def _places(modules: Iterable[str]) -> dict[str, str]:
    """Return what precedes the names of the weights of modules, as :func:`canonical_names` does."""
    before = {name: f"{name}." if name else "" for name in modules}
    canonical = canonical_names(before.values())
    return {name: canonical[place] for name, place in before.items()}
