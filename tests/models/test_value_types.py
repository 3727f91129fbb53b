"""Integers and complex numbers are not loaded into floating-point weights."""

from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from robench.errors import UserError
from robench.layers.convnorm import ConvNorm2d
from robench.models.checkpoint import load_weights
from robench.models.third_party_weights import load_third_party_weights

OTHERS = [torch.int64, torch.uint8, torch.bool, torch.complex64]


def net() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))


def said(dtype: torch.dtype, name: str = "0.weight") -> str:
    stored = str(dtype).removeprefix("torch.")
    return f"'{name}' has {stored} values where float32 is needed"


@pytest.mark.parametrize("dtype", OTHERS)
@pytest.mark.parametrize("name", ["0.weight", "1.running_mean"])
def test_a_third_party_file_is_refused_by_name_and_types(
    dtype: torch.dtype, name: str, tmp_path: Path
) -> None:
    state = net().state_dict()
    torch.save({"model": {**state, name: state[name].to(dtype)}}, tmp_path / "w.pt")
    with pytest.raises(UserError, match=f"w.pt cannot be loaded: {said(dtype, name)}"):
        load_third_party_weights(tmp_path / "w.pt", net())


def test_it_is_named_as_the_file_names_it(tmp_path: Path) -> None:
    state = {f"module.{name}": value.long() for name, value in net().state_dict().items()}
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(UserError, match=said(torch.int64, "module.0.weight")):
        load_third_party_weights(tmp_path / "w.pt", nn.Sequential(nn.Identity(), net()))


@pytest.mark.parametrize("dtype", OTHERS)
def test_published_safetensors_are_refused_alike(dtype: torch.dtype, tmp_path: Path) -> None:
    state = net().state_dict()
    changed = {**state, "0.weight": state["0.weight"].to(dtype)}
    safetensors.torch.save_file(changed, tmp_path / "w.safetensors")
    with pytest.raises(UserError, match=said(dtype)):
        load_weights(tmp_path / "w.safetensors", net())


def test_averages_that_a_layer_makes_in_training_are_of_floating_point(tmp_path: Path) -> None:
    def layer() -> nn.Module:
        return nn.Sequential(ConvNorm2d(2, 3, 3, eval_stats="running_v"))

    trained = layer().train()
    trained(torch.rand(2, 2, 6, 6))
    state = {k: v.long() if "running_v" in k else v for k, v in trained.state_dict().items()}
    torch.save(state, tmp_path / "w.pt")
    safetensors.torch.save_file(state, tmp_path / "w.safetensors")
    sentence = said(torch.int64, r"0.running_v_\d+x\d+")
    with pytest.raises(UserError, match=sentence):
        load_third_party_weights(tmp_path / "w.pt", layer())
    with pytest.raises(UserError, match=sentence):
        load_weights(tmp_path / "w.safetensors", layer())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_floating_point_of_another_precision_is_converted(
    dtype: torch.dtype, tmp_path: Path
) -> None:
    state = {k: v.to(dtype) if v.is_floating_point() else v for k, v in net().state_dict().items()}
    torch.save(state, tmp_path / "w.pt")
    safetensors.torch.save_file(state, tmp_path / "w.safetensors")
    first, second = net(), net()
    load_third_party_weights(tmp_path / "w.pt", first)
    load_weights(tmp_path / "w.safetensors", second)
    for model in (first, second):
        assert torch.equal(model[0].weight, state["0.weight"].float())  # type: ignore[index]
