"""Tables of the attacks on a network and of its diagnostics."""

import math
from typing import TYPE_CHECKING, Any

import pandas as pd

from robench.cli.tables.fitted import FittedColumn, FittedTable
from robench.cli.tables.words import figure, plain
from robench.expressions import radius_text

if TYPE_CHECKING:
    from robench.commands.certify import Certified


def evaluation_table(table: pd.DataFrame, title: str, *, gradients: str = "float32") -> FittedTable:
    """Return the table of ``robench attack``, one row per attack; its CSV has more columns.

    Args:
        table: the table of an evaluation.
        title: a description of the network and the images.
        gradients: the precision of the attacks' gradients, "bf16" or "float32".
    """
    figures = {
        "samples": ("images", "{:d}"),
        "accuracy": ("accuracy", "{:.1%}"),
        "success_rate": ("fooled", "{:.1%}"),
        "survive_rounding": ("still in\n8 bits", "{:.1%}"),
        "mean_queries": ("queries\n(mean)", "{:.4g}"),
        "median_queries": ("queries\n(median)", "{:.4g}"),
        "mean_forwards": ("forwards", "{:.4g}"),
        "mean_backwards": ("back-\nwards", "{:.4g}"),
        "largest_linf": ("Linf\n(largest)", "{:.4g}"),
        "median_l2": ("L2\n(median)", "{:.4g}"),
    }
    names = [FittedColumn("attack", "left"), *(FittedColumn(name) for name, _ in figures.values())]
    rows = [
        [plain(str(row["attack"])), *(figure(row[key], form) for key, (_, form) in figures.items())]
        for row in table.to_dict("records")
    ]
    return FittedTable(title, names, rows, caption=precision(gradients))


def sizes_table(table: pd.DataFrame, title: str) -> FittedTable:
    """Return the sizes of perturbations, one row per norm and attack.

    Args:
        table: as :func:`robench.commands.attack_curves.curves_of` returns it.
        title: a description of the network and the images.
    """
    names = [FittedColumn(name, "left") for name in ("norm", "attack")]
    figures = ("size\n(median)", "matches\nthe best", "local\noptimality")
    rows = [
        [
            str(row["norm"]),
            plain(str(row["attack"])),
            figure(row["median_size"], "{:.4g}"),
            figure(row["matches_best"], "{:.1%}"),
            figure(row["local_optimality"], "{:.3f}"),
        ]
        for row in table.to_dict("records")
    ]
    return FittedTable(
        f"{title}: smallest perturbations that fool",
        [*names, *(FittedColumn(name) for name in figures)],
        rows,
        keys=2,
        caption="matches the best: share of the fooled images on which it is within 1% of the "
        "smallest known; local optimality: as in AttackBench",
    )


def certified_table(found: "Certified", title: str, attack: str) -> FittedTable:
    """Return what is proved of a network, one row per radius, beside what an attack leaves.

    Args:
        found: the result of :func:`robench.commands.certify.certify_target`.
        title: a description of the network and the images.
        attack: the attack.
    """
    names = ("radius (L2)", "certified", f"{attack} (L2)", "unsound")
    rows = [
        [
            radius_text(row["radius"]),
            *(figure(row[name], "{:.1%}") for name in ("certified", "attacked")),
            figure(row["unsound"], "{:d}"),
        ]
        for row in found.table.to_dict("records")
    ]
    facts = found.facts()
    return FittedTable(
        title,
        [FittedColumn(name) for name in names],
        rows,
        caption=f"clean {facts['clean']:.1%}; mean radius {facts['mean_radius']:.4g}; Lipschitz "
        f"constant at most {facts['lipschitz']:.4g} from pixels in [0, 1] to logits; proved of the "
        f"network computed in float64, on {facts['images']} images; unsound: images that the "
        f"attack fools within their own certified radius",
    )


def precision(gradients: str) -> str:
    """Return the sentence on the precision of gradients that stands below a table."""
    return f"gradients: {gradients}; predictions: float32"


def networks_table(table: pd.DataFrame) -> FittedTable:
    """Return the accuracies of several networks, one row per network and one column per attack.

    Args:
        table: as :func:`robench.commands.attack_several.attack_several` returns it.
    """
    images = ", ".join(dict.fromkeys(table["images"]))
    attacks = list(dict.fromkeys(table["attack"]))
    accuracies = table.set_index(["network", "attack"])["accuracy"]
    rows = [
        [plain(network), *(figure(accuracies[network, attack], "{:.1%}") for attack in attacks)]
        for network in dict.fromkeys(table["network"])
    ]
    names = [FittedColumn("network", "left"), *(FittedColumn(plain(name)) for name in attacks)]
    gradients = " and ".join(dict.fromkeys(table["gradients"]))
    return FittedTable(images, names, rows, caption=precision(gradients))


def cross_check_table(table: pd.DataFrame, title: str) -> FittedTable:
    """Return how well libraries agree, one row per attack and library."""
    figures = ("its accuracy", "robench's\naccuracy", "same\nprediction", "only robench\nfools",
               "only library\nfools", "p (McNemar)", "differ by more\nthan chance")  # fmt: skip
    names = [FittedColumn(name, "left") for name in ("attack", "library")]
    return FittedTable(
        f"{title}: the same attacks through several libraries",
        [*names, *(FittedColumn(name) for name in figures)],
        [_compared(row) for row in table.to_dict("records")],
        keys=2,
        caption=precision("float32"),
    )


def _compared(row: dict[Any, Any]) -> list[str]:
    beyond = str(row["beyond_chance"]).split()
    return [
        plain(row["attack"]),
        plain(row["library"]),
        *(f"{100 * row[k]:.1f}%" for k in ("accuracy", "robench_accuracy", "agreement")),
        *(str(row[k]) for k in ("only_robench_fools", "only_library_fools")),
        f"{row['p_value']:.2g}",
        f"{len(beyond)}: {' '.join(beyond)}" if beyond else "none",
    ]


def spectra_table(table: pd.DataFrame, title: str, caption: str) -> FittedTable:
    """Return the spectra of one network, one row per layer and operator."""
    figures = {
        "channel_condition_median": "channel-wise\ncondition",
        "channel_condition_max": "worst\nchannel",
        "condition": "condition",
        "norm": "norm\n(circular)",
        "norm_bound": "bound\n(Gram)",
        "padded_norm": "norm\n(as padded)",
    }
    names = [FittedColumn(name, "left") for name in ("layer", "operator")]
    rows = [
        [
            plain(str(row["layer"])),
            plain(str(row["operator"])),
            *(figure(row[key], "{:.4g}") for key in figures),
        ]
        for row in table.to_dict("records")
    ]
    columns = [*names, *(FittedColumn(name) for name in figures.values())]
    return FittedTable(title, columns, rows, keys=2, caption=caption)


def ratios_table(ratios: pd.DataFrame) -> FittedTable:
    """Return how much better conditioned networks are than the reference, averaged over layers."""
    names = [FittedColumn(name, "left") for name in ("network", "operator")]
    figures = ("layers", "arithmetic mean", "geometric mean", "log10 of it")
    rows = []
    for row in ratios.to_dict("records"):
        geometric = row["geometric"]
        logarithm = math.log10(geometric) if geometric > 0 else -math.inf
        means = (f"{row['arithmetic']:.4g}", f"{geometric:.4g}", f"{logarithm:.2f}")
        rows.append([plain(row["network"]), plain(row["operator"]), str(row["layers"]), *means])
    return FittedTable(
        f"cond({ratios['network'].iloc[0]}) / cond(network), averaged over layers",
        [*names, *(FittedColumn(name) for name in figures)],
        rows,
        keys=2,
    )
