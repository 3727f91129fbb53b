"""``robench attack --curve``: accuracy at every radius, from the attacks that minimize sizes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import pandas as pd

from robench.attack_tools.threat_models import Norm
from robench.base import Attack
from robench.board.attack_calls import build_attack
from robench.errors import UserError
from robench.evaluation.outcomes import Outcomes
from robench.evaluation.radius_curves import compare_sizes, draw_curves, radius_curves
from robench.registry import attacks as registry
from robench.system.files import behind_link, write_text


def check_curve(attacks: Sequence[str], defaults: Mapping[str, Any]) -> str | None:
    """Check, before any work, that there is an attack whose curve can be drawn.

    Args:
        attacks: expressions such as ``fab(minimal=true)``.
        defaults: options of the attacks that do not set them.

    Returns:
        A sentence on the attacks that have no curve; None if all have one.

    Raises:
        UserError: if none has one.
    """
    built = {call: build_attack(call, defaults) for call in attacks}
    found = {name for names in _by_norm(built).values() for name in names}
    left = [call for call in attacks if call not in found]
    could = [call for call in left if "minimal" in registry.options(call)]
    hint = f"; with minimal=true {could[0]} would have one" if could else ""
    if not found:
        raise UserError(
            f"--curve needs an attack that looks for the smallest perturbation in linf or l2, such "
            f"as fab(minimal=true) or foolbox:DDNAttack(minimal=true){hint}."
        )
    if not left:
        return None
    return f"no curve of {', '.join(left)}: not attacks that minimize sizes in linf or l2{hint}."


def curves_of(
    attacks: Mapping[str, Attack], outcomes: Mapping[str, Outcomes]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the curves and the sizes of the attacks that minimize, those of each norm together.

    Args:
        attacks: name -> attack.
        outcomes: name -> its outcomes.

    Returns:
        The tables of :func:`robench.radius_curves` and of :func:`robench.compare_sizes`, with a
        first column ``norm``.
    """
    tables: tuple[list[pd.DataFrame], list[pd.DataFrame]] = ([], [])
    for norm, names in _by_norm(attacks).items():
        own = {name: outcomes[name] for name in names}
        for into, table in zip(
            tables, (radius_curves(own, norm), compare_sizes(own, norm)), strict=True
        ):
            table.insert(0, "norm", norm)
            into.append(table)
    curves, sizes = (pd.concat(several, ignore_index=True) for several in tables)
    return curves, sizes


def write_curves(curves: pd.DataFrame, title: str, path: Path) -> list[Path]:
    """Write curves as a CSV file, and draw them next to it.

    Args:
        curves: as :func:`curves_of` returns them.
        title: a description of the network and the images.
        path: the CSV file or the picture; the other one is named after it. Links stay.

    Returns:
        The files written.
    """
    points, picture = (behind_link(path.with_suffix(ending)) for ending in (".csv", ".svg"))
    write_text(points, curves.to_csv(index=False))
    draw_curves(curves, title, picture)
    return [points, picture]


def _by_norm(attacks: Mapping[str, Attack]) -> dict[Norm, list[str]]:
    """Return the names of the attacks that minimize sizes, by their norm."""
    found: dict[Norm, list[str]] = {
        norm: [name for name, attack in attacks.items() if attack.minimized_norm == norm]
        for norm in get_args(Norm)
    }
    return {norm: names for norm, names in found.items() if names}
