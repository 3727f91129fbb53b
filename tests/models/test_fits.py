"""Which of the weights of a file that fit a network are taken, and what is said of the others."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from robench.errors import UserError
from robench.models.third_party_weights import load_third_party_weights

State = dict[str, Any]


def net(value: float = 0.0) -> nn.Module:
    """A network all of whose parameters are ``value``."""
    made = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    for parameter in made.parameters():
        nn.init.constant_(parameter, value)
    return made


def state(value: float) -> State:
    return dict(net(value).state_dict())


def of_torch_ema(model: nn.Module) -> State:
    """What ``ExponentialMovingAverage(model.parameters(), 0.99).state_dict()`` returns."""
    shadow: list[Tensor] = [p.detach().clone() for p in model.parameters()]
    return {"decay": 0.99, "num_updates": 7, "shadow_params": shadow, "collected_params": None}


def loaded(folder: Path, content: object, which: Any = None) -> tuple[float, str]:
    """Return which weights are taken from a file, and the sentences about them."""
    torch.save(content, folder / "w.pt")
    model = net()
    said = load_third_party_weights(folder / "w.pt", model, which)
    return next(model.parameters()).flatten()[0].item(), " ".join(said)


def test_a_second_state_dict_of_the_same_kind_is_named(tmp_path: Path) -> None:
    for other in ("best_model", "params", "discarded"):
        content = {other: state(2.0), "model": state(1.0), "epoch": 3}
        assert loaded(tmp_path, content) == (
            1.0,
            f"w.pt: took the weights of 'model'; those of '{other}' fit, too: save the ones you "
            f"mean with torch.save(state_dict, file).",
        )


def test_many_others_are_counted(tmp_path: Path) -> None:
    content = {"model": state(0.5), **{f"epoch{n}": state(n) for n in range(5)}}
    taken, said = loaded(tmp_path, content)
    assert taken == 0.5
    assert "those of 'epoch0', 'epoch1', 'epoch2' and 2 more fit, too" in said


def test_the_same_weights_twice_and_other_networks_need_no_words(tmp_path: Path) -> None:
    other = dict(nn.Linear(3, 2).state_dict())
    for beside in (state(1.0), other):
        assert loaded(tmp_path, {"model": state(1.0), "best_model": beside}) == (1.0, "")


def test_another_beside_raw_and_averaged_weights_is_named(tmp_path: Path) -> None:
    content = {"best": state(3.0), "model": state(1.0), "model_ema": state(2.0)}
    taken, said = loaded(tmp_path, content)
    assert taken == 2.0
    assert "--weights raw takes the raw ones, 'model'." in said
    assert "took the weights of 'model_ema'; those of 'best' fit, too" in said
    taken, said = loaded(tmp_path, content, "raw")
    assert taken == 1.0
    assert "took the weights of 'model'; those of 'best' fit, too" in said


def test_averages_of_torch_ema_beside_raw_weights_are_named(tmp_path: Path) -> None:
    for key in ("ema", "averages"):
        taken, said = loaded(tmp_path, {"model": state(1.0), key: of_torch_ema(net(2.0))})
        assert taken == 1.0
        assert said == (
            f"w.pt: took the raw weights, 'model'; it also holds averaged (EMA) weights as "
            f"torch-ema saves them, '{key}.shadow_params', which have no names: to take them, copy "
            f"them into the model with torch-ema's copy_to, and save it with "
            f"torch.save(model.state_dict(), file)."
        )


def test_they_are_not_taken_even_if_they_are_asked_for(tmp_path: Path) -> None:
    content = {"model": state(1.0), "ema": of_torch_ema(net(2.0))}
    with pytest.raises(UserError, match=r"averaged \(EMA\) weights as torch-ema saves them, 'ema"):
        loaded(tmp_path, content, "ema")
    alone = of_torch_ema(net(2.0))
    for content in (alone, {**alone, "criterion": {"weight": torch.ones(2)}}):
        with pytest.raises(UserError, match=r"w.pt holds averaged .* 'shadow_params', which have"):
            loaded(tmp_path, content)


def test_averages_of_frozen_layers_may_be_left_out_of_them(tmp_path: Path) -> None:
    torch.save({"model": state(1.0), "ema": {"shadow_params": [torch.ones(2)]}}, tmp_path / "w.pt")
    model = net()
    model.requires_grad_(False)[1].bias.requires_grad_()
    [said] = load_third_party_weights(tmp_path / "w.pt", model)
    assert "'ema.shadow_params'" in said


def test_averages_of_another_network_need_no_words(tmp_path: Path) -> None:
    content = {"model": state(1.0), "ema": of_torch_ema(nn.Linear(3, 2))}
    assert loaded(tmp_path, content) == (1.0, "")
