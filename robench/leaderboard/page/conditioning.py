"""The sentence below the chart of spectra: how well conditioned the networks' layers are."""

import numpy as np
import pandas as pd

from robench.leaderboard.page.wording import listed

_NAMED = 3
"""How many singular layers of a network are named."""


def conditioning_summary(table: pd.DataFrame) -> str:
    """Return the range of the networks' largest condition numbers, and which layers are singular.

    A singular layer has no finite condition number: it has a norm, and inf or, in what boards
    publish, nothing beside it.

    Args:
        table: spectra of convolutions, with the columns ``network``, ``layer``, ``condition`` and
            ``norm``.

    Returns:
        "" if no layer was measured.
    """
    singular = table[~np.isfinite(table["condition"]) & table["norm"].notna()]
    rest = table[~table["network"].isin(singular["network"])]
    worst = rest.groupby("network")["condition"].max().dropna()
    said = []
    if len(worst):
        where = ", where no layer is singular" if len(singular) else ""
        said.append(
            f"The largest condition number of a network's layers ranges from {worst.min():,.0f} "
            f"({worst.idxmin()}) to {worst.max():,.0f} ({worst.idxmax()}){where}."
        )
    if len(singular):
        by_network = singular.groupby("network", sort=False)["layer"]
        owned = "; ".join(f"{_some(list(of))} of {name}" for name, of in by_network)
        said.append(f"Singular, with an infinite condition number: {owned}.")
    return " ".join(said)


def _some(layers: list[str]) -> str:
    left = len(layers) - _NAMED
    return listed([*layers[:_NAMED], f"{left} more"] if left > 0 else layers)
