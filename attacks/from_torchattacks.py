"""``torchattacks:NAME(options)``: the attacks of torchattacks, isolated."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

from robench import Attack, ThreatModel, UserError
from robench.attack_tools.libraries import (
    LibraryAttack,
    checked,
    parameters_of,
    with_signature,
)
from robench.attack_tools.threat_models import Norm, check_ball, check_radius
from robench.attack_tools.victims import class_count
from robench.base import RadiusOptions
from robench.entries import Entry
from robench.errors import did_you_mean
from robench.registry import register_attack_library

NOT_ATTACKS_OF_ONE_BATCH = ("LGV", "MultiAttack")
"""Attacks that need a data loader or other attacks to be built."""

MINIMIZED = {"CW": "l2", "DeepFool": "l2"}
"""The norms that its attacks without a radius minimize."""

OPTIONS = RadiusOptions(radius=("eps", "max_epsilon"), step=("step_size", "alpha"))
"""Its names for the options of a threat model."""


@dataclass(frozen=True)
class TorchAttack(LibraryAttack):
    """An attack of torchattacks."""

    @property
    def minimized_norm(self) -> str | None:
        """The norm that an attack without a radius minimizes, if that is known."""
        return MINIMIZED.get(self.name.partition(":")[2])

    def run(self, model: nn.Module, images: Tensor, labels: Tensor, seed: int) -> Tensor:
        """Build the attack for this model and batch, and run it."""
        import torchattacks

        kind = getattr(torchattacks, self.name.partition(":")[2])
        valid = parameters_of(kind.__init__, drop=("model",))
        options = dict(self.options)
        if "n_classes" in valid:
            options.setdefault("n_classes", class_count(model, images))
        if "seed" in valid:
            options.setdefault("seed", seed)
        attack = kind(model, **options)
        attack.set_device(images.device)
        return attack(images, labels)


class TorchAttacks:
    """The library's attacks by name."""

    def names(self) -> list[str]:
        """Return the names of the attacks."""
        import torchattacks
        from torchattacks.attack import Attack as Base

        return sorted(
            name
            for name, value in vars(torchattacks).items()
            if isinstance(value, type) and issubclass(value, Base) and value is not Base
            and name not in NOT_ATTACKS_OF_ONE_BATCH
        )  # fmt: skip

    def entry(self, name: str) -> Entry[Attack]:
        """Return an attack's entry.

        Raises:
            UserError: if the library has no such attack.
        """
        import torchattacks

        if name in NOT_ATTACKS_OF_ONE_BATCH:
            raise UserError(f"torchattacks:{name} needs more than a model; name another attack.")
        if name not in self.names():
            near = did_you_mean(name, self.names())
            raise UserError(f"torchattacks has no attack named '{name}'; {near}")
        kind = getattr(torchattacks, name)
        valid = parameters_of(kind.__init__, drop=("model",))
        summary = (kind.__doc__ or "").strip().split("\n", 1)[0]
        aliases = ["eps"] if "max_epsilon" in valid else []
        aliases += ["step_size"] if "alpha" in valid else []
        build = with_signature(
            partial(_build, name, valid), [*valid, *aliases, "samples"], summary,
            radius_options=OPTIONS, norm=_norm_of(name, valid),
        )  # fmt: skip
        return Entry(f"torchattacks:{name}", build, summary, "torchattacks", __file__)


def _build(name: str, valid: Mapping[str, Any], **options: Any) -> Attack:
    samples = options.pop("samples", None)
    full = f"torchattacks:{name}"
    for alias, own in (("step_size", "alpha"), ("eps", "max_epsilon")):
        if alias in options and own in valid:
            given = options.pop(alias)
            options.setdefault(own, given)
    if "norm" in options and "norm" in valid:
        options["norm"] = _norm(full, options["norm"])
    options = checked(full, options, valid)
    if "alpha" in options:
        norm: Norm = "l2" if _norm_of(name, valid) == "l2" else "linf"
        check_radius(f"{full}: alpha", options["alpha"], norm)
    if {"alpha", "eps"} <= valid.keys() and "eps" in options:
        # The library's default step is meant for its default radius, of which it is a quarter
        # in most attacks.
        options.setdefault("alpha", options["eps"] * (valid["alpha"] / valid["eps"]))
    threat_model = _threat_model(name, options, valid)
    if threat_model is not None:
        check_ball(full, threat_model)
    return TorchAttack(full, tuple(sorted(options.items())), threat_model, samples=samples)


def _norm(name: str, norm: str) -> str:
    norms = {"linf": "Linf", "l2": "L2"}
    if norm in norms or norm in norms.values():
        return norms.get(norm, norm)
    raise UserError(f"{name}: norm = {norm!r}: give 'linf' or 'l2'.")


def _threat_model(
    name: str, options: Mapping[str, Any], valid: Mapping[str, Any]
) -> ThreatModel | None:
    values = {**valid, **options}
    eps = values.get("eps", values.get("max_epsilon"))
    if eps is None:
        return None
    norm = values.get("norm") or _norm_of(name, valid)
    return ThreatModel(str(norm).lower(), float(eps))


def _norm_of(name: str, valid: Mapping[str, Any]) -> str | None:
    """Return the only norm that an attack works in, or None."""
    if "norm" in valid or not {"eps", "max_epsilon"} & valid.keys():
        return None
    return "l2" if name.endswith("L2") else "linf"


register_attack_library("torchattacks", TorchAttacks())
