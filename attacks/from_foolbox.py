"""``foolbox:NAME(options)``: the attacks of foolbox, isolated."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from robench import Attack, ThreatModel, UserError
from robench.attack_tools.libraries import (
    LibraryAttack,
    checked,
    parameters_of,
    with_signature,
)
from robench.attack_tools.threat_models import check_ball, default_step_size
from robench.attack_tools.victims import class_count
from robench.base import RadiusOptions
from robench.entries import Entry
from robench.errors import did_you_mean
from robench.registry import register_attack_library

NEED_MORE = {
    "DatasetAttack": "other images",
    "BinarizationRefinementAttack": "adversarial images to start from",
}
"""Attacks that cannot be run on a batch alone, and what else they need."""

DISTANCES = ("l0", "l1", "l2", "linf")

OPTIONS = RadiusOptions(
    norm=("norm", "distance", "constraint"), step=("step_size", "abs_stepsize", "rel_stepsize")
)
"""Its names for the options of a threat model."""


@dataclass(frozen=True)
class FoolboxAttack(LibraryAttack):
    """An attack of foolbox.

    Attributes:
        eps: radius that the result is clipped to; None: the smallest perturbation found.
    """

    eps: float | None = None

    @property
    def minimized_norm(self) -> str | None:
        """The norm in which the smallest perturbation is wanted; None if there is a radius."""
        if self.eps is not None:
            return None
        attack = _built(self.name.partition(":")[2], dict(self.options))
        distance = getattr(attack, "distance", None)
        return None if distance is None else _name_of(distance.p)

    def run(self, model: nn.Module, images: Tensor, labels: Tensor, seed: int) -> Tensor:
        """Build the attack and run it on this model and batch."""
        import foolbox

        # Without a device, foolbox would move the model to the first GPU.
        wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device=images.device)
        attack = _built(self.name.partition(":")[2], dict(self.options))
        criterion: Any = foolbox.criteria.Misclassification(labels)
        if isinstance(attack, foolbox.attacks.GenAttack):
            shift = torch.randint(1, class_count(model, images), labels.shape)
            targets = (labels + shift.to(labels.device)) % class_count(model, images)
            criterion = foolbox.criteria.TargetedMisclassification(targets)
        if isinstance(attack, foolbox.attacks.SpatialAttack):
            return attack(wrapped, images, criterion)[1]
        return attack(wrapped, images, criterion, epsilons=self.eps)[1]


class Foolbox:
    """The library's attacks by name."""

    def names(self) -> list[str]:
        """Return the names of the attacks."""
        return sorted(set(_kinds()) - set(NEED_MORE))

    def entry(self, name: str) -> Entry[Attack]:
        """Return an attack's entry.

        Raises:
            UserError: if the library has no such attack.
        """
        if name in NEED_MORE:
            raise UserError(f"foolbox:{name} needs {NEED_MORE[name]}; name another attack.")
        if name not in self.names():
            raise UserError(
                f"foolbox has no attack named '{name}'; {did_you_mean(name, self.names())}"
            )
        kind = _kinds()[name]
        valid = _parameters(kind)
        summary = (kind.__doc__ or "").strip().split("\n", 1)[0]
        extra = [] if name == "SpatialAttack" else ["eps"]
        extra += ["minimal"] if _minimizes(kind) else []
        extra += ["step_size"] if "abs_stepsize" in valid else []
        extra += ["norm"] if {"distance", "constraint"} & valid.keys() else []
        build = with_signature(
            partial(_build, name, valid), [*valid, *extra, "samples"], summary,
            radius_options=OPTIONS, norm=_norm_of(kind),
        )  # fmt: skip
        return Entry(f"foolbox:{name}", build, summary, "foolbox", __file__)


def _build(name: str, valid: Mapping[str, Any], **options: Any) -> Attack:
    import foolbox

    full = f"foolbox:{name}"
    samples, eps = options.pop("samples", None), options.pop("eps", None)
    if checked(full, {"minimal": options.pop("minimal", False)}, {"minimal": False})["minimal"]:
        eps = None  # one that all attacks of a call share
    for alias, own in (("step_size", "abs_stepsize"), ("norm", _norm_option(valid))):
        if alias in options:
            given = options.pop(alias)
            options.setdefault(own, given)
    options = checked(full, options, valid)
    if eps is not None:
        eps = checked(full, {"eps": eps}, {"eps": 8 / 255})["eps"]
    if options.get("distance", "l2") not in DISTANCES:
        near = did_you_mean(str(options["distance"]), DISTANCES)
        raise UserError(f"{full} has no distance '{options['distance']}'; {near}")
    if eps is None and issubclass(_kinds()[name], foolbox.attacks.base.FixedEpsilonAttack):
        raise UserError(f"{full} needs the radius of its ball: {full}(eps=8/255).")
    stepped = {"abs_stepsize", "rel_stepsize"} & set(options)
    if "abs_stepsize" in valid and not stepped and eps is not None:
        # The library's default is a thirtieth of the radius or less.
        options["abs_stepsize"] = default_step_size(eps)
    try:
        threat_model = _threat_model(_built(name, dict(options)), eps)
    except ImportError as error:
        raise UserError(
            f"{full} needs the package {error.name}: pip install {error.name}."
        ) from None
    except Exception as error:
        raise UserError(f"{full} does not take these options: {error}.") from None
    if threat_model is not None:
        check_ball(full, threat_model)
    return FoolboxAttack(full, tuple(sorted(options.items())), threat_model, eps, samples=samples)


def _built(name: str, options: dict[str, Any]) -> Any:
    import foolbox

    kind = _kinds()[name]
    if "distance" in parameters_of(kind):
        options["distance"] = getattr(foolbox.distances, options.get("distance", "l2"))
    attack = kind(**options)
    if issubclass(kind, foolbox.attacks.base.FlexibleDistanceMinimizationAttack):
        attack._distance = getattr(attack, "_distance", foolbox.distances.l2)
    return attack


def _parameters(kind: type) -> dict[str, Any]:
    valid = parameters_of(kind)
    if "distance" in valid:
        valid["distance"] = "l2"
    return {name: default for name, default in valid.items() if name != "init_attack"}


def _threat_model(attack: Any, eps: float | None) -> ThreatModel | None:
    if eps is None:
        return None
    return ThreatModel(_name_of(attack.distance.p), float(eps))


def _minimizes(kind: type) -> bool:
    import foolbox

    return issubclass(kind, foolbox.attacks.base.MinimizationAttack)


def _norm_option(valid: Mapping[str, Any]) -> str:
    return "constraint" if "constraint" in valid else "distance"


def _norm_of(kind: type) -> str | None:
    """Return the only norm that an attack works in, or None."""
    p = getattr(getattr(kind, "distance", None), "p", None)
    if p is not None:
        return _name_of(p)
    return next((norm for norm in DISTANCES if kind.__name__.lower().startswith(norm)), None)


def _name_of(p: float) -> str:
    return "linf" if p == float("inf") else f"l{p:g}"


def _kinds() -> dict[str, type]:
    import foolbox

    base = foolbox.attacks.base.Attack
    return {
        name: value
        for name, value in vars(foolbox.attacks).items()
        if isinstance(value, type) and issubclass(value, base) and value is not base
    }


register_attack_library("foolbox", Foolbox())
