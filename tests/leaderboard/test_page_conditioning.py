"""The sentence on the conditioning of a board's layers names the singular ones."""

import math
from pathlib import Path

import pandas as pd
import pytest
from page_boards import Invented, invent

from robench.leaderboard.page import charts
from robench.leaderboard.page.conditioning import conditioning_summary

RANGE = "The largest condition number of a network's layers ranges from "


def spectra(**conditions: list[float]) -> pd.DataFrame:
    """Spectra of networks whose layers, conv0 and so on, have these condition numbers."""
    return pd.DataFrame(
        {
            "network": name,
            "layer": f"conv{number}",
            "operator": "convolution",
            "channel_condition_median": 1.0,
            "condition": condition,
            "norm": 2.0,
        }
        for name, several in conditions.items()
        for number, condition in enumerate(several)
    )


def test_without_singular_layers_it_is_the_range() -> None:
    table = spectra(slow=[17.6, 951.8], quick=[12.5, 88.0])
    assert conditioning_summary(table) == f"{RANGE}88 (quick) to 952 (slow)."


@pytest.mark.parametrize("infinite", [math.inf, math.nan])
def test_singular_layers_are_named_and_their_network_is_not_in_the_range(infinite: float) -> None:
    table = spectra(slow=[infinite, 951.8], quick=[12.5, 88.0], other=[3, 7])
    assert conditioning_summary(table) == (
        f"{RANGE}7 (other) to 88 (quick), where no layer is singular. Singular, with an infinite "
        f"condition number: conv0 of slow."
    )


def test_where_all_networks_have_some_there_is_no_range_and_long_lists_are_cut() -> None:
    table = spectra(slow=[math.inf] * 5, quick=[1, math.nan])
    assert conditioning_summary(table) == (
        "Singular, with an infinite condition number: conv0, conv1, conv2 and 2 more of slow; "
        "conv1 of quick."
    )


def test_a_layer_without_a_norm_was_not_measured() -> None:
    table = spectra(slow=[math.nan, 4.0], quick=[1.0, 2.0])
    table.loc[table["condition"].isna(), "norm"] = math.nan
    assert conditioning_summary(table) == f"{RANGE}2 (quick) to 4 (slow)."
    assert conditioning_summary(table.assign(condition=math.nan, norm=math.nan)) == ""


def test_the_page_draws_layers_that_are_all_singular(tmp_path: Path) -> None:
    spectra(first=[math.inf], second=[math.inf]).to_csv(tmp_path / "spectra.csv", index=False)
    chart = charts.spectra(invent((Invented("first"), Invented("second")), folder=tmp_path))
    assert chart is not None
    assert chart["summary"] == (
        "Singular, with an infinite condition number: conv0 of first; conv0 of second."
    )
    assert chart["networks"]["first"]["condition"] == [None]
