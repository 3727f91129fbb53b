"""The paper's Figure 2: conditioning and norm of each layer, one curve per network."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from robench.system.figures import CURVES, legend_name, new_figure, plain_text, save_figure

PANELS = (
    ("channel_condition_median", "channel-wise condition number (median)"),
    ("condition", "condition number"),
    ("norm", "spectral norm"),
)


def draw_spectra(networks: Mapping[str, pd.DataFrame], caption: str, path: Path) -> None:
    """Draw the spectra of networks, layer by layer, into a file whose suffix sets the format.

    Args:
        networks: names in the legend -> tables of :func:`robench.spectra`; the first
            :data:`CURVES <robench.system.figures.CURVES>` are drawn.
        caption: dataset, width, seeds and version, printed below.
        path: ``.svg``, ``.png`` or ``.pdf``.
    """
    shown = list(networks.items())[:CURVES]
    figure = new_figure(4.5 * len(PANELS), 3.6)
    for axes, (column, title) in zip(figure.subplots(1, len(PANELS)), PANELS, strict=True):
        for name, table in shown:
            curve = table[table["operator"] == "convolution"].set_index("layer")[column]
            # Aligned with the layers of the first network, so that a missing one leaves a gap.
            curve = curve.reindex(next(iter(networks.values()))["layer"].unique())
            label = legend_name(name)
            axes.plot(range(1, len(curve) + 1), curve.to_numpy(), marker=".", label=label)
        axes.set_yscale("log")
        axes.set_xlabel("layer")
        axes.set_title(title, fontsize="medium")
        axes.grid(alpha=0.3)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", fontsize="small")
    left = f"; the first {CURVES} of {len(networks)} networks" if len(networks) > CURVES else ""
    figure.supxlabel(plain_text(caption + left), fontsize="x-small", x=0.0, ha="left")
    save_figure(figure, path)
