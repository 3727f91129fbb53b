"""Convolutions selected by name patterns."""

import pytest
from torch import nn

from robench import UserError, apply_defense
from robench.layers.selected import selected_convs


def network() -> nn.Module:
    def block() -> nn.Module:
        return nn.ModuleDict({"conv1": nn.Conv2d(2, 2, 3), "norm": nn.BatchNorm2d(2)})

    return nn.ModuleDict(
        {"stem": nn.Conv2d(3, 2, 3), "layer1": block(), "layer2": block(), "fc": nn.Linear(2, 2)}
    )


@pytest.mark.parametrize(
    ("layers", "names"),
    [
        ("*", ["stem", "layer1.conv1", "layer2.conv1"]),
        ("stem", ["stem"]),
        ("layer*", ["layer1.conv1", "layer2.conv1"]),
        ("*.conv1", ["layer1.conv1", "layer2.conv1"]),
        ("*layer[2-4]*", ["layer2.conv1"]),
        ("layer2*|stem", ["stem", "layer2.conv1"]),
        ("stem|*", ["stem", "layer1.conv1", "layer2.conv1"]),
    ],
)
def test_layers_whose_names_match_come_once_in_the_order_of_the_network(
    layers: str, names: list[str]
) -> None:
    model = network()
    assert selected_convs(model, layers) == [model.get_submodule(name) for name in names]


@pytest.mark.parametrize("layers", ["fc", "conv1", "STEM", "", "layer1.norm"])
def test_a_pattern_without_a_convolution_is_refused_with_an_example(layers: str) -> None:
    with pytest.raises(UserError, match=r"matches no convolution .* names such as '(stem|layer)"):
        selected_convs(network(), layers)


@pytest.mark.parametrize("layers", ["stem|layr1*", "layr1*|stem", "*|nothing"])
def test_a_misspelled_pattern_beside_a_right_one_is_refused(layers: str) -> None:
    with pytest.raises(UserError, match=r"'(layr1\*|nothing)' in layers = .* matches no convol"):
        selected_convs(network(), layers)


def test_a_network_without_convolutions_is_refused_without_an_example() -> None:
    with pytest.raises(UserError, match=r"layers = '\*' matches no convolution of the network\.$"):
        selected_convs(nn.Sequential(nn.Linear(2, 2)), "*")


def test_a_convolution_that_is_used_twice_counts_once() -> None:
    shared = nn.Conv2d(2, 2, 3)
    assert selected_convs(nn.ModuleList([shared, shared]), "*") == [shared]


def test_a_convolution_alone_is_chosen() -> None:
    conv = nn.Conv2d(2, 2, 3)
    assert selected_convs(conv, "*") == [conv]


@pytest.mark.parametrize("defense", ["ocnn", "soft_orthogonal", "parseval", "convnorm"])
def test_convolutions_that_a_defense_skips_are_none_of_them(defense: str) -> None:
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3))
    made = apply_defense(plain, defense, skip=["0"])
    chosen = selected_convs(made, "*")
    assert made[0] not in chosen  # type: ignore[index]
    assert made[2] in chosen  # type: ignore[index]
    with pytest.raises(UserError, match="names such as '2'"):
        selected_convs(made, "0")
