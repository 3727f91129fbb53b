"""A network as an ONNX file, with layers that every program can compute."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from robench.errors import UserError, first_line
from robench.layers.foldable import is_foldable
from robench.layers.weight_cache import WeightCache
from robench.models.frozen import under_attack
from robench.models.plain_layers import own_copy, replace_layers
from robench.models.wrapped_conv import without_transforms

OPSET = 18
"""The oldest set of operators that torch's exporter writes; programs that read ONNX lag behind."""

CLOSE = 1e-3
"""Largest distance of the exported logits from the model's, relative to the largest one."""

UNREAD = ("DFT", "STFT")
"""Operators of ONNX that programs which verify networks do not know."""

INPUT, OUTPUT = "X", "Y"
"""The names of images and logits in the file."""


def check_onnx() -> None:
    """Check that ONNX files can be written.

    Raises:
        UserError: if a package is missing.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"an ONNX file needs the package {error.name}: pip install 'robench[vnnlib]'."
        ) from None


def onnx_file(model: nn.Module, image_shape: tuple[int, int, int]) -> bytes:
    """Return the content of an ONNX file that computes the logits of one image.

    Its input ``X`` is an image in [0, 1], (1, C, H, W), since the normalization is part of the
    network, and its output ``Y`` its logits, (1, classes), both in float32. Layers have the plain
    forms that they have under attack; a convolution by FFT is a plain one of the wrapped image.

    Args:
        model: images (B, C, H, W) in [0, 1] -> logits (B, classes); a copy of it is made.
        image_shape: channels, height and width of an image.

    Raises:
        UserError: if a package is missing, or the network cannot be exported; the message names
            the layer.
    """
    check_onnx()
    image = torch.rand(1, *image_shape, generator=torch.Generator().manual_seed(0))
    network = own_copy(model).cpu().float()
    replace_layers(network)
    inputs = _inputs(network, image)
    _replace_transforms(network, inputs)
    inputs = _inputs(network, image)
    with _fixed_caches(network):
        try:
            program = _exported(network, image)
        except Exception as error:  # whatever torch's exporter meets in a forward
            raise UserError(_why(network, inputs, error)) from error
        found: Tensor = program.exported_program.module()(image)
    _check_same(found, model, image)
    content: bytes = program.model_proto.SerializeToString()
    return content


def _exported(network: nn.Module, image: Tensor) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger = logging.getLogger("torch.onnx")
        level = logger.level
        logger.setLevel(logging.ERROR)
        try:
            program: Any = torch.onnx.export(
                network, (image,), dynamo=True, opset_version=OPSET, external_data=False,
                input_names=[INPUT], output_names=[OUTPUT], verbose=False,
            )  # fmt: skip
        finally:
            logger.setLevel(level)
    if any(node.op_type in UNREAD for node in program.model_proto.graph.node):
        raise ValueError("it has a Fourier transform, which programs that verify networks lack")
    return program


def _replace_transforms(network: nn.Module, inputs: dict[str, Tensor]) -> None:
    """Replace convolutions by FFT, in place; ``inputs`` are those of the layers by name."""
    for name, x in inputs.items():
        plain = without_transforms(network.get_submodule(name), x)
        if plain is not None:
            network.set_submodule(name, plain)


@torch.no_grad()
def _inputs(network: nn.Module, image: Tensor) -> dict[str, Tensor]:
    """Return the inputs of layers that are called once, with one tensor, in their order."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    hooks = []
    for name, module in network.named_modules():
        if name and not any(name.startswith(f"{layer}.") for layer in found) and _is_layer(module):
            note = found.setdefault(name, []).append
            hooks.append(module.register_forward_pre_hook(lambda _, args, note=note: note(args)))
    try:
        network(image)
    finally:
        for hook in hooks:
            hook.remove()
    return {
        name: calls[0][0]
        for name, calls in found.items()
        if len(calls) == 1 and len(calls[0]) == 1 and isinstance(calls[0][0], Tensor)
    }


def _is_layer(module: nn.Module) -> bool:
    return is_foldable(module) or isinstance(module, nn.Conv2d) or not any(module.children())


@contextmanager
def _fixed_caches(network: nn.Module) -> Iterator[None]:
    """Let layers use what they have computed from their weights, which a tracer could not do."""
    caches = [
        value
        for module in network.modules()
        for value in vars(module).values()
        if isinstance(value, WeightCache)
    ]
    for cache in caches:
        cache.fixed = True
    try:
        yield
    finally:
        for cache in caches:
            cache.fixed = False


def _why(network: nn.Module, inputs: dict[str, Tensor], error: Exception) -> str:
    """Return the sentence about a network that cannot be exported, with the layer that cannot."""
    for name, x in inputs.items():
        layer = network.get_submodule(name)
        if type(layer).__module__.startswith("torch.nn"):
            continue
        try:
            _exported(layer, x)
        except Exception:
            return (
                f"layer '{name}', a {type(layer).__name__}, cannot be exported to ONNX: give it a "
                f"plain form with a 'folded' method, or a 'circular_operator' if it convolves."
            )
    return f"the network cannot be exported to ONNX: {first_line(error.__cause__ or error)}"


def _check_same(found: Tensor, model: nn.Module, image: Tensor) -> None:
    """Raise an error if the exported network answers differently from the model."""
    like = next(model.parameters(), torch.zeros(()))
    with under_attack(model), torch.no_grad():
        wanted = model(image.to(like)).float().cpu()
    if not (found - wanted).abs().max() <= CLOSE * wanted.abs().max():
        raise UserError(
            "the network exported to ONNX answers differently from the model itself, so that "
            "nothing proved of the one holds for the other."
        )
