"""Tables of the attacks on a network and of its diagnostics."""

import math

import pandas as pd
from rich import box
from rich.table import Table

from robench.cli.tables.words import figure, plain


def evaluation_table(table: pd.DataFrame, title: str) -> Table:
    """Return the table of ``robench attack``, one row per attack; its CSV has more columns."""
    shown = Table(title=title, title_style="bold", title_justify="left", box=box.SIMPLE_HEAD)
    shown.add_column("attack", overflow="fold", min_width=20)
    names = {
        "samples": ("images", "{:d}"),
        "accuracy": ("accuracy", "{:.1%}"),
        "success_rate": ("fooled", "{:.1%}"),
        "survive_rounding": ("still in\n8 bits", "{:.1%}"),
        "mean_queries": ("queries\n(mean)", "{:.4g}"),
        "median_queries": ("(median)", "{:.4g}"),
        "mean_forwards": ("forwards", "{:.4g}"),
        "mean_backwards": ("back-\nwards", "{:.4g}"),
        "largest_linf": ("Linf\n(largest)", "{:.4g}"),
        "median_l2": ("L2\n(median)", "{:.4g}"),
    }
    for name, _ in names.values():
        shown.add_column(name, justify="right", no_wrap=True)
    for row in table.to_dict("records"):
        figures = (figure(row[column], form) for column, (_, form) in names.items())
        shown.add_row(plain(str(row["attack"])), *figures)
    return shown


def networks_table(table: pd.DataFrame) -> Table:
    """Return the accuracies of several networks, one row per network and one column per attack.

    Args:
        table: as :func:`robench.commands.attack_several.attack_several` returns it.
    """
    images = ", ".join(dict.fromkeys(table["images"]))
    shown = Table(title=images, title_style="bold", title_justify="left", box=box.SIMPLE_HEAD)
    shown.add_column("network", overflow="fold", min_width=12)
    attacks = list(dict.fromkeys(table["attack"]))
    for attack in attacks:
        shown.add_column(plain(attack), justify="right", overflow="fold", min_width=6)
    accuracies = table.set_index(["network", "attack"])["accuracy"]
    for network in dict.fromkeys(table["network"]):
        figures = (figure(accuracies[network, attack], "{:.1%}") for attack in attacks)
        shown.add_row(plain(network), *figures)
    return shown


def cross_check_table(table: pd.DataFrame, title: str) -> Table:
    """Return how well libraries agree, one row per attack and library."""
    shown = Table(title=f"{title}: the same attacks through three libraries", title_style="bold")
    shown.title_justify, shown.box = "left", box.SIMPLE_HEAD
    names = ("attack", "library", "its accuracy", "robench's", "same prediction",
             "only robench\nfools", "only library\nfools", "p (McNemar)",
             "differ by more\nthan chance")  # fmt: skip
    for name in names:
        shown.add_column(
            name,
            justify="left" if name in ("attack", "library") else "right",
            no_wrap=name == "library",
        )
    for row in table.to_dict("records"):
        shares = (f"{100 * row[k]:.1f}%" for k in ("accuracy", "robench_accuracy", "agreement"))
        counts = (str(row[k]) for k in ("only_robench_fools", "only_library_fools"))
        beyond = str(row["beyond_chance"]).split()
        listed = f"{len(beyond)}: {' '.join(beyond[:8])}" if beyond else "none"
        shown.add_row(
            row["attack"], row["library"], *shares, *counts, f"{row['p_value']:.2g}", listed
        )
    return shown


def spectra_table(table: pd.DataFrame, title: str, caption: str) -> Table:
    """Return the spectra of one network, one row per layer and operator."""
    shown = Table(title=title, title_style="bold", title_justify="left", box=box.SIMPLE_HEAD)
    shown.caption, shown.caption_justify = caption, "left"
    shown.add_column("layer", overflow="fold")
    shown.add_column("operator")
    names = {
        "channel_condition_median": "channel-wise\ncondition",
        "channel_condition_max": "worst\nchannel",
        "condition": "condition",
        "norm": "norm\n(circular)",
        "norm_bound": "bound\n(Gram)",
        "padded_norm": "norm\n(as padded)",
    }
    for name in names.values():
        shown.add_column(name, justify="right")
    for row in table.to_dict("records"):
        figures = (figure(row[column], "{:.4g}") for column in names)
        shown.add_row(str(row["layer"]), str(row["operator"]), *figures)
    return shown


def ratios_table(ratios: pd.DataFrame) -> Table:
    """Return how much better conditioned networks are than the reference, averaged over layers."""
    shown = Table(
        title=f"cond({ratios['network'].iloc[0]}) / cond(network), averaged over layers",
        title_style="bold",
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    shown.add_column("network")
    shown.add_column("operator")
    for name in ("layers", "arithmetic mean", "geometric mean", "log10 of it"):
        shown.add_column(name, justify="right")
    for row in ratios.to_dict("records"):
        geometric = row["geometric"]
        logarithm = math.log10(geometric) if geometric > 0 else -math.inf
        figures = (f"{row['arithmetic']:.4g}", f"{geometric:.4g}", f"{logarithm:.2f}")
        shown.add_row(plain(row["network"]), row["operator"], str(row["layers"]), *figures)
    return shown
