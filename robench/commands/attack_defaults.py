"""The options of ``robench attack`` and ``show`` that all attacks share: radius, step and norm."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from robench.attack_tools.threat_models import Norm
from robench.base import Attack, ThreatModel
from robench.board.attack_calls import Fate, build_attack, check_defaults, fate
from robench.errors import UserError
from robench.expressions import typed_number
from robench.registry import attacks as registry

RADIUS = "8/255"
"""The radius that attacks get if neither they nor the user name one."""


@dataclass(frozen=True)
class AttackDefaults:
    """What attacks inherit from a call.

    Attributes:
        values: the defaults, as :func:`robench.evaluate` takes them.
        threat_model: the norm and radius of attacks that set none of their own.
        step_size: the step size; None if the user gave none.
        notices: what does not reach which attack, one sentence each.
    """

    values: dict[str, Any]
    threat_model: ThreatModel
    step_size: float | None
    notices: tuple[str, ...]


def attack_defaults(
    attacks: Sequence[str],
    *,
    eps: str | None = None,
    step_size: str | None = None,
    norm: str | None = None,
    compared: bool = False,
) -> AttackDefaults:
    """Return the defaults of a call, after checking that its attacks can be built with them.

    Args:
        attacks: the attacks, such as ``pgd-20(eps=4/255)``.
        eps: the radius, as typed; None if the user gave none.
        step_size: the step size, as typed; None if the user gave none.
        norm: the norm; None if the user gave none.
        compared: whether libraries are compared in the threat model, too.

    Raises:
        UserError: for an unknown attack or option, or if what the user gave reaches no attack.
    """
    if norm is not None and norm not in get_args(Norm):
        raise UserError(f"--norm {norm}: use {' or '.join(get_args(Norm))}.")
    typed = {"eps": eps, "step_size": step_size, "norm": norm}
    given = {name: typed_number(text) for name, text in typed.items() if text is not None}
    values: dict[str, Any] = {"eps": typed_number(RADIUS), **given}
    threat_model = ThreatModel(norm or "linf", values["eps"])
    if not compared:
        check_defaults(attacks, values, given)
    if threat_model.norm != "linf" and eps is None and _reaches(attacks, "eps", values):
        raise UserError(f"--norm {norm} needs a radius of its own: give --eps, for instance 0.5.")
    notices: list[str] = []
    for name in given:
        option = f"--{name.replace('_', '-')} {typed[name]}"
        said = [notice for call in attacks if (notice := _notice(call, name, values, option))]
        if not said and not compared and not _reaches(attacks, name, values):
            verb = "takes" if len(attacks) == 1 else "take"
            said = [f"{option} is not used: {', '.join(attacks)} {verb} no value from it."]
        notices += said
    for call in attacks:
        _check_radius(call, build_attack(call, values), values, given)
    values = {name: value for name, value in values.items() if _reaches(attacks, name, values)}
    return AttackDefaults(values, threat_model, given.get("step_size"), tuple(notices))


def _check_radius(
    call: str, attack: Attack, values: Mapping[str, Any], given: Mapping[str, Any]
) -> None:
    """Refuse an attack in another norm that would take the usual radius in Linf.

    Raises:
        UserError: if it would.
    """
    ball = attack.threat_model
    if ball is None or ball.norm == "linf" or "eps" in given:
        return
    if fate(call, "eps", values) is Fate.TAKEN:
        raise UserError(
            f"{call} works in {ball.norm} and has no radius; add one, such as eps=0.5, or give "
            f"--norm {ball.norm} and --eps."
        )


def _notice(call: str, name: str, values: Mapping[str, Any], typed: str) -> str:
    """Return the sentence on an attack that an option does not reach; "" if none is needed."""
    became = fate(call, name, values)
    if became is Fate.ANOTHER_RADIUS:
        return f"{typed} is not used by {call}, which sets a radius of its own."
    if became is Fate.NO_OPTION and name != "step_size":
        options = ", ".join(sorted(registry.options(call) - {"samples"}))
        return f"{typed} does not reach {call}, whose options are {options}."
    return ""


def _reaches(attacks: Sequence[str], name: str, values: Mapping[str, Any]) -> bool:
    return any(fate(call, name, values) is Fate.TAKEN for call in attacks)
