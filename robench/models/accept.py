"""What a user hands over as a model: unwrapped, or refused in a sentence before any work."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from traceback import walk_tb
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from robench.data.notices import seem_channels_last
from robench.errors import UserError, shortened
from robench.system.random_state import own_random_state

_SMALLEST = 4
"""Bytes per value below which weights are too coarse for gradients and margins."""

_ROBENCH = Path(__file__).resolve().parents[1]

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
"""Where a module keeps functions that change what passes through it."""


def plain_module(model: Any) -> nn.Module:
    """Return the network itself, without the wrappers of ``torch.compile`` and of parallelism.

    Double precision is accepted where the model takes float32 images, since it is finer than what
    the evaluation asks for.

    Args:
        model: what a user hands over: a network, images in [0, 1] -> logits.

    Raises:
        UserError: if it is not a module, its layers are lazy, its weights are half precision, on
            the meta device, or on several devices.
    """
    if not isinstance(model, nn.Module):
        what = f"the class {model.__name__}" if isinstance(model, type) else type(model).__name__
        raise UserError(f"the model is {what}; give a torch.nn.Module, images in [0, 1] -> logits.")
    model = unwrapped(model)
    refuse_lazy(model)
    check_weights(model)
    return model


def check_weights(model: nn.Module) -> None:
    """Check that a model's weights have values, precise enough, on one device.

    Raises:
        UserError: if they are half precision, on the meta device, or on several devices.
    """
    for name, tensor in model.named_parameters():
        if tensor.is_floating_point() and tensor.element_size() < _SMALLEST:
            raise UserError(
                f"the model's weights are {_dtype(tensor)} ('{name}'), in which gradients vanish "
                f"and attacks look weaker than they are; convert it with model.float()."
            )
    places = {str(tensor.device): name for name, tensor in model.named_parameters()}
    if "meta" in places:
        raise UserError(f"'{places['meta']}' is on the meta device and has no values; load them.")
    if len(places) > 1:
        raise UserError(
            f"the model's weights are on {' and '.join(sorted(places))}; move it to one device "
            f"with model.to(device)."
        )


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the network within the wrappers of ``torch.compile`` and of data parallelism.

    A wrapper with hooks, or with a forward of its own, computes something else and is kept.
    """
    while not _is_hooked(model):
        if _is_parallel(model) and "forward" not in vars(model):
            model = model.module  # type: ignore[assignment]
        elif _is_compiled(model):
            model = model._orig_mod  # type: ignore[assignment]
        else:
            break
    return model


def _is_parallel(model: nn.Module) -> bool:
    # Exactly these: a subclass may compute something else.
    return type(model) in (nn.DataParallel, nn.parallel.DistributedDataParallel)


def _is_compiled(model: nn.Module) -> bool:
    kind = type(model)  # by its name, since the import of torch._dynamo takes a second
    return (kind.__module__, kind.__name__) == ("torch._dynamo.eval_frame", "OptimizedModule")


def _is_hooked(model: nn.Module) -> bool:
    return next(hooks_of(model), None) is not None


def hooks_of(module: nn.Module) -> Iterator[Any]:
    """Yield the functions that change what passes forward or backward through a module."""
    for kind in _HOOKS:
        yield from getattr(module, kind, {}).values()


def refuse_lazy(model: nn.Module) -> None:
    """Refuse a model with lazy layers.

    Raises:
        UserError: if a parameter or buffer has no shape yet.
    """
    for name, tensor in _tensors(model):
        if is_lazy(tensor):
            raise UserError(
                f"'{name}' belongs to a lazy layer without a shape; pass one batch through the "
                f"model first: model(images[:2])."
            )


def first_logits(model: nn.Module, images: Tensor) -> Tensor:
    """Return what a model returns for a few images, without changing them or the random state.

    Args:
        model: the network, in eval mode, on the device of the images.
        images: (B, C, H, W) float32 in [0, 1].

    Raises:
        UserError: if the model raises, does not return logits, masks classes by -inf, or has
            weights that are not finite.
    """
    device = images.device
    try:
        with (
            own_random_state(device),
            torch.no_grad(),
            torch.autocast(device.type, enabled=False),
        ):
            returned = model(images.clone())
    except (UserError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        size = "x".join(map(str, images.shape[1:]))
        raise UserError(
            f"the model cannot take images of {size} ({reason(error)}){input_hint(model, images)}."
        ) from error
    logits = check_logits(returned, len(images))
    if not logits.isfinite().all():
        refuse_weights_that_are_not_finite(model)
        _refuse_masked_classes(logits)
    return logits


def _refuse_masked_classes(logits: Tensor) -> None:
    """Raise an error for classes that are ruled out by -inf, with which losses are NaN."""
    masked = (logits == -torch.inf).all(0).nonzero().flatten().tolist()
    if 0 < len(masked) < logits.shape[1]:
        named = ", ".join(map(str, masked[:5])) + (" and others" if len(masked) > 5 else "")
        raise UserError(
            f"the model returns -inf for the classes {named}, and attacks compute with all logits: "
            f"mask classes by a finite number, such as -1e4, or return the others alone."
        )


def check_logits(returned: Any, count: int) -> Tensor:
    """Check what a model returns for ``count`` images, and return it.

    Raises:
        UserError: if it is not a real tensor (count, classes).
    """
    if not isinstance(returned, Tensor):
        what, access = describe_output(returned, count)
        wrapper = (
            f": wrap the model in a module whose forward returns self.model(images){access}"
            if access
            else ""
        )
        raise UserError(f"the model returns {what}; it must return logits alone{wrapper}.")
    if returned.ndim != 2 or len(returned) != count:
        raise UserError(
            f"the model returns shape {tuple(returned.shape)} for {count} images; logits must be "
            f"({count}, classes)."
        )
    if returned.is_complex():
        raise UserError("the model returns complex numbers; logits must be real.")
    return returned


def describe_output(returned: Any, count: int) -> tuple[str, str]:
    """Return what a model returns, in words, and how its logits are taken from it; "" if unknown.

    Args:
        returned: a tuple, a dict or another object.
        count: the number of images.
    """
    kind = type(returned).__name__
    if returned is None:
        return "nothing (a 'return' may be missing)", ""
    if isinstance(returned, Mapping):
        access = {f"[{key!r}]": value for key, value in returned.items()}
        first = sorted(access, key=lambda name: name != "['logits']")
        return f"a {kind} of {', '.join(map(repr, returned)) or 'nothing'}", _access(
            {name: access[name] for name in first}, count
        )
    if isinstance(returned, Sequence) and not isinstance(returned, (str, bytes)):
        parts = ", ".join(
            str(tuple(v.shape)) if isinstance(v, Tensor) else type(v).__name__ for v in returned
        )
        access = {f"[{i}]": value for i, value in enumerate(returned)}
        return f"a {kind} of {len(returned)}: {parts}", _access(access, count)
    logits = getattr(returned, "logits", None)
    return f"a {kind}", ".logits" if isinstance(logits, Tensor) else ""


def reason(error: Exception) -> str:
    """Return an exception of foreign code in one line."""
    text = " ".join(str(error)[:1000].split()).rstrip(".:")
    said = f"{type(error).__name__}: {shortened(text, 300)}" if text else type(error).__name__
    return said + _own_line(error)


def _own_line(error: Exception) -> str:
    """Return the last line of the user's own code in which an error was raised; "" if none was."""
    frames = ((f.f_code.co_filename, line) for f, line in walk_tb(error.__traceback__))
    own = [f", in {file}, line {line}" for file, line in frames if not _is_of_a_library(file)]
    return own[-1] if own else ""


def _is_of_a_library(file: str) -> bool:
    """Return whether code is Python's, an installed package's, robench's or of no file."""
    homes = (sys.prefix, sys.base_prefix, str(_ROBENCH))
    return "site-packages" in file or file.startswith(("<", *homes))


def _access(parts: Mapping[str, Any], count: int) -> str:
    """Return how to take the first part that has the shape of logits."""
    tensors = {name: value for name, value in parts.items() if isinstance(value, Tensor)}
    return next((n for n, v in tensors.items() if v.ndim == 2 and len(v) == count), "")


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    return chain(model.named_parameters(), model.named_buffers())


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def input_hint(model: nn.Module, images: Tensor) -> str:
    """Return the likely reason why a model refuses images, as the end of a sentence, or ""."""
    if any(tensor.dtype == torch.float64 for tensor in model.parameters()):
        return "; its weights are float64, but images are float32: convert it with model.float()"
    if seem_channels_last(images):
        return "; (N, C, H, W) is needed: give images.transpose(0, 3, 1, 2) of numpy arrays"
    return ""


def refuse_weights_that_are_not_finite(model: nn.Module) -> None:
    """Refuse a model whose logits are not finite because of its weights.

    Raises:
        UserError: if a parameter or buffer has a value that is NaN or infinite.
    """
    for name, tensor in _tensors(model):
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise UserError(
                f"the model returns NaN or infinite logits, and '{name}' has values that are not "
                f"finite; load other weights."
            )
