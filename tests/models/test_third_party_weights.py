"""Files of weights as torch, timm, Lightning and EMA wrappers write them, and what they fit."""

import argparse
import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from robench.errors import UserError
from robench.layers.convnorm import ConvNorm2d
from robench.models.third_party_weights import load_third_party_weights

State = dict[str, Any]


def net(value: float = 0.0) -> nn.Module:
    """A small network, all of whose weights are ``value``."""
    made = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 2))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.fill_(value)
    return made


def value(model: nn.Module) -> float:
    values = {v for parameter in model.parameters() for v in parameter.flatten().tolist()}
    assert len(values) == 1
    return values.pop()


def loaded(path: Path, content: object, which: Any = None) -> tuple[float, str]:
    """Return which weights were loaded from a file, and the sentences about them."""
    torch.save(content, path / "w.pt")
    model = net()
    notes = load_third_party_weights(path / "w.pt", model, which)
    return value(model), " ".join(notes)


def under(prefix: str, state: State) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}


RAW, EMA = net(1.0).state_dict(), net(2.0).state_dict()


def averaged_model() -> State:
    averaged = torch.optim.swa_utils.AveragedModel(net(2.0))
    return dict(averaged.state_dict())


BOTH: dict[str, State] = {
    "timm": {"state_dict": RAW, "state_dict_ema": EMA, "epoch": 3, "arch": "net", "metric": 0.5},
    "torchvision": {"model": RAW, "model_ema": under("module.", EMA), "args": {"lr": 0.1}},
    "AveragedModel": {"model": RAW, "averaged": averaged_model()},
    "model_state": {"model_state": RAW, "ema_state_dict": EMA},
    "params": {"params": RAW, "params_ema": EMA},
    "nested": {"net": RAW, "ema": {"module": EMA, "decay": 0.99}},
    "swa": {"state_dict": RAW, "swa_state_dict": EMA},
    "one dict": {"state_dict": {**under("model.", RAW), **under("ema_model.", EMA)}},
    "ema-pytorch": {**under("online_model.", RAW), **under("ema_model.", EMA),
                    "initted": torch.ones(1), "step": torch.ones(1)},
}  # fmt: skip


@pytest.mark.parametrize("layout", BOTH)
def test_averaged_weights_are_preferred_and_that_is_said(layout: str, tmp_path: Path) -> None:
    taken, said = loaded(tmp_path, BOTH[layout])
    assert taken == 2.0
    assert "w.pt holds raw and averaged weights: took the averaged (EMA) ones" in said
    assert "--weights raw takes the raw ones" in said


@pytest.mark.parametrize("layout", BOTH)
def test_raw_or_averaged_weights_can_be_chosen(layout: str, tmp_path: Path) -> None:
    taken, said = loaded(tmp_path, BOTH[layout], "raw")
    assert taken == 1.0
    assert "took the raw ones" in said
    assert loaded(tmp_path, BOTH[layout], "ema")[0] == 2.0


def test_averaged_weights_alone_are_taken_and_that_is_said(tmp_path: Path) -> None:
    for content in (averaged_model(), {"state_dict_ema": EMA, "epoch": 1}):
        taken, said = loaded(tmp_path, content)
        assert taken == 2.0
        assert "holds averaged (EMA) weights" in said
        with pytest.raises(UserError, match="holds only averaged"):
            loaded(tmp_path, content, "raw")
    with pytest.raises(UserError, match=r"holds only raw weights .* leave out --weights ema"):
        loaded(tmp_path, RAW, "ema")


def test_plain_weights_need_no_words(tmp_path: Path) -> None:
    for content in (RAW, under("module.", RAW), {"state_dict": under("model.", RAW)},
                    under("_orig_mod.module.", RAW)):  # fmt: skip
        assert loaded(tmp_path, content) == (1.0, "")


def test_a_file_of_lightning_with_its_metrics_and_arguments(tmp_path: Path) -> None:
    content = {
        "state_dict": {**under("net.", RAW), "criterion.weight": torch.ones(2)},
        "hyper_parameters": argparse.Namespace(lr=0.1),
        "best": np.float64(0.9),
        "optimizer_states": [{"state": {0: {"step": torch.ones(1)}}}],
    }
    taken, said = loaded(tmp_path, content)
    assert taken == 1.0
    assert "left out 'criterion.weight', which the network does not have" in said


def test_a_network_that_is_there_twice_is_no_choice(tmp_path: Path) -> None:
    content = {"first": RAW, "second": {name: value.clone() for name, value in RAW.items()}}
    assert loaded(tmp_path, content)[0] == 1.0


def test_several_networks_that_fit_are_not_guessed(tmp_path: Path) -> None:
    content = {**under("student.", RAW), **under("teacher.", EMA)}
    with pytest.raises(UserError, match=r"several weights that fit: names below '"):
        loaded(tmp_path, content)


class Norm(nn.Module):
    """A normalization as people write it, with a mean that is saved."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.3]))

    def forward(self, images: Tensor) -> Tensor:
        """Normalize."""
        return images - self.mean


def test_weights_of_a_normalized_network_fit_the_bare_one(tmp_path: Path) -> None:
    taken, said = loaded(tmp_path, nn.Sequential(Norm(), net(1.0)).state_dict())
    assert taken == 1.0
    assert "left out '0.mean'" in said


old, new = nn.utils.weight_norm, nn.utils.parametrizations.weight_norm
old_spectral, new_spectral = nn.utils.spectral_norm, nn.utils.parametrizations.spectral_norm


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("saved", "built"), [(old, new), (new, old), (old, old), (new, new),
                         (old_spectral, new_spectral), (new_spectral, old_spectral)]
)  # fmt: skip
def test_the_older_and_newer_names_of_weight_and_spectral_norm(
    saved: Callable[..., nn.Module], built: Callable[..., nn.Module], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    source, model = (nn.Sequential(make(nn.Conv2d(1, 4, 3))).eval() for make in (saved, built))
    torch.save({"state_dict": under("module.", source.state_dict())}, tmp_path / "w.pt")
    assert load_third_party_weights(tmp_path / "w.pt", model) == ()
    images = torch.rand(2, 1, 5, 5)
    assert torch.allclose(model(images), source(images), atol=1e-6)


def test_lazy_layers_get_the_shapes_of_the_file(tmp_path: Path) -> None:
    source = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 2))
    torch.save(source.state_dict(), tmp_path / "w.pt")
    lazy = nn.Sequential(
        nn.LazyConv2d(2, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(2)
    ).eval()
    load_third_party_weights(tmp_path / "w.pt", lazy)
    images = torch.rand(2, 1, 4, 4)
    assert torch.equal(lazy(images), source.eval()(images))


class Tied(nn.Module):
    """Two layers with one weight; ``safetensors.torch.save_model`` keeps its first name."""

    def __init__(self, names: str) -> None:
        super().__init__()
        layers = {name: nn.Linear(2, 2) for name in names}
        layers["b"].weight = layers["a"].weight
        self.layers = nn.ModuleDict(layers)


@pytest.mark.parametrize("names", ["ab", "ba"])
def test_a_weight_that_two_layers_share_is_given_under_one_of_its_names(
    names: str, tmp_path: Path
) -> None:
    saved, model = Tied(names), Tied(names)
    safetensors.torch.save_model(saved, str(tmp_path / "w.safetensors"))
    load_third_party_weights(tmp_path / "w.safetensors", model)
    pairs = zip(model.state_dict().values(), saved.state_dict().values(), strict=True)
    assert all(torch.equal(loaded, own) for loaded, own in pairs)
    apart = Tied(names)
    apart.layers["b"] = nn.Linear(2, 2)
    with pytest.raises(UserError, match=r"'layers.b.weight' is missing"):
        load_third_party_weights(tmp_path / "w.safetensors", apart)
    bare = {n: v for n, v in saved.state_dict().items() if not n.startswith("layers.b")}
    torch.save(bare, tmp_path / "bare.pt")
    with pytest.raises(UserError, match=r"'layers.b.bias' is missing"):
        load_third_party_weights(tmp_path / "bare.pt", model)


class WithNote(nn.Module):
    """A module with state that is not a tensor."""

    def __init__(self, note: int) -> None:
        super().__init__()
        self.head, self.note = nn.Linear(4, 2), note

    def get_extra_state(self) -> dict[str, int]:
        return {"note": self.note}

    def set_extra_state(self, state: dict[str, int]) -> None:
        self.note = state["note"]


def test_extra_state_is_passed_to_its_module(tmp_path: Path) -> None:
    torch.save(nn.Sequential(WithNote(7)).state_dict(), tmp_path / "w.pt")
    model = nn.Sequential(WithNote(1))
    load_third_party_weights(tmp_path / "w.pt", model)
    assert model[0].note == 7


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"<!DOCTYPE html>\n<html>", "is a web page and not a file of weights"),
        (b"\n<html lang='en'>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a pointer of Git LFS"),
        (b"", "is empty"),
        (b"not weights at all", "is not a complete file of torch.save"),
        (b"[a]\nb = 1\n", "is not a complete file of torch.save (it was cut off, or another"),
    ],
)
def test_what_is_not_weights_is_named(content: bytes, sentence: str, tmp_path: Path) -> None:
    for name in ("w.pt", "w.safetensors"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError) as refused:
            load_third_party_weights(tmp_path / name, net())
        assert sentence in str(refused.value) or name == "w.safetensors"
        assert "weights_only" not in str(refused.value)


@pytest.mark.filterwarnings("ignore")
def test_scripted_networks_and_quantized_weights_are_refused(tmp_path: Path) -> None:
    traced = torch.jit.trace(net().eval(), torch.zeros(1, 1, 4, 4))
    torch.jit.save(traced, str(tmp_path / "scripted.pt"))
    with pytest.raises(UserError, match="is a TorchScript archive and not a state dict"):
        load_third_party_weights(tmp_path / "scripted.pt", net())
    state = copy.deepcopy(dict(RAW))
    state["3.weight"] = torch.quantize_per_tensor(state["3.weight"], 0.1, 0, torch.qint8)
    torch.save(state, tmp_path / "quantized.pt")
    with pytest.raises(UserError, match=r"quantized.pt cannot be loaded"):
        load_third_party_weights(tmp_path / "quantized.pt", net())


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_tensors_of_several_lengths_are_refused_in_one_sentence(tmp_path: Path) -> None:
    model = net()
    lengths = [torch.ones(1), torch.ones(2)]
    model.register_buffer("lengths", torch.nested.nested_tensor(lengths))
    torch.save(model.state_dict(), tmp_path / "nested.pt")
    with pytest.raises(UserError, match=r"nested.pt cannot be loaded"):
        load_third_party_weights(tmp_path / "nested.pt", model)


@pytest.mark.parametrize("prefix", ["", "module.", "state_dict"])
def test_running_averages_that_training_makes_are_loaded(prefix: str, tmp_path: Path) -> None:
    def layer() -> nn.Module:
        return nn.Sequential(ConvNorm2d(2, 3, 3, eval_stats="running_v"))

    trained, images = layer(), torch.rand(2, 2, 6, 6)
    trained.train()(images)
    state = trained.state_dict()
    nested = {"state_dict": state} if prefix == "state_dict" else under(prefix, state)
    torch.save(nested, tmp_path / "w.pt")
    fresh = layer()
    load_third_party_weights(tmp_path / "w.pt", fresh)
    assert torch.equal(fresh.eval()(images), trained.eval()(images))
