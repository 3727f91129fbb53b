"""Versions of modules, by which their own loading converts what earlier code stored."""

import math
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from robench.models.checkpoint import load_weights
from robench.models.state_versions import versions_of
from robench.models.third_party_weights import load_third_party_weights


class Gain(nn.Module):
    """A gain, of which version 1 stored the logarithm."""

    _version = 2

    def __init__(self, value: float = 1.0) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor([value]))

    def _load_from_state_dict(
        self, state: dict[str, Any], prefix: str, noted: dict[str, Any], *rest: Any
    ) -> None:
        if noted.get("version", 1) < 2:
            state[f"{prefix}gain"] = state[f"{prefix}gain"].exp()
        super()._load_from_state_dict(state, prefix, noted, *rest)  # type: ignore[no-untyped-call]


def net(value: float = 1.0) -> nn.Module:
    return nn.Sequential(nn.Linear(2, 2), Gain(value))


def of_version(version: int, value: float) -> OrderedDict[str, Tensor]:
    state: OrderedDict[str, Tensor] = net(value).state_dict()
    state._metadata["1"]["version"] = version  # type: ignore[attr-defined]
    return state


SAVED: dict[str, Callable[[], Any]] = {
    "plain": lambda: net(3.0).state_dict(),
    "nested": lambda: {"model": net(3.0).state_dict(), "epoch": 3},
    "parallel": lambda: {"state_dict": nn.DataParallel(net(3.0)).state_dict()},
    "averaged": lambda: torch.optim.swa_utils.AveragedModel(net(3.0)).state_dict(),
    "compiled": lambda: nn.Sequential(OrderedDict(_orig_mod=net(3.0))).state_dict(),
}


@pytest.mark.parametrize("wrapping", SAVED)
def test_what_the_same_code_saved_is_loaded_as_it_is(wrapping: str, tmp_path: Path) -> None:
    torch.save(SAVED[wrapping](), tmp_path / "w.pt")
    model = net()
    load_third_party_weights(tmp_path / "w.pt", model)
    assert model[1].gain.item() == 3.0  # type: ignore[index, union-attr, operator]


def test_a_part_has_the_versions_of_the_file_and_the_rest_its_own(tmp_path: Path) -> None:
    constant = Gain(0.5).requires_grad_(False)
    for version, loaded in ((2, 3.0), (1, pytest.approx(math.exp(3.0)))):
        torch.save(of_version(version, 3.0), tmp_path / "w.pt")
        model = nn.Sequential(constant, net())
        load_third_party_weights(tmp_path / "w.pt", model)
        assert model[1][1].gain.item() == loaded
        assert constant.gain.item() == 0.5


def test_a_file_that_says_no_versions_is_loaded_as_torch_does(tmp_path: Path) -> None:
    torch.save(dict(net(0.0).state_dict()), tmp_path / "w.pt")
    safetensors.torch.save_file(net(0.0).state_dict(), tmp_path / "w.safetensors")
    for name in ("w.pt", "w.safetensors"):
        model = net()
        load_third_party_weights(tmp_path / name, model)
        assert model[1].gain.item() == 1.0  # type: ignore[index, union-attr, operator]


def test_a_row_is_rebuilt_with_the_weights_that_robench_wrote(tmp_path: Path) -> None:
    safetensors.torch.save_file(net(3.0).state_dict(), tmp_path / "w")
    rebuilt = load_weights(tmp_path / "w", net())
    assert rebuilt[1].gain.item() == 3.0  # type: ignore[index, union-attr, operator]


@pytest.mark.parametrize("noted", [7, "x", {3: {"version": 2}, "1": 2, "0": None}])
def test_versions_that_a_stranger_made_up_are_none(noted: object, tmp_path: Path) -> None:
    state = net(0.0).state_dict()
    state._metadata = noted
    assert versions_of(state) == {}
    torch.save(state, tmp_path / "w.pt")
    model = net()
    load_third_party_weights(tmp_path / "w.pt", model)
    assert model[1].gain.item() == 1.0  # type: ignore[index, union-attr, operator]
