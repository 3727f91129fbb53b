"""Applying a defense to a convolutional network from any library."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from fnmatch import fnmatchcase

import torch
from torch import nn

from robench.base import Defense
from robench.base.defense import REPLACES_CONV
from robench.errors import UserError, did_you_mean, shortened
from robench.models.accept import refuse_lazy, unwrapped
from robench.models.norm_layers import NORMS, is_norm, warn_of_norms_left
from robench.models.plain_state import copies_of_computed
from robench.plugins import raised_in_plugin
from robench.registry import defenses
from robench.system.out_of_memory import is_out_of_memory

APPLIED = "applied_defense"
"""Attribute in which a network has the defense that was applied to it."""


def apply_defense(
    model: nn.Module, defense: str | Defense, *, skip: Sequence[str] = ()
) -> nn.Module:
    """Return a copy of ``model`` with ``defense`` applied to its convolutions and norm layers.

    Linear layers are unchanged. A network without any norm layer first gets a BatchNorm after each
    convolution, so that a defense means the same on every network: ``vanilla`` drops them again,
    the others keep, replace or drop them as on a network that came with norm layers. Norm layers of
    other kinds than BatchNorm2d, GroupNorm and InstanceNorm2d stay; a warning says so where the
    defense drops or replaces these.

    Args:
        model: any network with ``nn.Conv2d`` layers; it is not modified.
        defense: an entry expression such as ``"convnorm(bn=False)"``, or a defense object.
        skip: patterns of the names of layers (``"classifier.*"``), or one of them, to leave
            unchanged, also by penalties and projections.

    Some defenses draw from torch's global random generator, as layers do that are built: seed it
    afterwards if what follows is to be the same for each.

    Raises:
        UserError: if there is no convolution, a layer is lazy, or the defense cannot replace one or
            raises; the message names the layer and the reason; or if a pattern of ``skip`` matches
            no layer. Nothing has been changed by then.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
        >>> type(apply_defense(net, "convnorm")[0]).__name__
        'ConvNorm2d'
        >>> type(net[0]).__name__  # the network itself is left unchanged
        'Conv2d'
    """
    title = defense if isinstance(defense, str) else type(defense).__name__
    defense = defenses.build(defense) if isinstance(defense, str) else defense
    _check_defense(defense)
    skip = [skip] if isinstance(skip, str) else skip
    model = _convertible(model)
    layers = _without(skip, model)
    convs = {name: m for name, m in layers.items() if isinstance(m, nn.Conv2d)}
    if not convs:
        left = f" outside skip={list(skip)}" if skip else ""
        raise UserError(
            f"{type(model).__name__} has no nn.Conv2d{left} that a defense could replace."
        )
    for name, conv in convs.items():
        _check(defense, name, conv)
    warn_of_norms_left(defense, layers)
    without_norms = not any(is_norm(module) for module in model.modules())
    # The copy's modules are found by the originals' ids, so that shared ones stay shared.
    memo = copies_of_computed(model)
    copied = copy.deepcopy(model, memo)
    names = {id(memo[id(m)]): name for name, m in layers.items() if id(m) in memo}

    def replace(module: nn.Module) -> nn.Module:
        if id(module) not in names:
            return module
        with _named(title, names[id(module)]):
            return _replacement(defense, module, without_norms)

    defended = _rebuild(copied, replace, {})
    setattr(defended, APPLIED, defense)
    return defended


def defense_of(model: nn.Module) -> Defense | None:
    """Return the defense that :func:`apply_defense` applied to a model or a part of it, or None."""
    applied = (vars(module).get(APPLIED) for module in model.modules())
    return next((found for found in applied if isinstance(found, Defense)), None)


def _check_defense(defense: object) -> None:
    """Check that something is a defense.

    Raises:
        UserError: if it is not, as its class is not.
    """
    if isinstance(defense, type) and issubclass(defense, Defense):
        raise UserError(
            f"the defense is the class {defense.__name__}; give an object: {defense.__name__}()."
        )
    if not isinstance(defense, Defense):
        raise UserError(
            f"the defense is a {type(defense).__name__}; give a name such as 'convnorm', or an "
            f"object of a robench.Defense."
        )


def _convertible(model: nn.Module) -> nn.Module:
    """Return the network itself, of which layers can be replaced."""
    if not isinstance(model, nn.Module):
        raise UserError(
            f"the model is a {type(model).__name__}; give a torch.nn.Module, and then the defense."
        )
    model = unwrapped(model)
    if isinstance(model, torch.jit.ScriptModule):
        raise UserError(
            "the model is a TorchScript module, of which no layer can be replaced; apply the "
            "defense to the network before it is scripted or traced."
        )
    refuse_lazy(model)
    return model


def _without(skip: Sequence[str], model: nn.Module) -> dict[str, nn.Module]:
    """Return the modules by name; a module used twice can be skipped by either of its names.

    Raises:
        UserError: if a pattern matches no module: a misspelled one would be ignored.
    """
    named = list(model.named_modules(remove_duplicate=False))
    for pattern in skip:
        if not any(fnmatchcase(name, pattern) for name, _ in named):
            near = did_you_mean(pattern, get_close_matches(pattern, dict(named), n=3, cutoff=0))
            raise UserError(f"skip: '{pattern}' matches no layer of the network; {near}")
    skipped = {id(m) for name, m in named if any(fnmatchcase(name, p) for p in skip)}
    return {name: module for name, module in model.named_modules() if id(module) not in skipped}


def _check(defense: Defense, name: str, conv: nn.Conv2d) -> None:
    where = f"layer '{name or '(the model itself)'}', {type(conv).__name__}({conv.extra_repr()})"
    if defense.kind == "projection" and "weight" not in conv._parameters:
        raise UserError(
            f"{where}: its weight is computed from other parameters, so that what "
            f"{type(defense).__name__} writes into it would be lost; leave it unchanged with "
            f"skip=['{name}']."
        )
    if type(defense).replace_conv is Defense.replace_conv:
        return
    if "weight" not in conv._parameters and type(conv) is nn.Conv2d:
        raise UserError(
            f"{where}: its weight is computed by a hook (torch's older weight_norm or "
            f"spectral_norm), which {type(defense).__name__} would discard; remove the hook first."
        )
    if type(conv) is not nn.Conv2d:
        raise UserError(
            f"{where}: it is a {type(conv).__name__} with its own forward, which "
            f"{type(defense).__name__} would discard; leave it unchanged with skip=['{name}']."
        )
    if reason := defense.unsupported(conv):
        raise UserError(f"{where}: {type(defense).__name__} cannot replace it: {reason}.")


@contextmanager
def _named(defense: str, layer: str) -> Iterator[None]:
    """Name the layer if the own code of a defense raises inside the ``with`` statement.

    Raises:
        UserError: in the place of any other exception, unless memory was short.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        said = f"{type(error).__name__}: {error}".removesuffix(": ")
        raise UserError(
            f"defense '{shortened(defense)}' fails on the layer '{layer or '(the model itself)'}' "
            f"({raised_in_plugin(error) or said})."
        ) from error


def _replacement(defense: Defense, module: nn.Module, without_norms: bool) -> nn.Module:
    """Return what a defense puts in the place of a module, in the mode of that."""
    if isinstance(module, nn.Conv2d):
        new = _with_norm(defense, module) if without_norms else _replaced(defense, module)
    elif isinstance(module, NORMS):
        new = _keep_activation(module, _made(defense, "replace_norm", module))
    else:
        return module
    return new.train(module.training)


def _made(defense: Defense, method: str, layer: nn.Module) -> nn.Module:
    """Return what a defense replaces a layer by, which must be a module."""
    made = getattr(defense, method)(layer)
    if not isinstance(made, nn.Module):
        if made is None:
            what = "nothing (a 'return' may be missing)"
        elif isinstance(made, type):
            what = f"the class {made.__name__}, not an instance of it,"
        else:
            what = f"a {type(made).__name__}"
        raise UserError(
            f"{type(defense).__name__}.{method} returns {what} for {type(layer).__name__}; it must "
            f"return the module that replaces the layer."
        )
    return made


def _replaced(defense: Defense, conv: nn.Conv2d) -> nn.Module:
    replaced = _made(defense, "replace_conv", conv)
    vars(replaced)[REPLACES_CONV] = True
    return replaced


def _with_norm(defense: Defense, conv: nn.Conv2d) -> nn.Module:
    # On the same device and of the same dtype as its convolution.
    norm = nn.BatchNorm2d(conv.out_channels).to(conv.weight)
    kept = _made(defense, "replace_norm", norm)
    replaced = _replaced(defense, conv)
    return replaced if isinstance(kept, nn.Identity) else nn.Sequential(replaced, kept)


def _keep_activation(norm: nn.Module, replaced: nn.Module) -> nn.Module:
    """Keep the activation of a norm layer that contains one, as in timm."""
    inner = [getattr(norm, name, None) for name in ("drop", "act")]
    after = [m for m in inner if isinstance(m, nn.Module) and not isinstance(m, nn.Identity)]
    if replaced is norm or not after:
        return replaced
    return nn.Sequential(replaced, *after)


def _rebuild(
    module: nn.Module,
    replace: Callable[[nn.Module], nn.Module],
    done: dict[int, tuple[nn.Module, nn.Module]],
) -> nn.Module:
    """Replace modules from the root down; replacements are not traversed."""
    if id(module) in done:
        return done[id(module)][1]
    replaced = replace(module)
    done[id(module)] = (module, replaced)  # keeps the original alive: its id must not be reused
    if replaced is not module:
        return replaced
    for name, child in list(module._modules.items()):
        if child is not None:
            module._modules[name] = _rebuild(child, replace, done)
    return module
