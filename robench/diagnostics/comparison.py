"""By how much one network's layers are better conditioned than another's (Table 9 of ConvNorm)."""

import numpy as np
import pandas as pd


def condition_ratios(reference: pd.DataFrame, network: pd.DataFrame) -> pd.DataFrame:
    """Average cond(reference) / cond(network) over the layers that both have; more is better.

    The reference's plain convolutions stand against each operator of the network. The arithmetic
    mean is the paper's; a few nearly singular layers of the reference decide it, so the geometric
    mean stands beside it. Layers without a condition number in either are left out.

    Args:
        reference: of :func:`robench.spectra`, in the paper a network without normalization.
        network: likewise.

    Returns:
        A row an operator: ``operator``, ``layers`` (how many are compared), ``arithmetic``,
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
