"""Training that loses its robustness is noticed: a log of the accuracy under PGD, and a flag."""

import math
import warnings
from dataclasses import asdict
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from support import stripes
from torch import Tensor, nn

from robench import ThreatModel, evaluate
from robench.attacks import PGD
from robench.base import Defense
from robench.board.specs import TrainingSpec
from robench.data import Augmentation, Images
from robench.errors import RobenchWarning, UserError
from robench.registry import training_methods
from robench.system.processes import Shard
from robench.training.collapse import collapse_of, warn_of_collapse
from robench.training.data import TrainingData
from robench.training.loop import fit
from robench.training.resume import Epoch
from robench.training.robust_accuracy import STEPS, robust_accuracy

BALL = ThreatModel("linf", 0.1)
FABRIC = Fabric(accelerator="cpu", devices=1)


def log(*epochs: tuple[float, float]) -> list[dict[str, float | None]]:
    """Return a log of (accuracy under PGD, accuracy on the inputs trained on)."""
    return [
        {"epoch": number, "train_accuracy": fits, "val_robust": None if math.isnan(left) else left}
        for number, (left, fits) in enumerate(epochs, 1)
    ]


def test_a_collapse_is_a_fall_to_a_third_or_less_while_training_fits_better() -> None:
    said = collapse_of(log((0.3, 0.3), (0.42, 0.4), (0.02, 0.8)))
    assert said == (
        "Under PGD-10, accuracy on a few validation images fell from 42.0% after epoch 2 to 2.0% "
        "after epoch 3, while that on the inputs trained on went from 40.0% to 80.0%: training has "
        "collapsed."
    )


@pytest.mark.parametrize(
    "epochs",
    [
        [(0.42, 0.4)],
        [(0.42, 0.4), (0.16, 0.8)],  # more than a third is left
        [(0.18, 0.4), (0.0, 0.8)],  # there was not much to lose
        [(0.42, 0.4), (0.02, 0.3)],  # it is worse on what it trains on, too
        [(0.42, 0.4), (0.02, 0.8), (0.4, 0.5)],  # it has recovered
        [(0.42, 0.4), (math.nan, 0.8)],
        [],
    ],
    ids=["one epoch", "less", "nothing to lose", "no fit", "recovered", "unknown", "no log"],
)
def test_anything_else_is_none(epochs: list[tuple[float, float]]) -> None:
    assert collapse_of(log(*epochs)) is None


def test_a_log_of_an_earlier_version_says_nothing() -> None:
    earlier: list[dict[str, float | None]] = [
        {key: value for key, value in row.items() if key != "val_robust"}
        for row in log((0.4, 0.4), (0.0, 0.8))
    ]
    assert collapse_of(earlier) is None
    assert collapse_of([{}, {"val_robust": None}]) is None


def test_it_is_said_once() -> None:
    epochs = log((0.4, 0.4), (0.02, 0.8), (0.0, 0.9))
    with pytest.warns(RobenchWarning, match="training has collapsed"):
        warn_of_collapse(epochs[:2])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_collapse(epochs)
        warn_of_collapse(epochs[:1])


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)
    )


def measured(
    images: Images, ball: ThreatModel | None = BALL, shard: Shard | None = None, batch: int = 16
) -> float:
    return robust_accuracy(FABRIC, shard or Shard(), network().train(), images, ball, batch)


def test_it_is_the_accuracy_under_pgd_of_an_evaluation_and_changes_nothing() -> None:
    images, model = stripes(40, seed=1), network().train()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    found = robust_accuracy(FABRIC, Shard(), model, images, BALL, batch_size=16)
    attack = PGD(eps=0.1, steps=STEPS)
    expected = evaluate(model, images.images, images.labels, {"pgd": attack}, without=("bf16",))
    assert 0 < found < 1
    assert found == pytest.approx(expected.accuracy("pgd"), abs=1 / 40)
    assert model.training
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)


def test_neither_batches_nor_processes_change_it() -> None:
    images = stripes(40, seed=1)
    whole = measured(images)
    assert measured(images, batch=7) == whole
    parts = [measured(images, shard=Shard(rank, 3)) for rank in range(3)]
    assert sum(parts) == pytest.approx(whole)


def test_processes_without_an_image_of_their_own_wait_for_nobody() -> None:
    images = stripes(40, seed=1).take(torch.arange(2))
    parts = [measured(images, shard=Shard(rank, 4)) for rank in range(4)]
    assert sum(parts) == pytest.approx(measured(images))


def test_a_process_that_fails_waits_with_the_others_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counts: list[list[int]] = []

    def total(fabric: Fabric, value: Tensor) -> Tensor:
        counts.append(value.tolist())
        return value

    def refuse(*attacked: object, **options: object) -> None:
        raise UserError("no gradient")

    monkeypatch.setattr("robench.training.robust_accuracy.total", total)
    monkeypatch.setattr(PGD, "perturb", refuse)
    assert math.isnan(measured(stripes(40)))
    assert counts == [[0, 1]]


def test_without_images_or_a_ball_or_gradients_there_is_none() -> None:
    assert math.isnan(measured(stripes(40).take(torch.arange(0))))
    assert math.isnan(measured(stripes(40), ball=None))
    assert math.isnan(measured(stripes(40), ball=ThreatModel("l1", 1.0)))

    class NoGradient(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.detach().flatten(1)[:, :2]

    assert math.isnan(
        robust_accuracy(FABRIC, Shard(), NoGradient(), stripes(40), BALL, batch_size=16)
    )


def trained(method: str, **recipe: Any) -> list[Epoch]:
    values = {"epochs": 2, "batch_size": 16, "lr": 0.05, "eps": 0.1, "milestones": ()}
    spec = TrainingSpec.model_validate(values | {"method": method} | recipe)
    data = TrainingData(stripes(70), stripes(20, seed=1), Augmentation(), 3)
    return fit(network(), Defense(), spec, data, device=torch.device("cpu"))


@pytest.mark.parametrize("method", ["free", "pgd(eps=0.1)", "n_fgsm(eps=0.1)"])
def test_methods_with_a_ball_log_it_after_each_epoch(method: str) -> None:
    rows = trained(method)
    assert all(0 <= row.val_robust <= 1 for row in rows)
    assert all(row.val_robust <= row.val_accuracy for row in rows)


def test_standard_training_has_none() -> None:
    assert all(math.isnan(row.val_robust) for row in trained("standard"))
    assert training_methods.build("standard").threat_model is None
    assert all(math.isnan(row.val_robust) for row in trained("free(eps=0)"))


def test_a_collapse_is_warned_of_in_the_epoch_in_which_it_happens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left = iter([0.5, 0.4, 0.05, 0.05])
    monkeypatch.setattr("robench.training.loop.robust_accuracy", lambda *_: next(left))
    with pytest.warns(RobenchWarning, match="after epoch 1 to 5.0% after epoch 3") as warned:
        rows = trained("free", epochs=4)
    assert len([w for w in warned if "collapsed" in str(w.message)]) == 1
    assert collapse_of([asdict(row) for row in rows])
