"""``adv_lib:NAME(options)``: the attacks of adv-lib, isolated.

Most of them look for the smallest perturbation. With ``eps`` their result is clipped to the ball,
as foolbox does it; with ``minimal`` it is left as it was found. Options that adv-lib names by Greek
letters are spelled out, and norms are ``"linf"``, ``"l2"``, ``"l1"``, ``"l0"``.
"""

import importlib
import importlib.util
import inspect
import sys
import unicodedata
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any, cast

from torch import Tensor, nn

from robench import Attack, ThreatModel, UserError
from robench.attack_tools.libraries import (
    LibraryAttack,
    checked,
    parameters_of,
    with_signature,
)
from robench.attack_tools.threat_models import check_ball, default_step_size, per_sample, project
from robench.attack_tools.victims import class_count
from robench.base import RadiusOptions
from robench.entries import Entry
from robench.errors import did_you_mean
from robench.registry import register_attack_library


@dataclass(frozen=True)
class Kind:
    """What the signature of an attack does not say.

    Attributes:
        norms: the norms that it works in, the default first; none if it measures otherwise.
        norm: its parameter for the norm; empty if it works in one only.
        radius: its parameter for the radius; empty if it has no ball, but minimizes a distance.
        summary: what it is, where it has no docstring.
    """

    norms: tuple[str, ...] = ()
    norm: str = ""
    radius: str = ""
    summary: str = ""


KINDS = {
    "alma": Kind(("l2", "l1"), "distance"),
    "apgd": Kind(("linf", "l2", "l1"), "norm", "eps"),
    "apgd_targeted": Kind(("linf", "l2", "l1"), "norm", "eps"),
    "carlini_wagner_l2": Kind(("l2",)),
    "carlini_wagner_linf": Kind(("linf",)),
    "ddn": Kind(("l2",)),
    "df": Kind(("linf", "l2"), "norm"),
    "fab": Kind(("linf", "l2", "l1"), "norm"),
    "fga": Kind(("l0",)),
    "fmn": Kind(("linf", "l2", "l1", "l0"), "norm"),
    "pdgd": Kind(("l2",)),
    "pdpgd": Kind(("linf", "l2", "l1", "l0"), "norm"),
    "perc_al": Kind(),
    "pgd_linf": Kind(("linf",), "", "ε", "Projected gradient descent, with restarts."),
    "sdf": Kind(("l2",)),
    "sigma_zero": Kind(("l0",)),
    "str_attack": Kind(),
    "tr": Kind(
        ("linf", "l2"), "p", "", "Trust-region attack from https://arxiv.org/abs/1812.06371."
    ),
    "vfga": Kind(("l0",)),
}
"""The attacks on classifiers, of all of which it is known what they minimize or keep to. The norm
is Linf by default, as everywhere, if an attack works in it."""

CHOICES = {
    ("alma", "distance"): ("l2", "l1"),
    ("apgd", "loss_function"): ("ce", "dlr"),
    ("apgd_targeted", "loss_function"): ("ce", "dlr"),
    ("pgd_linf", "loss_function"): ("ce", "dl", "dlr"),
}
"""What options that are words may be; adv-lib fails on others without saying why."""

NO_OPTIONS = ("targeted", "callback", "penalty", "starting_points", "return_unsuccessful",
              "return_targets", "num_classes")  # fmt: skip
"""Parameters that are no options: filled in here, or nothing that an expression can write."""

RENAMED = {("tr", "eps"): "trust_radius"}
"""Options that have the name of something else."""

INSTALL = "pip install --no-deps adv-lib (or, from Python 3.12 on, pip install 'robench[adv-lib]')"
"""How adv-lib is installed. It requires visdom, which attacks do not use, and of which no release
for Python 3.11 can be built with setuptools 82 or newer."""

OPTIONS = RadiusOptions(
    norm=("norm", "distance", "p"),
    step=("step_size", "absolute_step_size", "relative_step_size"),
)
"""Its names for the options of a threat model."""


@dataclass(frozen=True)
class AdvLibAttack(LibraryAttack):
    """An attack of adv-lib; what a minimizing one found is clipped to the ball, if it has one."""

    @property
    def minimized_norm(self) -> str | None:
        """The norm in which the smallest perturbation is wanted; None if there is a radius."""
        kind = KINDS[self.name.partition(":")[2]]
        if self.ball is not None or not kind.norms:
            return None
        return str(dict(self.options).get(kind.norm, kind.norms[0]))

    def run(self, model: nn.Module, images: Tensor, labels: Tensor, seed: int) -> Tensor:
        """Run the attack on this model and batch."""
        name = self.name.partition(":")[2]
        kind, attack = KINDS[name], getattr(_library(), name)
        spelled = {_spelled(name, own): own for own in inspect.signature(attack).parameters}
        options: dict[str, Any] = {spelled[k]: v for k, v in self.options}
        if kind.norm and kind.norm != "distance":
            options[kind.norm] = float(options[kind.norm].removeprefix("l"))
        if kind.radius:
            assert self.ball is not None
            options[kind.radius] = self.ball.eps
        if "num_classes" in spelled:
            options["num_classes"] = class_count(model, images)
        found = attack(model, images.clone(), labels, targeted=False, **options)
        return found if kind.radius or self.ball is None else _clipped(found, images, self.ball)


class AdvLib:
    """The library's attacks by name."""

    def names(self) -> list[str]:
        """Return the names of the attacks; none if the library is not installed."""
        try:
            library = _library()
        except UserError:
            return []
        return [name for name in sorted(KINDS) if hasattr(library, name)]

    def entry(self, name: str) -> Entry[Attack]:
        """Return an attack's entry.

        Raises:
            UserError: if the library is not installed or has no such attack.
        """
        library = _library()
        if name not in self.names():
            raise UserError(f"adv_lib has no attack named '{name}'; {did_you_mean(name, KINDS)}")
        kind, valid = KINDS[name], _parameters(name, getattr(library, name))
        doc = inspect.getdoc(getattr(library, name)) or kind.summary
        summary = doc.strip().split("\n", 1)[0]
        extra = ["norm"] if kind.norm else []
        if set(kind.norms) - {"l0"}:
            extra += ["eps"] if kind.radius else ["eps", "minimal"]
        extra += ["step_size"] if "absolute_step_size" in valid else []
        build = with_signature(
            partial(_build, name, valid), [*valid, *extra, "samples"], summary,
            radius_options=OPTIONS, norm=kind.norms[0] if kind.norms else None,
        )  # fmt: skip
        hints = {letter: f"write '{_spelled(name, letter)}'." for letter in _greek(library, name)}
        build.absent_options = hints | getattr(build, "absent_options", {})  # type: ignore[attr-defined]
        return Entry(f"adv_lib:{name}", build, summary, "adv-lib", __file__)


def _build(name: str, valid: Mapping[str, Any], **options: Any) -> Attack:
    full, kind = f"adv_lib:{name}", KINDS[name]
    samples, eps = options.pop("samples", None), options.pop("eps", None)
    if checked(full, {"minimal": options.pop("minimal", False)}, {"minimal": False})["minimal"]:
        eps = None  # one that all attacks of a call share
    for alias, own in (("step_size", "absolute_step_size"), ("norm", kind.norm)):
        if alias in options and alias != own:
            given = options.pop(alias)
            options.setdefault(own, given)
    if kind.norm:
        options[kind.norm] = _norm(full, options.get(kind.norm, kind.norms[0]))
    options |= checked(full, {k: v for k, v in options.items() if v is not None}, valid)
    for option in options:
        _check_choice(name, option, options[option])
    if eps is None and kind.radius:
        raise UserError(f"{full} needs the radius of its ball: {full}(eps=8/255).")
    ball = None
    if eps is not None:
        eps = checked(full, {"eps": eps}, {"eps": 8 / 255})["eps"]
        ball = ThreatModel(options.get(kind.norm, kind.norms[0]), float(eps))
        if ball.norm == "l0":
            raise UserError(f"{full}: norm='l0' counts pixels and has no radius; add minimal=true.")
        check_ball(full, ball)
        stepped = {"absolute_step_size", "relative_step_size"} & set(options)
        if "absolute_step_size" in valid and not stepped:
            # The library's default is a thirtieth of the radius.
            options["absolute_step_size"] = default_step_size(eps)
    return AdvLibAttack(full, tuple(sorted(options.items())), ball, samples=samples)


def _norm(full: str, norm: Any) -> str:
    """Return the name of a norm, which may be given as its power."""
    number = isinstance(norm, (int, float)) and not isinstance(norm, bool)
    name = f"l{norm:g}" if number else str(norm).lower()
    norms = KINDS[full.partition(":")[2]].norms
    if name not in norms:
        raise UserError(f"{full} has no norm '{norm}'; {did_you_mean(name, norms)}")
    return name


def _check_choice(name: str, option: str, value: Any) -> None:
    choices = CHOICES.get((name, option))
    if choices is not None and str(value).lower() not in choices:
        near = did_you_mean(str(value), choices)
        raise UserError(f"adv_lib:{name} has no {option} '{value}'; {near}")


def _clipped(found: Tensor, images: Tensor, ball: ThreatModel) -> Tensor:
    """Return the images that were found, clipped to the ball, as foolbox clips them."""
    delta = found - images
    if ball.norm in ("linf", "l2"):
        return images + project(delta, cast(Any, ball.norm), ball.eps)
    sizes = delta.flatten(1).norm(p=float(ball.norm.removeprefix("l")), dim=1).clamp_min(1e-12)
    return images + delta * per_sample((ball.eps / sizes).clamp_max(1), delta)


def _parameters(name: str, attack: Any) -> dict[str, Any]:
    """Return the options with their defaults; norm and radius are checked apart from these."""
    kind = KINDS[name]
    first = list(inspect.signature(attack).parameters)[:3]
    valid = parameters_of(attack, drop=(*first, *NO_OPTIONS, kind.radius))
    if kind.norm:
        valid[kind.norm] = None
    return {_spelled(name, option): default for option, default in valid.items()}


def _spelled(name: str, option: str) -> str:
    """Return an option of adv-lib as expressions write it."""
    if (name, option) in RENAMED:
        return RENAMED[name, option]
    return "".join(c if c.isascii() else unicodedata.name(c).split()[-1].lower() for c in option)


def _greek(library: ModuleType, name: str) -> list[str]:
    parameters = inspect.signature(getattr(library, name)).parameters
    return [option for option in parameters if not option.isascii()]


def _library() -> ModuleType:
    """Import adv-lib's attacks, with an empty module for visdom where that is not installed.

    Raises:
        UserError: if adv-lib is not installed or cannot be imported.
    """
    if "adv_lib" not in sys.modules and importlib.util.find_spec("adv_lib") is None:
        raise UserError(f"attacks of adv_lib need the package adv-lib: {INSTALL}.")
    absent = "visdom" not in sys.modules and importlib.util.find_spec("visdom") is None
    if absent:  # it draws what callbacks report, and no callback is passed
        sys.modules["visdom"] = ModuleType("visdom")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of distutils, which is deprecated
            return importlib.import_module("adv_lib.attacks")
    except ImportError as error:
        raise UserError(
            f"adv-lib is installed but cannot be imported ({error}): {INSTALL}."
        ) from error
    finally:
        if absent:
            del sys.modules["visdom"]


register_attack_library("adv_lib", AdvLib())
