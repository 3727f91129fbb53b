"""Third-party models: from timm, from torchvision, or from a Python file or module."""

import importlib
import importlib.util
import re
import sys
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from robench.data import DataSet
from robench.errors import UserError, did_you_mean
from robench.expressions import Expression, parse_expression
from robench.models.build import Normalize
from robench.models.checkpoint import first_difference

NESTED = ("state_dict", "model_state_dict", "model", "net", "weights")
"""Keys under which checkpoints with other content store their state dict."""
PREFIXES = ("module.", "model.", "_orig_mod.")
"""Prefixes that model wrappers add to the names of weights."""


def load_external(name: str, weights: Path | None = None) -> nn.Module:
    """Build a model, images in [0, 1] -> logits, in eval mode on the CPU.

    Args:
        name: ``timm:NAME(options)`` or ``torchvision:NAME(options)``, preceded by a normalization
            with the library's mean and std, and with its pretrained weights if ``weights`` is
            omitted; or ``package.module:build`` or ``FILE.py:build``, a function without
            arguments that returns a model, or the model itself. That code is executed.
        weights: ``.safetensors``, or a file written by ``torch.save`` with tensors only.

    Raises:
        UserError: if the model does not exist or cannot be built, or the weights do not fit.
    """
    model, normalize = _built_parts(name, pretrained=weights is None)
    if weights is not None:
        load_third_party_weights(weights, model)
    return _assembled(model, normalize)


def build_external(name: str) -> nn.Module:
    """Build the same model as :func:`load_external` without weights; nothing is downloaded.

    The arguments and errors are those of :func:`load_external`.
    """
    return _assembled(*_built_parts(name, pretrained=False))


def _built_parts(name: str, *, pretrained: bool) -> tuple[nn.Module, Normalize | None]:
    where, colon, rest = name.partition(":")
    if not colon or not rest:
        raise UserError(
            f"--model '{name}': write timm:NAME, torchvision:NAME, package.module:function or "
            f"FILE.py:function."
        )
    with torch.random.fork_rng(devices=[]):  # third-party code may draw or seed
        model, mean, std = _parts(where, rest, pretrained=pretrained)
    return model, Normalize(mean, std) if mean is not None and std is not None else None


def _assembled(model: nn.Module, normalize: Normalize | None) -> nn.Module:
    if normalize is not None:
        model = nn.Sequential(OrderedDict(normalize=normalize, net=model))
    return model.eval()


def load_third_party_weights(path: Path, model: nn.Module) -> None:
    """Load a state dict into ``model``, every tensor of it; nothing in the file is executed.

    Prefixes left by wrappers (``module.``) are removed, and a state dict nested in other content
    is found under its usual keys.

    Raises:
        UserError: if the file is missing, damaged, contains more than tensors, or does not fit.
    """
    if not path.is_file():
        raise UserError(f"no weights file found at {path}.")
    state = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    for key in NESTED:
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
            break
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise UserError(
            f"{path} holds a {type(state).__name__}, not a state dict of tensors; save one with "
            f"torch.save(model.state_dict(), file)."
        )
    expected = {k: tuple(v.shape) for k, v in model.state_dict().items()}
    while prefix := _shared_prefix(state, expected):
        state = {k.removeprefix(prefix): v for k, v in state.items()}
    # Old checkpoints lack the counters of batch norms, which evaluation does not use.
    counters = {k: v for k, v in model.state_dict().items() if k.endswith("num_batches_tracked")}
    state = {**counters, **state}
    if wrong := first_difference(expected, state):
        raise UserError(f"{path} holds the weights of another model: {wrong}.")
    model.load_state_dict(state)


def _shared_prefix(state: Mapping[str, Any], expected: Collection[str]) -> str | None:
    """Return the prefix that a wrapper added to all names, if it keeps them from matching."""
    if not set(state) - set(expected):
        return None
    return next((p for p in PREFIXES if all(k.startswith(p) for k in state)), None)


def _read_safetensors(path: Path) -> Any:
    try:
        return safetensors.torch.load_file(path)
    except Exception as error:
        raise UserError(f"{path} is not a complete safetensors file ({error}).") from error


def _read_torch(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        text = str(error)
        if re.search(r"Unsupported (global|class)|GLOBAL", text):
            raise UserError(
                f"{path} holds Python objects other than tensors, and loading it would execute "
                f"their code: open it only if you trust it, and save just the tensors with "
                f"torch.save(model.state_dict(), file)."
            ) from None
        first = text.split("\n", 1)[0]
        raise UserError(f"{path} is not a complete file of torch.save ({first}).") from None


Parts = tuple[nn.Module, tuple[float, ...] | None, tuple[float, ...] | None]
"""A network, and the mean and std to normalize its images with, if it does not do so itself."""


def _parts(where: str, name: str, pretrained: bool) -> Parts:
    if where == "timm":
        return _timm(parse_expression(name), pretrained)
    if where == "torchvision":
        return _torchvision(parse_expression(name), pretrained)
    return _own(where, name), None, None


def _timm(call: Expression, pretrained: bool) -> Parts:
    try:
        import timm
        from timm.data import resolve_model_data_config
    except ImportError:
        raise UserError("timm is not installed: pip install timm.") from None
    if call.name.split(".")[0] not in timm.list_models():
        raise UserError(
            f"timm has no model '{call.name}'; {did_you_mean(call.name, timm.list_models())}"
        )
    options = {"pretrained": pretrained, **call.options}
    model = _built(f"timm:{call}", lambda: timm.create_model(call.name, **options))
    config = resolve_model_data_config(model)
    return model, tuple(config["mean"]), tuple(config["std"])


def _torchvision(call: Expression, pretrained: bool) -> Parts:
    from torchvision import models

    names = models.list_models(module=models)
    if call.name not in names:
        raise UserError(f"torchvision has no model '{call.name}'; {did_you_mean(call.name, names)}")
    options = {"weights": "DEFAULT" if pretrained else None, **call.options}
    model = _built(f"torchvision:{call}", lambda: models.get_model(call.name, **options))
    default = models.get_model_weights(call.name).DEFAULT.transforms()
    return model, tuple(default.mean), tuple(default.std)


def _own(where: str, function: str) -> nn.Module:
    module = _imported(where)
    if not hasattr(module, function):
        names = [n for n in vars(module) if not n.startswith("_")]
        raise UserError(f"{where} has no '{function}'; {did_you_mean(function, names)}")
    value = getattr(module, function)
    if isinstance(value, nn.Module):
        return value
    model = _built(f"{where}:{function}", value)
    if not isinstance(model, nn.Module):
        raise UserError(
            f"{where}:{function} returns a {type(model).__name__}; a torch.nn.Module is needed."
        )
    return model


def _imported(where: str) -> Any:
    if not where.endswith(".py"):
        sys.path.insert(0, str(Path.cwd()))
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
            sys.path.pop(0)
    file = Path(where)
    if not file.is_file():
        raise UserError(f"no model file found at {file}.")
    spec = importlib.util.spec_from_file_location(f"robench_model_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UserError(f"{file} raises {type(error).__name__}: {error}.") from error
    return module


def _built(name: str, build: Callable[[], Any]) -> Any:
    try:
        return build()
    except Exception as error:
        reason = str(error).split("\n", 1)[0]
        raise UserError(
            f"{name} cannot be built ({type(error).__name__}: {reason}); without a network to "
            f"download pretrained weights from, name your own with --checkpoint."
            if "weights" in reason.lower() or isinstance(error, OSError)
            else f"{name} cannot be built ({type(error).__name__}: {reason})."
        ) from error


def check_fit(model: nn.Module, name: str, dataset: DataSet) -> None:
    """Check a model's input and output shapes with one black image of a dataset.

    Raises:
        UserError: if the model does not accept the image or does not return one logit per class.
    """
    shape = (dataset.in_channels, *dataset.image_size)
    try:
        with torch.no_grad():
            logits = model(torch.zeros(1, *shape))
    except Exception as error:
        reason = str(error).split("\n", 1)[0]
        raise UserError(
            f"{name} cannot take images of {'x'.join(map(str, shape))} from {dataset.name} "
            f"({type(error).__name__}: {reason})."
        ) from error
    fits = isinstance(logits, torch.Tensor) and logits.ndim == 2 and len(logits) == 1
    if not fits or not dataset.accepts(logits.shape[1]):
        got = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise UserError(
            f"{name} returns {got} for one image, but {dataset.name} has {dataset.num_classes} "
            f"classes: (1, {dataset.num_classes}) is needed; for a library model write "
            f"NAME(num_classes={dataset.num_classes}) and give its weights with --checkpoint."
        )
