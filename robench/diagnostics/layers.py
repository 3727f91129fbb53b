"""Finding the convolutional layers of a network, their input sizes and the norms after them."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from robench.base.defense import REPLACES_CONV
from robench.errors import UserError, first_line
from robench.system.out_of_memory import is_of_machine


@dataclass(frozen=True)
class Layer:
    """A convolutional layer in its network.

    Attributes:
        name: name of the module in the network.
        module: the convolution, or the module by which a defense replaced it.
        channels: number of input channels.
        size: height and width of its input.
        norm: the batch norm that takes its output, if there is one.
    """

    name: str
    module: nn.Module
    channels: int
    size: tuple[int, int]
    norm: nn.Module | None = None

    @property
    def gain(self) -> Tensor | None:
        """The factor of the batch norm per channel in evaluation, (out,); None without one."""
        norm: Any = self.norm
        if norm is None or norm.running_var is None:
            return None
        weight = 1.0 if norm.weight is None else norm.weight.detach()
        return weight / (norm.running_var + norm.eps).sqrt()


def layers_of(model: nn.Module, input_size: tuple[int, int, int]) -> list[Layer]:
    """Return the layers in the order in which a forward of zeros reaches them.

    Args:
        model: any network in eval mode.
        input_size: channels, height and width of an image.

    Raises:
        UserError: if the network has no convolution or does not support such images.
    """
    names = {module: name for name, module in _outermost(model, "")}
    found: dict[nn.Module, Layer] = {}
    made: list[tuple[Tensor, int, nn.Module]] = []  # kept alive so that no two share an id

    def before(module: nn.Module, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        shape = (*inputs, *keywords.values())[0].shape
        size = (int(shape[-2]), int(shape[-1]))
        found.setdefault(module, Layer(names[module], module, int(shape[-3]), size))

    def after(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        made.append((output, output._version, module))

    def normalizes(norm: nn.Module, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        for output, version, module in made:
            unchanged = output._version == version  # no activation in place came between
            if unchanged and output is (*inputs, *keywords.values())[0]:
                found[module] = replace(found[module], norm=norm)

    hooks = [module.register_forward_pre_hook(before, with_kwargs=True) for module in names]
    hooks += [module.register_forward_hook(after) for module in names]
    hooks += [
        module.register_forward_pre_hook(normalizes, with_kwargs=True)
        for module in model.modules()
        if isinstance(module, _BatchNorm) and _has_known_gain(module)
    ]
    like = next(model.parameters(), torch.empty(0))
    try:
        with torch.no_grad():
            model(torch.zeros(1, *input_size, device=like.device, dtype=like.dtype))
    except UserError:
        raise
    except Exception as error:
        if is_of_machine(error):
            raise
        reason = first_line(error).rstrip(".")
        size = "x".join(map(str, input_size))
        raise UserError(f"the network cannot take an image of {size}: {reason}.") from error
    finally:
        for hook in hooks:
            hook.remove()
    if not found:
        raise UserError(f"{type(model).__name__} has no convolutional layer.")
    return list(found.values())


def _has_known_gain(norm: nn.Module) -> bool:
    """Return whether a batch norm scales by its weights alone: one of a user's own may do more."""
    libraries = ("torch", "timm")  # timm's applies an activation after it
    own = type(norm).forward is not _BatchNorm.forward
    return not own or type(norm).__module__.partition(".")[0] in libraries


def _outermost(module: nn.Module, name: str) -> list[tuple[str, nn.Module]]:
    if isinstance(module, nn.Conv2d) or getattr(module, REPLACES_CONV, False):
        return [(name, module)]
    children = [
        (f"{name}.{key}".lstrip("."), child)
        for key, child in module._modules.items()
        if child is not None
    ]
    return [layer for key, child in children for layer in _outermost(child, key)]
