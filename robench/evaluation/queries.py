"""Success of a black-box attack against queries; unsuccessful searches are censored."""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from robench.evaluation.outcomes import Outcomes
from robench.system.figures import new_figure, plain_text, save_figure


def success_curve(outcomes: Outcomes) -> pd.DataFrame:
    """Return the share of attacked images that are fooled within each number of queries.

    An image whose search ended without success shows only that it takes more queries than it was
    given: it is right-censored there, and the share is the Kaplan-Meier estimate (1958) of what
    unlimited searches would give. If every search has the same cap, it is the plain share.

    Args:
        outcomes: outcomes of one attack; images with a clean mistake are left out.

    Returns:
        Columns ``queries``, ``success``; one row per number of queries at which an image was
        fooled.
    """
    from scipy.stats import CensoredData, ecdf  # slow to import

    attacked = outcomes.queries[outcomes.correct]
    fooled = outcomes.fooled[outcomes.correct]
    if not fooled.any():
        return pd.DataFrame({"queries": np.array([], dtype=np.int64), "success": np.array([])})
    sample = CensoredData(uncensored=attacked[fooled], right=attacked[~fooled])
    curve = ecdf(sample).cdf
    steps = np.isin(curve.quantiles, attacked[fooled])
    return pd.DataFrame(
        {
            "queries": curve.quantiles[steps].astype(np.int64),
            "success": curve.probabilities[steps],
        }
    )


def median_queries(outcomes: Outcomes) -> float:
    """Return the queries within which half of the attacked images are fooled; nan if never."""
    return queries_at(success_curve(outcomes), 0.5)


def queries_at(curve: pd.DataFrame, share: float) -> float:
    """Return the queries within which a share of the attacked images is fooled; nan if never.

    Args:
        curve: a table of :func:`success_curve`.
        share: in (0, 1].
    """
    # Rounded, for the estimate is a product of shares, which may miss a half in its last bit.
    reached = curve.loc[curve["success"].astype(float).round(9) >= share, "queries"]
    return float(reached.iloc[0]) if len(reached) else math.nan


def draw_success(curves: Mapping[str, pd.DataFrame], caption: str, path: Path) -> None:
    """Draw success against queries, one curve per attack, to a file.

    Args:
        curves: name in the legend -> table of :func:`success_curve`.
        caption: what the curves are computed from, printed below.
        path: the file; its suffix sets the format: ``.svg``, ``.png`` or ``.pdf``.
    """
    figure = new_figure(6, 4)
    axes = figure.add_subplot()
    for name, curve in curves.items():
        queries = np.concatenate([[0], curve["queries"]])
        success = np.concatenate([[0.0], curve["success"]])
        axes.step(queries, 100 * success, where="post", label=plain_text(name))
    axes.set(xlabel="queries", ylabel="attacked images fooled, %", ylim=(0, 100))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.supxlabel(plain_text(caption), fontsize="small")
    save_figure(figure, path)
