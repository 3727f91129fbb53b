"""Networks of timm and torchvision: built as their names say, with the mean and std they expect."""

from collections.abc import Callable
from typing import Any

from torch import nn

from robench.errors import UserError, did_you_mean, first_line
from robench.expressions import Expression
from robench.models.accept import reason
from robench.models.normalization import Normalization

LIBRARIES = ("timm", "torchvision")
"""Libraries whose models are named without a file or module."""

_SCALING = "transform_input"
"""torchvision's option by which a network undoes ImageNet's mean and std, and scales images to
[-1, 1]. It sets it where it loads its own weights, which were trained on such images."""

_SET_FOR_WEIGHTS = {"googlenet": ("aux_logits", _SCALING), "inception_v3": (_SCALING,)}
"""The options of a network that torchvision sets otherwise where it loads its own weights."""


def timm_network(call: Expression, *, pretrained: bool) -> tuple[nn.Module, Normalization]:
    """Return a network of timm, and the mean and std of its configuration.

    Raises:
        UserError: if timm is not installed, has no such network, or cannot build it.
    """
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
    model = built(f"timm:{call}", lambda: timm.create_model(call.name, **options))
    config = resolve_model_data_config(model)
    found = Normalization(tuple(config["mean"]), tuple(config["std"]), "timm's configuration")
    return model, found.of_channels(int(call.options.get("in_chans", len(found.mean))))


def torchvision_network(
    call: Expression, *, pretrained: bool, normalized: bool
) -> tuple[nn.Module, Normalization]:
    """Return a network of torchvision, and the mean and std of its weights.

    Args:
        call: its name and options.
        pretrained: whether torchvision loads its own weights.
        normalized: whether torchvision's mean and std are put before it: then it treats images as
            it does with torchvision's own weights, unless its options say otherwise.

    Raises:
        UserError: if torchvision has no such network, or cannot build it.
    """
    from torchvision import models

    names = models.list_models(module=models)
    if call.name not in names:
        raise UserError(f"torchvision has no model '{call.name}'; {did_you_mean(call.name, names)}")
    options = {"weights": "DEFAULT" if pretrained else None, **call.options}
    if normalized and _SCALING in _SET_FOR_WEIGHTS.get(call.name, ()):
        options.setdefault(_SCALING, True)
    model = built(f"torchvision:{call}", lambda: models.get_model(call.name, **options))
    default = models.get_model_weights(call.name).DEFAULT.transforms()
    source = "torchvision's weights"
    if getattr(model, _SCALING, False) and _SCALING not in call.options:
        source += f", with {_SCALING}=True as for these"
    return model, Normalization(tuple(default.mean), tuple(default.std), source)


def as_built(call: Expression, network: nn.Module) -> Expression:
    """Return the name of a network of torchvision with the options that torchvision set for it.

    Args:
        call: its name and the options that were given.
        network: what was built by that name, perhaps with torchvision's own weights.
    """
    names = _SET_FOR_WEIGHTS.get(call.name, ())
    chosen = {name: getattr(network, name) for name in names}
    return Expression(call.name, {**chosen, **call.options})


def built(name: str, build: Callable[[], Any]) -> Any:
    """Return what third-party code builds.

    Raises:
        UserError: if it raises an exception.
    """
    try:
        return build()
    except Exception as error:
        why = reason(error)
        raise UserError(
            f"{name} cannot be built ({why}); without a network to "
            f"download pretrained weights from, name your own with --checkpoint."
            if "weights" in first_line(error).lower() or isinstance(error, OSError)
            else f"{name} cannot be built ({why})."
        ) from error
