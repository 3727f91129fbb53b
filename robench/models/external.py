"""Third-party models: from timm, torchvision, the hub, or from a Python file or module."""

import importlib
import sys
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from robench.data.load import HUB
from robench.errors import UserError, did_you_mean
from robench.expressions import parse_expression
from robench.models.accept import unwrapped
from robench.models.checkpoint import load_checkpoint
from robench.models.frozen import in_eval_mode
from robench.models.library_networks import (
    LIBRARIES,
    as_built,
    built,
    timm_network,
    torchvision_network,
)
from robench.models.normalization import IDENTITY, Normalization
from robench.models.robustbench_networks import robustbench_network
from robench.models.state_dicts import Kind
from robench.models.third_party_weights import load_third_party_weights
from robench.plugin_modules import forget_plugin, import_plugin

ROBUSTBENCH = "robustbench"
"""What precedes the name of a network of RobustBench."""


@dataclass(frozen=True)
class ExternalOptions:
    """How a third-party model is loaded, beyond its name and the file of its weights.

    Attributes:
        normalization: what is put before the network; None: the library's mean and std, or nothing
            before a network of your own.
        weights: which weights of a file that holds both, ``ema`` or ``raw``; None prefers ``ema``.
    """

    normalization: Normalization | None = None
    weights: Kind | None = None


@dataclass(frozen=True)
class ExternalModel:
    """A third-party model.

    Attributes:
        module: images in [0, 1] -> logits, in eval mode on the CPU.
        normalization: what is put before the network.
        notes: sentences for the user: what is put before it, which weights were taken.
        origin: the repository of the hub and its commit, ``hf:ORG/NAME@COMMIT``; or None.
        architecture: what builds a network of the hub, ``timm:NAME(options)``; None if robench
            trained it, or it is not from the hub.
        dataset: the data set of a network of the hub, if its repository says it.
    """

    module: nn.Module
    normalization: Normalization
    notes: tuple[str, ...]
    origin: str | None = None
    architecture: str | None = None
    dataset: str = ""


def load_external(
    name: str, weights: Path | None = None, options: ExternalOptions | None = None
) -> ExternalModel:
    """Build a model, images in [0, 1] -> logits, in eval mode on the CPU.

    Args:
        name: ``timm:NAME(options)`` or ``torchvision:NAME(options)``, preceded by a normalization
            with the library's mean and std unless ``options`` say otherwise, and with its
            pretrained weights if ``weights`` is omitted; or ``package.module:build`` or
            ``FILE.py:build``, a function without arguments that returns a model, or the model
            itself. That code is executed. Or ``hf:ORG/NAME@REVISION``, see ``hub_networks``, or
            ``robustbench:DATASET/THREAT/NAME``, see ``robustbench_networks``.
        weights: ``.safetensors``, or a file written by ``torch.save`` with tensors only.
        options: what is put before the network, and which of the file's weights are taken.

    Raises:
        UserError: if the model does not exist or cannot be built, or the weights do not fit.
    """
    options = options or ExternalOptions()
    if split_name(name)[0] == HUB:
        return _from_hub(name, weights, options)
    if options.weights is not None and weights is None:
        raise UserError("--weights chooses among the weights of a file; name it with --checkpoint.")
    return _loaded(name, weights, options)


def _loaded(
    name: str, weights: Path | None, options: ExternalOptions, *, published: bool = False
) -> ExternalModel:
    """Return a model that is not named by the hub, perhaps with the weights of a published row."""
    network, own = _network(name, options.normalization, pretrained=weights is None)
    taken: tuple[str, ...] = ()
    if weights is not None:
        taken = load_third_party_weights(weights, network, options.weights, published=published)
    normalization = options.normalization or own or IDENTITY
    model = _assembled(name, network, normalization)
    change = "" if options.normalization else "; --normalize NAME or --mean and --std change that"
    return ExternalModel(model, normalization, (f"{name}: {normalization}{change}.", *taken))


def build_external(name: str, normalization: Normalization | None = None) -> nn.Module:
    """Build the same model as :func:`load_external` without weights; nothing is downloaded.

    The arguments and errors are those of :func:`load_external`.
    """
    network, own = _network(name, normalization, pretrained=False)
    return _assembled(name, network, normalization or own or IDENTITY)


def name_as_built(name: str, model: nn.Module) -> str:
    """Return the name by which :func:`build_external` builds a model that was loaded.

    It says what torchvision sets by itself where it loads its own weights.

    Args:
        name: the name by which it was loaded.
        model: the module of its :class:`ExternalModel`.
    """
    where, what = split_name(name)
    if where != "torchvision":
        return name
    call = parse_expression(what)
    complete = as_built(call, model.get_submodule("net"))
    return name if complete == call else f"{where}:{complete}"


def is_own_code(name: str) -> bool:
    """Return whether a model is built by code of the user's own, and not by a library's."""
    return split_name(name)[0] not in (*LIBRARIES, HUB, ROBUSTBENCH)


def split_name(name: str) -> tuple[str, str]:
    """Split the name of a model into where it is and what it is called there.

    ``timm:NAME(options)`` is split at its first colon, ``C:\\nets.py:build`` at its last.

    Raises:
        UserError: if a half is missing.
    """
    where, _, what = name.partition(":")
    if where not in (*LIBRARIES, HUB, ROBUSTBENCH):
        where, _, what = name.rpartition(":")
    if not where or not what.strip() or what.endswith(".py"):
        raise UserError(
            f"--model '{name}': write timm:NAME, torchvision:NAME, hf:ORG/NAME, "
            f"robustbench:DATASET/THREAT/NAME, package.module:function or FILE.py:function."
        )
    return where, what


def _from_hub(name: str, weights: Path | None, options: ExternalOptions) -> ExternalModel:
    from robench.models.hub_networks import fetch_network  # imports huggingface_hub

    if weights is not None:
        raise UserError(f"{name} comes with its weights; leave out --checkpoint.")
    found = fetch_network(name)
    note = f"{found.origin}: {found.words}."
    if found.architecture is not None:
        options = replace(options, normalization=options.normalization or found.normalization)
        loaded = _loaded(found.architecture, found.weights, options, published=found.published)
        return replace(
            loaded, notes=(note, *loaded.notes), origin=found.origin,
            architecture=found.architecture, dataset=found.dataset,
        )  # fmt: skip
    if options != ExternalOptions():
        raise UserError(
            f"{name} was trained by robench: its mean and std are part of it, and it has one set "
            f"of weights; leave out --normalize, --mean, --std and --weights."
        )
    module, network, _ = load_checkpoint(found.weights)
    own = Normalization(network.mean, network.std, "the network's own")
    return ExternalModel(module, own, (note, f"{own}."), found.origin, dataset=found.dataset)


def _network(
    name: str, given: Normalization | None, *, pretrained: bool
) -> tuple[nn.Module, Normalization | None]:
    where, what = split_name(name)
    with torch.random.fork_rng(devices=[]):  # third-party code may draw or seed
        if where == "timm":
            return timm_network(parse_expression(what), pretrained=pretrained)
        if where == "torchvision":
            call = parse_expression(what)
            return torchvision_network(call, pretrained=pretrained, normalized=given is None)
        if where == ROBUSTBENCH:
            return robustbench_network(what, pretrained=pretrained), None
        return unwrapped(_own(where, what)), None


def _assembled(name: str, network: nn.Module, normalization: Normalization) -> nn.Module:
    """Return the network behind its normalization; a network of one's own may have none.

    A library's network has the same names of weights whatever is put before it.
    """
    if normalization.is_identity and split_name(name)[0] not in LIBRARIES:
        return in_eval_mode(network)
    layers = OrderedDict(normalize=normalization.layer(), net=network)
    return in_eval_mode(nn.Sequential(layers))


def _own(where: str, function: str) -> nn.Module:
    module = _imported(where)
    if not hasattr(module, function):
        found = vars(module).items()
        names = [n for n, v in found if not n.startswith("_") and not isinstance(v, ModuleType)]
        raise UserError(f"{where} has no '{function}'; {did_you_mean(function, names)}")
    value = getattr(module, function)
    if isinstance(value, nn.Module):
        return value
    model = built(f"{where}:{function}", value)
    if not isinstance(model, nn.Module):
        raise UserError(
            f"{where}:{function} returns a {type(model).__name__}; a torch.nn.Module is needed."
        )
    return model


def _imported(where: str) -> Any:
    if not where.endswith(".py"):
        here = str(Path.cwd())
        sys.path.insert(0, here)
        try:
            return importlib.import_module(where)
        except ModuleNotFoundError as error:
            raise UserError(
                f"no Python module '{error.name}' found here or among the installed packages; "
                f"run robench from its folder, or name a file: FILE.py:function."
            ) from None
        except Exception as error:
            raise UserError(f"{where} raises {type(error).__name__}: {error}.") from error
        finally:
            sys.path.remove(here)  # which need no longer be the first: modules add folders, too
    file = Path(where)
    if not file.is_file():
        raise UserError(f"no model file found at {file}.")
    # As a plugin is: it may import its neighbors, and no cached bytecode is executed.
    forget_plugin(file)
    try:
        return import_plugin(file.resolve())
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{file} raises {type(error).__name__}: {error}.") from error
