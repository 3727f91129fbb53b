"""Spectra of layers agree with dense linear algebra on the real modules."""

import copy
import math
from typing import Any

import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support import dense
from torch import nn

import robench
from robench import apply_defense, build_model
from robench.base import Defense
from robench.diagnostics.spectra import singular_range
from robench.errors import UserError
from robench.layers.circular import gram_bound, on_torus, symbol
from robench.registry import defenses


def network(conv: nn.Conv2d, defense: str = "batchnorm", n: int = 6) -> nn.Sequential:
    """Return conv, norm and defense, in eval mode after a training forward; float64."""
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(conv.out_channels)
    nn.init.uniform_(norm.weight, 0.5, 2)
    model = apply_defense(nn.Sequential(conv, norm).double(), defense)
    model.train()(torch.randn(4, conv.in_channels, n, n, dtype=torch.float64))
    assert isinstance(model, nn.Sequential)
    return model.eval()


def row(table: pd.DataFrame, operator: str) -> dict[str, float]:
    chosen = table[table["operator"] == operator]
    assert len(chosen) == 1
    return {str(k): v for k, v in chosen.iloc[0].items()}


CONVS = [
    nn.Conv2d(3, 5, 3, padding=1),
    nn.Conv2d(4, 3, 3, padding=1, stride=2),
    nn.Conv2d(4, 6, 1, stride=2),
    nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=2),
    nn.Conv2d(2, 3, 5, padding=1),
]


@pytest.mark.parametrize("conv", CONVS, ids=str)
@pytest.mark.parametrize("defense", ["batchnorm", "convnorm", "conv_sn", "aol", "oni"])
def test_the_padded_norm_is_that_of_the_dense_matrix(conv: nn.Conv2d, defense: str) -> None:
    model = network(copy.deepcopy(conv), defense)
    table = robench.spectra(model, (conv.in_channels, 6, 6))
    last = "affine" if defense == "convnorm" else "convolution"
    truth = torch.linalg.svdvals(dense(model[0], conv.in_channels, 6)).max()
    assert row(table, last)["padded_norm"] == pytest.approx(float(truth), rel=1e-3)
    truth = torch.linalg.svdvals(dense(model, conv.in_channels, 6)).max()
    assert row(table, "norm")["padded_norm"] == pytest.approx(float(truth), rel=1e-3)


@pytest.mark.parametrize("conv", CONVS, ids=str)
def test_the_circular_norm_bounds_the_padded_one_and_is_bounded(conv: nn.Conv2d) -> None:
    table = robench.spectra(network(copy.deepcopy(conv)), (conv.in_channels, 6, 6))
    for _, figures in table.iterrows():
        assert figures["padded_norm"] <= figures["norm"] * (1 + 1e-9)
        assert figures["norm"] <= figures["norm_bound"] <= 1.05 * figures["norm"]


LINEAR = ["batchnorm", "convnorm(affine=False)", "convnorm(affine=False, eval_stats='exact')",
          "conv_sn", "aol", "oni", "cayley", "soc", "spectral_norm", "weight_norm"]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    defense=st.sampled_from(LINEAR),
    mode=st.sampled_from(["zeros", "circular", "reflect", "replicate"]),
    kernel=st.sampled_from([1, 2, 3, 5]),
    stride=st.sampled_from([1, 1, 2]),
    padding=st.integers(0, 3),
    channels=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    n=st.sampled_from([6, 7, 8]),
)
def test_a_bound_is_above_the_norm_of_the_actual_layer_or_there_is_none(
    defense: str, mode: Any, kernel: int, stride: int, padding: int, channels: tuple[int, int],
    n: int,
) -> None:  # fmt: skip
    conv = nn.Conv2d(
        *channels, kernel, stride=stride, padding=padding, padding_mode=mode, bias=False
    )
    with torch.no_grad():  # smooth filters show what is repeated at a border
        conv.weight.abs_()
    if defenses.build(defense).unsupported(conv) or n + 2 * padding < kernel:
        return
    table = robench.spectra(network(conv, defense, n), (channels[0], n, n))
    assert table["padded_norm"].notna().all()
    for line in table[table["norm_bound"].notna()].to_dict("records"):
        assert line["norm_bound"] >= line["padded_norm"] * (1 - 1e-3), line


@pytest.mark.parametrize(
    ("defense", "mode"),
    [("batchnorm", "reflect"), ("convnorm", "reflect"), ("convnorm", "circular")],
)
def test_padding_that_repeats_pixels_leaves_the_norm_of_the_layer_alone(
    defense: str, mode: Any
) -> None:
    conv = nn.Conv2d(3, 5, 3, stride=2, padding=1, padding_mode=mode)
    model = network(conv, defense)
    table = robench.spectra(model, (3, 6, 6))
    of_frequencies = ["torus", "channel_condition_median", "norm", "condition", "norm_bound"]
    assert table[of_frequencies].isna().all(axis=None)
    assert (table[["out_channels", "stride", "kernel"]] == [5, "2x2", "3x3"]).all(axis=None)
    truth = torch.linalg.svdvals(dense(model, 3, 6)).max()
    assert row(table, "norm")["padded_norm"] == pytest.approx(float(truth), rel=1e-3)


@pytest.mark.parametrize(
    ("kernel", "padding", "n"), [(2, 0, 6), (2, 1, 4), (2, 1, 8), (3, 1, 5), (3, 4, 6)]
)
def test_convnorm_on_another_grid_than_its_torus_has_no_norm_but_its_own(
    kernel: int, padding: int, n: int
) -> None:
    conv = nn.Conv2d(1, 4, kernel, stride=2, padding=padding, bias=False)
    model = network(conv, "convnorm(affine=False)", n)
    table = robench.spectra(model, (1, n, n))
    assert table[["norm", "norm_bound"]].isna().all(axis=None)
    truth = torch.linalg.svdvals(dense(model[0], 1, n)).max()
    assert row(table, "convolution")["padded_norm"] == pytest.approx(float(truth), rel=1e-3)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("channels", [(3, 5), (5, 3), (4, 4)])
def test_on_a_torus_norm_and_condition_are_exact(stride: int, channels: tuple[int, int]) -> None:
    inputs, outputs = channels
    conv = nn.Conv2d(inputs, outputs, 3, stride, 1, padding_mode="circular")
    model = network(conv)
    table = robench.spectra(model, (inputs, 6, 6))
    for operator, module in (("convolution", model[0]), ("norm", model)):
        values = torch.linalg.svdvals(dense(module, inputs, 6))
        found = row(table, operator)
        assert found["norm"] == pytest.approx(float(values[0]), rel=1e-10)
        assert found["condition"] == pytest.approx(float(values[0] / values[-1]), rel=1e-4)


def test_pixels_that_a_stride_leaves_out_do_not_make_it_singular() -> None:
    conv = nn.Conv2d(3, 5, 1, stride=2).double()
    values = torch.linalg.svdvals(conv.weight.flatten(1))
    figures = row(robench.spectra(conv, (3, 6, 6)), "convolution")
    assert figures["condition"] == pytest.approx(float(values[0] / values[-1]))


@pytest.mark.parametrize("defense", ["convnorm", "cayley", "conv_sn", "aol", "bro", "lot", "soc"])
def test_nor_do_they_in_float32(defense: str) -> None:
    torch.manual_seed(0)
    model = apply_defense(
        nn.Sequential(nn.Conv2d(16, 24, 1, stride=2), nn.BatchNorm2d(24)), defense
    )
    conditions = robench.spectra(model.eval(), (16, 7, 7))["condition"]
    assert (conditions < 100).all()


def test_a_singular_operator_has_an_infinite_condition() -> None:
    conv = nn.Conv2d(3, 3, 3, padding=1)
    with torch.no_grad():
        conv.weight -= conv.weight.mean((1, 2, 3), keepdim=True)  # blind to constant images
    assert row(robench.spectra(conv, (3, 7, 7)), "convolution")["condition"] > 1e6
    nn.init.zeros_(conv.weight)
    assert row(robench.spectra(conv, (3, 7, 7)), "convolution")["condition"] == math.inf


def test_convnorm_has_channels_of_condition_one_until_its_affine() -> None:
    model = network(nn.Conv2d(8, 6, 3, padding=1), "convnorm(eval_stats='exact')")
    table = robench.spectra(model, (8, 6, 6))
    assert row(table, "convolution")["channel_condition_max"] == pytest.approx(1, abs=1e-9)
    assert row(table, "affine")["channel_condition_max"] > 1.5


@pytest.mark.parametrize("stride", [1, 2])
def test_channel_wise_conditions_are_those_of_the_channels_alone(stride: int) -> None:
    conv = nn.Conv2d(3, 4, 3, stride, 1).double()
    found = row(robench.spectra(conv, (3, 6, 6)), "convolution")
    conditions = []
    for o in range(4):
        alone = nn.Conv2d(3, 1, 3, 1, 1, padding_mode="circular", bias=False).double()
        alone.weight.data = conv.weight.data[o : o + 1]
        values = torch.linalg.svdvals(dense(alone, 3, 8))  # the torus of 6 pixels and a 3x3 kernel
        conditions.append(float(values[0] / values[-1]))
    assert found["channel_condition_max"] == pytest.approx(max(conditions), rel=1e-9)


@pytest.mark.parametrize("stride", [1, 2])
def test_the_affine_of_a_strided_layer_acts_behind_the_stride(stride: int) -> None:
    conv = nn.Conv2d(3, 4, 3, stride, 1, bias=False)
    layer = network(conv, "convnorm(bn=false, eval_stats='exact')")
    table = robench.spectra(layer, (3, 6, 6))
    plain, affine = row(table, "convolution"), row(table, "affine")
    with torch.no_grad():
        layer[0].affine.weight.zero_()[:, :, 1, 1] = 2  # type: ignore[operator, union-attr, index]
    doubled = row(robench.spectra(layer, (3, 6, 6)), "affine")
    assert doubled["norm"] == pytest.approx(2 * plain["norm"])
    assert doubled["padded_norm"] == pytest.approx(2 * plain["padded_norm"], rel=2e-3)
    assert affine["norm"] != pytest.approx(doubled["norm"])


@pytest.mark.parametrize("defense", ["cayley", "bro", "lot(steps=30)", "soc"])
def test_orthogonal_layers_have_condition_one(defense: str) -> None:
    model = network(nn.Conv2d(3, 5, 3, 2, 1), defense)
    assert row(robench.spectra(model, (3, 6, 6)), "norm")["condition"] > 1
    plain = robench.spectra(model, (3, 6, 6)).iloc[0]
    close = 0.01 if defense == "soc" else 1e-6
    assert plain["condition"] == pytest.approx(1, abs=close)
    assert plain["norm"] == pytest.approx(1, abs=close)


def test_a_layer_that_is_not_linear_is_reported() -> None:
    model = apply_defense(nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.ReLU()), "sll")
    table = robench.spectra(model, (3, 6, 6))
    assert list(table["operator"]) == ["not linear"]
    assert math.isnan(table["norm"].iloc[0])


@pytest.mark.parametrize("inplace", [False, True])
def test_a_batch_norm_behind_an_activation_is_not_that_of_the_convolution(inplace: bool) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace), nn.BatchNorm2d(4)).eval()
    assert list(robench.spectra(model, (3, 6, 6))["operator"]) == ["convolution"]


def test_every_layer_of_a_network_has_its_rows_and_the_network_is_left_alone() -> None:
    model = build_model(
        "resnet18", num_classes=10, in_channels=3, image_size=(16, 16), mean=(0.5,), std=(0.5,),
        width=4, defense="convnorm",
    ).train()  # fmt: skip
    before = copy.deepcopy(model.state_dict())
    table = robench.spectra(model, (3, 16, 16))
    assert table["layer"].nunique() == 20
    assert table["operator"].value_counts().to_dict() == dict.fromkeys(
        ["convolution", "affine", "norm"], 20
    )
    assert model.training
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert table.loc[table["layer"] == "net.layer2.0.conv1", "input"].iloc[0] == "16x16"


def test_networks_without_convolutions_and_images_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UserError, match="has no convolutional layer"):
        robench.spectra(nn.Flatten(), (3, 6, 6))
    with pytest.raises(UserError, match="cannot take an image of 1x6x6"):
        robench.spectra(nn.Conv2d(3, 3, 3), (1, 6, 6))


def test_the_bound_is_that_of_six_gram_iterations() -> None:
    matrices = torch.randn(5, 1, 6, 4, dtype=torch.complex128)
    assert singular_range(matrices).bound == pytest.approx(float(gram_bound(matrices)), rel=1e-9)


def test_small_singular_values_keep_their_digits() -> None:
    left, right = (torch.linalg.qr(torch.randn(4, 4, dtype=torch.complex128))[0] for _ in range(2))
    values = torch.tensor([1, 1e-3, 1e-6, 1e-9], dtype=torch.complex128)
    found = singular_range((left * values @ right)[None, None])
    assert found.smallest == pytest.approx(1e-9, rel=1e-5)


def test_layers_of_any_kind_that_replace_a_convolution_are_found_by_their_outputs() -> None:
    class Chained(Defense):
        """Adds a 1x1 convolution after each convolution."""

        def replace_conv(self, conv: nn.Conv2d) -> nn.Module:
            return nn.Sequential(
                conv, nn.Conv2d(conv.out_channels, conv.out_channels, 1).to(conv.weight)
            )

    torch.manual_seed(0)
    model = apply_defense(nn.Sequential(nn.Conv2d(4, 5, 3, 2, 1), nn.Flatten()).double(), Chained())
    table = robench.spectra(model, (4, 8, 8))
    assert len(table) == 2, "the chain and the batch norm that follows it"
    found = row(table, "convolution")
    chain = nn.Sequential(*list(model[0][0]))  # type: ignore[index, arg-type]
    truth = float(torch.linalg.matrix_norm(dense(chain, 4, 8), ord=2))
    assert found["padded_norm"] == pytest.approx(truth, rel=1e-3)
    first, second = chain
    composed = torch.einsum("oi,icxy->ocxy", second.weight[:, :, 0, 0], first.weight)
    values = torch.linalg.svdvals(symbol(on_torus(composed, (8, 8)), (2, 2)))
    assert found["norm"] == pytest.approx(float(values.max()), rel=1e-9)


def test_networks_that_name_their_arguments_or_raise_other_errors_are_understood() -> None:
    class Named(nn.Module):
        def __init__(self, side: int) -> None:
            super().__init__()
            self.conv, self.norm, self.side = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), side

        def forward(self, x: torch.Tensor) -> Any:
            assert x.shape[-1] == self.side, "Wrong image size!"
            return self.norm(input=self.conv(input=x))

    table = robench.spectra(Named(side=6).eval(), (1, 6, 6))
    assert list(table["operator"]) == ["convolution", "norm"]
    with pytest.raises(UserError, match="cannot take an image of 1x6x6: Wrong image size!"):
        robench.spectra(Named(side=8), (1, 6, 6))
    parallel = robench.spectra(nn.DataParallel(Named(side=6).eval()), (1, 6, 6))
    assert list(parallel["layer"]) == list(table["layer"])
    with pytest.raises(UserError, match="give a torch"):
        robench.spectra(lambda x: x, (1, 6, 6))  # type: ignore[arg-type]


class Louder(nn.BatchNorm2d):
    """A batch norm of a user's own, whose gain is not that of its weights."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return 3 * super().forward(input)


def test_a_batch_norm_with_a_forward_of_its_own_has_no_gain_that_is_known() -> None:
    for norm, known in ((nn.BatchNorm2d(4), True), (Louder(4), False)):
        table = robench.spectra(nn.Sequential(nn.Conv2d(3, 4, 3), norm).eval(), (3, 8, 8))
        assert ("norm" in set(table["operator"])) is known
