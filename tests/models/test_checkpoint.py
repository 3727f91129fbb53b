"""Checkpoints: weights and the description of their network."""

from pathlib import Path

import pytest
import safetensors.torch
import torch

from robench.errors import UserError
from robench.models.checkpoint import (
    Network,
    load_checkpoint,
    load_weights,
    read_network,
    save_weights,
)

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
