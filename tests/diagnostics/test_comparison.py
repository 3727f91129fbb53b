"""Ratios of condition numbers, arithmetic and geometric."""

import math

import pandas as pd
import pytest

from robench.diagnostics import condition_ratios


def table(operator: str, **conditions: float) -> pd.DataFrame:
    return pd.DataFrame(
        {"layer": list(conditions), "operator": operator, "condition": list(conditions.values())}
    )


def test_both_means_are_over_the_layers_that_both_have() -> None:
    reference = table("convolution", a=8.0, b=2.0, c=5.0)
    network = table("convolution", a=1.0, b=1.0, d=3.0)
    (row,) = condition_ratios(reference, network).itertuples()
    assert (row.layers, row.arithmetic) == (2, 5.0)
    assert row.geometric == pytest.approx(4.0)


def test_the_plain_convolutions_of_the_reference_are_compared_with_each_operator() -> None:
    reference = pd.concat([table("convolution", a=8.0), table("norm", a=1e9)])
    network = pd.concat([table("convolution", a=2.0), table("affine", a=16.0)])
    ratios = condition_ratios(reference, network).set_index("operator")["arithmetic"]
    assert ratios.to_dict() == {"convolution": 4.0, "affine": 0.5}


def test_a_singular_layer_counts_as_zero_and_a_singular_reference_is_left_out() -> None:
    reference = table("convolution", a=8.0, b=math.inf, c=4.0)
    (row,) = condition_ratios(
        reference, table("convolution", a=2.0, b=1.0, c=math.inf)
    ).itertuples()
    assert (row.layers, row.arithmetic, row.geometric) == (2, 2.0, 0.0)
