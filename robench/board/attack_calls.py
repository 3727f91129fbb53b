"""Attacks as calls name them: built with the defaults of the call, none of which gets lost."""

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Any

from robench.attack_tools.threat_models import check_ball
from robench.base import Attack, RadiusOptions, ThreatModel
from robench.errors import UserError, did_you_mean
from robench.expressions import Expression, parse_expression, radius_text
from robench.registry import attacks


class Fate(Enum):
    """What becomes of a default at an attack."""

    TAKEN = "taken"
    OVERRIDDEN = "overridden: the attack sets a value of its own"
    ANOTHER_RADIUS = "left out: the attack sets another radius than the one it is meant for"
    NO_OPTION = "ignored: the attack has no such option"


def build_attack(call: str, defaults: Mapping[str, Any]) -> Attack:
    """Build an attack with the defaults of a call.

    Args:
        call: the attack, such as ``pgd-20(eps=4/255)``.
        defaults: values for the options that it leaves out.

    Raises:
        UserError: for an unknown name or option, a radius out of range, or a radius that is meant
            for a norm in which this attack does not work; or if what is registered is no attack.
    """
    built = attacks.build(call, defaults)
    if not isinstance(built, Attack):
        raise UserError(
            f"attack '{call}' is a {type(built).__name__}, which is not a robench.Attack; derive "
            f"its class from it."
        )
    ball = built.threat_model
    if ball is None:
        return built
    if not isinstance(ball, ThreatModel):
        raise UserError(
            f"attack '{call}': its threat_model is a {type(ball).__name__}; it has to be a "
            f"robench.ThreatModel(norm, eps), or None."
        )
    check_ball(f"attack '{call}'", ball)
    inherited, usual = attacks.inherited(call, defaults), getattr(type(built), "norm", ball.norm)
    if ball.norm != usual and "eps" not in {*attacks.lookup(call)[1], *inherited}:
        raise UserError(
            f"attack '{call}' works in {ball.norm} and has no radius: its default, "
            f"{radius_text(ball.eps)}, is meant for {usual}; add one, such as eps=0.5."
        )
    norm = str(defaults.get("norm", ball.norm)).lower()
    if norm != ball.norm and "eps" in inherited:
        raise UserError(
            f"attack '{call}' works in {ball.norm}, but eps = {defaults['eps']} is meant for "
            f"{norm}: leave the attack out, or give it a radius of its own, such as "
            f"eps={'8/255' if ball.norm == 'linf' else '0.5'}."
        )
    return built


def expand_calls(calls: Iterable[str]) -> list[str]:
    """Return the calls of the columns that calls stand for: a corruption may stand for several.

    A name that is not registered here stays as it is; building it says what is wrong.

    Raises:
        UserError: for an option that the attack does not have.
    """
    found: list[str] = []
    for call in calls:
        if not attacks.knows(parse_expression(call).name):
            found.append(call)
            continue
        entry, options = attacks.lookup(call)
        expand = getattr(entry.build, "expand", None)
        columns = (options,) if expand is None else expand(options)
        alone = tuple(columns) == (options,)
        found += [call] if alone else [str(Expression(entry.name, own)) for own in columns]
    return found


def check_defaults(
    calls: Sequence[str], defaults: Mapping[str, Any], names: Iterable[str] | None = None
) -> None:
    """Check that every default reaches one of the attacks: a misspelled one would have no effect.

    A default that each attack overrides is fine; so are a step size that comes with the radius that
    it is meant for, and one for attacks that have a radius but take no steps.

    Args:
        calls: the attacks.
        defaults: values for the options that they leave out.
        names: which of the defaults to check; all of them by default.

    Raises:
        UserError: for the first default that has no effect; says why, and names the nearest option.
    """
    for name in defaults if names is None else names:
        fates = {call: fate(call, name, defaults) for call in calls}
        if not calls or {Fate.TAKEN, Fate.OVERRIDDEN} & set(fates.values()):
            continue
        given = f"{name} = {defaults[name]} reaches none of the attacks ({', '.join(calls)}): "
        if another := [c for c, found in fates.items() if found is Fate.ANOTHER_RADIUS]:
            if "eps" in defaults:  # it is meant for that one, and says so
                continue
            raise UserError(
                f"{given}'{another[0]}' sets a radius of its own; give it its {name} there, too."
            )
        if name in RadiusOptions().step and any("eps" in attacks.options(call) for call in calls):
            continue
        raise UserError(f"{given}none has this option; {_hint(calls, name)}")


def unbounded(calls: Sequence[str], defaults: Mapping[str, Any]) -> list[str]:
    """Return the defaults that state a threat model for attacks none of which has a radius.

    That is no mistake: the same defaults may be given to one call after another.
    """
    model = RadiusOptions()
    if not calls or any(set(model.radius) & attacks.options(call) for call in calls):
        return []
    return [name for name in defaults if name in (*model.norm, *model.radius, *model.step)]


def fate(call: str, name: str, defaults: Mapping[str, Any]) -> Fate:
    """Return what becomes of the default ``name`` at an attack.

    Raises:
        UserError: for an unknown attack or option.
    """
    if name in attacks.inherited(call, defaults):
        return Fate.TAKEN
    if name not in attacks.options(call):
        return Fate.NO_OPTION
    entry, own = attacks.lookup(call)
    options: RadiusOptions = getattr(entry.build, "radius_options", RadiusOptions())
    overridden = own.keys() & set(options.same_option(name))
    return Fate.OVERRIDDEN if overridden else Fate.ANOTHER_RADIUS


def _hint(calls: Sequence[str], name: str) -> str:
    """Return what the attacks have instead of an option that none of them has."""
    for call in calls:
        absent: Mapping[str, str] = getattr(attacks.lookup(call)[0].build, "absent_options", {})
        if name in absent:
            return f"{parse_expression(call).name}: {absent[name]}"
    return did_you_mean(name, set().union(*(attacks.options(call) for call in calls)))
