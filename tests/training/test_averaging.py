"""The moving average of the weights."""

from pathlib import Path

import pytest
import torch
from support import stripes
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from robench.backbones.lipschitz_convnet import lipschitz_convnet
from robench.base import Defense
from robench.board.cells import Cell
from robench.board.specs import DataSpec, ModelSpec, TrainingSpec
from robench.certificates import certify
from robench.data import Augmentation
from robench.errors import UserError
from robench.models.defend import apply_defense
from robench.training.accuracy import accuracy
from robench.training.averaging import Average
from robench.training.data import TrainingData
from robench.training.loop import fit
from robench.training.resume import Epoch, TrainingFiles

CPU = torch.device("cpu")


def network() -> nn.Module:
    torch.manual_seed(0)
    conv = parametrizations.spectral_norm(nn.Conv2d(1, 4, 3, padding=1))
    return nn.Sequential(
        conv, nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 64, 2)
    )  # fmt: skip


class Remember(Defense):
    """Keeps the weights after each step."""

    def __init__(self, stop_after: int | None = None) -> None:
        object.__setattr__(self, "steps", [])
        object.__setattr__(self, "stop_after", stop_after)

    def after_step(self, model: nn.Module) -> None:
        self.steps.append(copy(model))
        if len(self.steps) == self.stop_after:
            raise KeyboardInterrupt


def copy(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def train(
    averaging: float, defense: Defense | None = None, files: TrainingFiles | None = None
) -> tuple[nn.Module, list[Epoch]]:
    recipe = TrainingSpec.model_validate(
        {"method": "standard", "epochs": 3, "batch_size": 16, "lr": 0.05, "averaging": averaging}
    )
    model = network()
    data = TrainingData(stripes(70), stripes(20, seed=1), Augmentation(), seed=3)
    return model, fit(model, defense or Defense(), recipe, data, device=CPU, files=files)


def test_the_trained_network_is_the_moving_average_of_the_weights_and_running_statistics() -> None:
    defense = Remember()
    start = copy(network())
    model, _ = train(0.9, defense)
    expected = {k: v for k, v in start.items() if v.is_floating_point() and "_u" not in k}
    assert len(defense.steps) == 3 * 5
    running = ("1.running_mean", "1.running_var")  # they begin with the first step
    expected |= {name: defense.steps[0][name].clone() for name in running}
    for index, state in enumerate(defense.steps):
        for name in expected if index else expected.keys() - set(running):
            expected[name] = 0.9 * expected[name] + 0.1 * state[name]
    made = copy(model)
    for name in ("0.bias", "0.parametrizations.weight.original", "1.weight", "1.running_mean",
                 "1.running_var", "4.weight"):  # fmt: skip
        torch.testing.assert_close(made[name], expected[name])
    # Directions of a power iteration and counters are those of the last step.
    for name in ("0.parametrizations.weight.0._u", "1.num_batches_tracked"):
        assert torch.equal(made[name], defense.steps[-1][name])
    assert not model.training


def test_the_average_does_not_change_the_training_itself() -> None:
    plain, averaged = Remember(), Remember()
    train(0.0, plain)
    train(0.9, averaged)
    for one, other in zip(plain.steps, averaged.steps, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_log_has_the_accuracy_of_the_average() -> None:
    model, log = train(0.9)
    assert log[-1].val_accuracy == accuracy(model, stripes(20, seed=1), CPU)


@pytest.mark.parametrize("stop", [3, 7, 15])
def test_killed_at_any_point_and_resumed_gives_the_same_average_to_the_bit(
    tmp_path: Path, stop: int
) -> None:
    whole, _ = train(0.9)
    files = TrainingFiles(log=tmp_path / "training.csv", checkpoint=tmp_path / "checkpoint.pt")
    with pytest.raises(KeyboardInterrupt):
        train(0.9, Remember(stop), files)
    resumed, log = train(0.9, files=files)
    assert all(torch.equal(a, b) for a, b in zip(*map(tensors, (whole, resumed)), strict=True))
    assert len(log) == 3
    again, _ = train(0.9, files=files)  # nothing is left to train
    assert all(torch.equal(a, b) for a, b in zip(*map(tensors, (whole, again)), strict=True))


def tensors(model: nn.Module) -> list[Tensor]:
    return list(model.state_dict().values())


def test_a_state_without_an_average_is_refused_in_one_sentence(tmp_path: Path) -> None:
    files = TrainingFiles(log=tmp_path / "training.csv", checkpoint=tmp_path / "checkpoint.pt")
    train(0.0, files=files)
    with pytest.raises(UserError, match=r"checkpoint\.pt is damaged .*remove that file"):
        train(0.9, files=files)
    with pytest.raises(ValueError, match="that of another network"):
        Average(network(), 0.9).load({"other": torch.zeros(1)})


@pytest.mark.parametrize("stats", ["running_autocorr", "running_v"])
def test_the_average_of_convnorm_s_statistics_is_one_of_statistics_alone(stats: str) -> None:
    torch.manual_seed(0)
    convolution = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.ReLU())
    model = apply_defense(convolution, f"convnorm(bn=False, eval_stats='{stats}')")
    average, images = Average(model, 0.999), torch.rand(8, 3, 8, 8)
    for _ in range(5):  # the weights stand still
        model.train()(images)
        average.update()
    own = model.eval()(images)
    with average.in_place():
        torch.testing.assert_close(model(images), own)


@pytest.mark.parametrize("defense", ["cayley(bn=False)", "sll", "aol(bn=False)"])
def test_the_average_of_layers_of_norm_one_is_a_layer_of_norm_one(defense: str) -> None:
    torch.manual_seed(0)
    model = apply_defense(lipschitz_convnet(4, 1, 8, blocks=1, depth=2), defense)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    average, images = Average(model, 0.7), torch.rand(8, 1, 8, 8)
    for _ in range(5):
        optimizer.zero_grad()
        F.cross_entropy(model(images), torch.arange(8) % 4).backward()
        optimizer.step()
        average.update()
    own = model.eval().requires_grad_(False)(images)  # what layers compute from weights is kept
    with average.in_place():
        assert not torch.allclose(model(images), own)
        assert certify(model, (1, 8, 8)).lipschitz <= 1.001
    assert torch.equal(model(images), own)


def test_in_place_gives_the_weights_back() -> None:
    model = network()
    before, average = copy(model), Average(model, 0.5)
    with torch.no_grad():
        model[4].weight.add_(1)
    average.update()
    with average.in_place():
        torch.testing.assert_close(model[4].weight, before["4.weight"] + 0.5)
    torch.testing.assert_close(model[4].weight, before["4.weight"] + 1)


def test_only_a_recipe_that_averages_says_so_and_other_cells_keep_their_names() -> None:
    def cell(**recipe: object) -> Cell:
        training = TrainingSpec.model_validate(recipe)
        return Cell(defense="vanilla", data=DataSpec(), data_hash="0" * 64, model=ModelSpec(),
                    training=training, seed=0)  # fmt: skip

    assert "averaging" not in cell(averaging=0).training.model_dump(mode="json")
    assert cell().key == cell(averaging=0).key != cell(averaging=0.99).key


def test_parameters_that_are_not_trained_are_the_network_s_own() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    model[0].bias.requires_grad_(False)
    average = Average(model, 0.5)
    with torch.no_grad():
        model[0].weight.add_(1)
        model[0].bias.copy_(torch.tensor([3.0, 4.0]))  # as a power iteration moves its vectors
    average.update()
    with average.in_place():
        assert model[0].bias.tolist() == [3, 4]
    assert set(average.values) == {"0.weight"}
