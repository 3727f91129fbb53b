"""Checkpoints: weights and the description of their network."""

from dataclasses import fields, replace
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from robench.base import Defense
from robench.entries import missing_package
from robench.errors import UserError
from robench.models.checkpoint import (
    Network,
    load_checkpoint,
    load_weights,
    read_network,
    save_weights,
)
from robench.models.defend import apply_defense
from robench.registry import defenses

SHIPPED = [
    name
    for name in defenses
    if defenses.get(name).file.endswith(f"defenses/{name}.py")
    and not missing_package(defenses.get(name))
]


def choices(name: str) -> list[str]:
    """Return the expressions of a defense: as it is, and with each value of its Literal options."""
    entry = defenses.get(name).build
    hints = get_type_hints(entry)
    assert issubclass(entry, Defense)
    options = {f.name: get_args(hints[f.name]) for f in fields(entry) if f.init}
    words = {key: [v for v in values if isinstance(v, str)] for key, values in options.items()}
    return [name, *(f"{name}({key}='{v}')" for key, values in words.items() for v in values)]


NETWORK = Network("resnet18", 4, "cifar", "convnorm(bn=False)", 3, 1, (8, 8), (0.5,), (0.25,))


def test_a_checkpoint_rebuilds_the_network_that_was_saved(tmp_path: Path) -> None:
    model = NETWORK.build()
    images = torch.rand(4, 1, 8, 8)
    model.train()(images)  # moves the running statistics
    save_weights(tmp_path / "weights.safetensors", model, NETWORK, dataset="digits", seed=3)
    rebuilt, network, facts = load_checkpoint(tmp_path)
    assert network == NETWORK
    assert facts == {"dataset": "digits", "seed": 3}
    assert not rebuilt.training
    torch.testing.assert_close(rebuilt(images), model.eval()(images), rtol=0, atol=0)


@pytest.mark.parametrize("defense", [each for name in SHIPPED for each in choices(name)])
def test_a_network_of_any_defense_is_loaded_after_a_step_of_training(
    defense: str, tmp_path: Path
) -> None:
    plain = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1))
    model, images = apply_defense(plain, defense), torch.rand(2, 1, 6, 6)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    model.train()(images).square().sum().backward()
    optimizer.step()
    save_weights(tmp_path / "w", model, NETWORK)
    rebuilt = load_weights(tmp_path / "w", apply_defense(plain, defense)).eval()
    torch.testing.assert_close(rebuilt(images), model.eval()(images))


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("running_v_8x9", (8, 8, 4)),  # of another grid
        ("running_v_8x9", (1, 8, 5)),  # of other channels
        ("running_v_8x9x9", (4, 8, 5)),
        ("running_v_", (4, 8, 5)),
        ("running_w_8x9", (4, 8, 5)),
    ],
)
def test_what_a_layer_would_not_make_in_training_is_not_part_of_it(
    name: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    network = replace(NETWORK, defense="convnorm(eval_stats='running_v')")
    model = network.build()
    layer = next(n for n, m in model.named_modules() if hasattr(m, "accepts_state"))

    def saved(name: str, values: Tensor) -> None:
        state = {**model.state_dict(), f"{layer}.{name}": values}
        safetensors.torch.save_file(state, tmp_path / "w")

    saved("running_v_8x9", torch.ones(4, 8, 5))
    assert load_weights(tmp_path / "w", network.build()) is not None
    saved(name, torch.ones(shape))
    with pytest.raises(UserError, match=f"'{layer}.{name}' is not part of it"):
        load_weights(tmp_path / "w", network.build())


def test_the_same_weights_give_the_same_bytes(tmp_path: Path) -> None:
    model = NETWORK.build()
    for name in ("a", "b"):
        save_weights(tmp_path / name, model, NETWORK)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_tied_weights_are_saved(tmp_path: Path) -> None:
    layer = torch.nn.Linear(2, 2)
    save_weights(tmp_path / "w", torch.nn.Sequential(layer, layer), NETWORK)
    assert load_weights(tmp_path / "w", torch.nn.Sequential(layer, layer)) is not None


def test_third_party_weights_do_not_say_which_network(tmp_path: Path) -> None:
    safetensors.torch.save_file({"w": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(UserError, match="does not say which network"):
        read_network(tmp_path / "w.safetensors")


def test_a_damaged_description_is_reported_in_a_sentence(tmp_path: Path) -> None:
    for text in ("{", '{"backbone": 1}', "[]"):
        content = safetensors.torch.save({"w": torch.zeros(1)}, {"robench": text})
        (tmp_path / "w.safetensors").write_bytes(content)
        with pytest.raises(UserError, match="is damaged"):
            read_network(tmp_path / "w.safetensors")


def test_a_tensor_too_many_is_another_architecture(tmp_path: Path) -> None:
    save_weights(tmp_path / "w", torch.nn.Linear(2, 2), NETWORK)
    with pytest.raises(UserError, match="'bias' is not part of it"):
        load_weights(tmp_path / "w", torch.nn.Linear(2, 2, bias=False))
