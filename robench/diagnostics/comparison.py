"""Ratios of the condition numbers of two networks' layers (Table 9 of the ConvNorm paper)."""

import numpy as np
import pandas as pd


def condition_ratios(reference: pd.DataFrame, network: pd.DataFrame) -> pd.DataFrame:
    """Average cond(reference) / cond(network) over the layers that both have; higher is better.

    The reference's plain convolutions are compared with each operator of the network. The paper
    uses the arithmetic mean, which a few nearly singular layers of the reference dominate, so the
    geometric mean is reported as well. A singular layer of the network counts as 0; layers that are
    singular in the reference, or have no condition number, are left out.

    Args:
        reference: table of :func:`robench.spectra`; in the paper, of a network without
            normalization.
        network: table of :func:`robench.spectra` of the network to compare.

    Returns:
        One row per operator: ``operator``, ``layers`` (how many are compared), ``arithmetic``,
        ``geometric``.
    """
    base = reference[reference["operator"] == "convolution"].set_index("layer")["condition"]
    rows = []
    for operator, part in network.groupby("operator", sort=False):
        ratio = (base / part.set_index("layer")["condition"]).replace(np.inf, np.nan).dropna()
        if ratio.empty:
            continue
        with np.errstate(divide="ignore"):
            geometric = float(np.exp(np.log(ratio).mean()))
        rows.append((operator, len(ratio), float(ratio.mean()), geometric))
    return pd.DataFrame(rows, columns=["operator", "layers", "arithmetic", "geometric"])
