"""The training loop: learning, logging, determinism, exact resume."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from support import stripes
from torch import Tensor, nn

from robench.base import Defense
from robench.board.specs import TrainingSpec
from robench.data import Augmentation, Images
from robench.errors import UserError
from robench.progress import Progress, ProgressCallback, ignore_progress
from robench.training.accuracy import accuracy
from robench.training.data import TrainingData
from robench.training.loop import TrainingDivergedError, fit
from robench.training.resume import TrainingFiles, sessions_in

CPU = torch.device("cpu")


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Flatten(),
        nn.Linear(4 * 64, 2),
    )


def spec(**changes: object) -> TrainingSpec:
    values: dict[str, object] = {
        "epochs": 3,
        "batch_size": 16,
        "lr": 0.05,
        "replays": 2,
        "eps": 0.1,
        "step_size": 0.1,
        "milestones": (2,),
    }
    return TrainingSpec.model_validate(values | changes)


def run(
    recipe: TrainingSpec,
    *,
    defense: Defense | None = None,
    files: TrainingFiles | None = None,
    progress: ProgressCallback = ignore_progress,
    train: Images | None = None,
    seed: int = 3,
) -> tuple[nn.Module, list[object]]:
    model = network()
    rows = fit(
        model,
        defense or Defense(),
        recipe,
        TrainingData(train or stripes(70), stripes(20, seed=1), Augmentation(crop_padding=1), seed),
        device=CPU,
        files=files,
        progress=progress,
    )
    return model, list(rows)


def state(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("method", ["free", "standard"])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_it_learns_what_can_be_learned(method: str, precision: str) -> None:
    model, rows = run(spec(method=method, precision=precision, epochs=4))
    assert accuracy(model, stripes(50, seed=2), CPU) > 0.95
    assert len(rows) == 4
    assert not model.training


@pytest.mark.parametrize("recipe", [{}, {"carry_delta": True}, {"precision": "bf16"}])
def test_the_same_seed_gives_the_same_weights_to_the_bit(recipe: dict[str, object]) -> None:
    first, _ = run(spec(**recipe))
    second, _ = run(spec(**recipe))
    other, _ = run(spec(**recipe), seed=4)
    assert equal(state(first), state(second))
    assert not equal(state(first), state(other))


class Killed(Exception):  # noqa: N818 - it stands for a kill
    pass


@pytest.mark.parametrize("schedule", ["step", "one-cycle"])
@pytest.mark.parametrize("carry_delta", [False, True])
@pytest.mark.parametrize("stop", [(0, 2), (1, 1), (2, 5)])
def test_killed_at_any_point_and_resumed_gives_the_same_weights_to_the_bit(
    tmp_path: Path, schedule: str, carry_delta: bool, stop: tuple[int, int]
) -> None:
    recipe = spec(schedule=schedule, carry_delta=carry_delta)
    whole, _ = run(recipe)
    files = TrainingFiles(log=tmp_path / "training.csv", checkpoint=tmp_path / "checkpoint.pt")
    batches = 0

    class KillingDefense(Defense):
        def after_step(self, model: nn.Module) -> None:
            nonlocal batches
            batches += 1
            if batches == 10 * stop[0] + stop[1]:
                raise Killed

    with pytest.raises(Killed):
        run(recipe, defense=KillingDefense(), files=files)
    resumed, rows = run(recipe, files=files)
    assert equal(state(whole), state(resumed))
    assert len(rows) == 3
    assert list(pd.read_csv(files.log)["epoch"]) == [1, 2, 3]


@pytest.fixture
def kept_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the state after every minibatch."""
    monkeypatch.setattr("robench.training.partway.PROBE", 1)
    monkeypatch.setattr("robench.training.partway.SECONDS", 0.0)


@pytest.mark.usefixtures("kept_often")
@pytest.mark.parametrize("recipe", [{"carry_delta": True}, {"averaging": 0.9, "precision": "bf16"}])
def test_killed_within_an_epoch_it_goes_on_at_the_minibatch_and_ends_with_the_same_to_the_bit(
    tmp_path: Path, recipe: dict[str, object]
) -> None:
    files = TrainingFiles(log=tmp_path / "training.csv", checkpoint=tmp_path / "checkpoint.pt")
    whole, log = run(spec(**recipe))
    steps = 0

    class Mortal(Defense):
        def __init__(self, last: int | None) -> None:
            self.last = last

        def after_step(self, model: nn.Module) -> None:
            nonlocal steps
            steps += 1
            if steps == self.last:
                raise Killed

    for last in (7, 16, 23):  # 5 minibatches of 2 steps are an epoch
        with pytest.raises(Killed):
            run(spec(**recipe), defense=Mortal(last), files=files)
        steps -= 1 + (steps - 1) % 2  # the minibatch that was left is done again
    resumed, rows = run(spec(**recipe), defense=Mortal(None), files=files)
    assert steps == 3 * 10
    assert equal(state(whole), state(resumed))
    for row, other in zip(rows, log, strict=True):
        assert replace(row, seconds=0.0, images_per_second=0.0) == replace(  # type: ignore[type-var]
            other, seconds=0.0, images_per_second=0.0
        )
        assert row.seconds > 0  # type: ignore[attr-defined]


def test_where_an_epoch_was_left_is_checked_as_all_of_the_state_is(tmp_path: Path) -> None:
    files = TrainingFiles(log=tmp_path / "training.csv", checkpoint=tmp_path / "checkpoint.pt")
    run(spec(epochs=1), files=files)
    kept = torch.load(files.checkpoint, weights_only=True)
    torch.save({**kept, "rows": [], "partway": {"batches": 2}}, files.checkpoint)
    with pytest.raises(UserError, match="is damaged"):
        run(spec(epochs=1), files=files)


def test_the_log_has_a_row_per_epoch_with_the_schedule_s_rate(tmp_path: Path) -> None:
    files = TrainingFiles(log=tmp_path / "training.csv", checkpoint=tmp_path / "checkpoint.pt")
    run(spec(), files=files)
    log = pd.read_csv(files.log)
    assert list(log["epoch"]) == [1, 2, 3]
    assert list(log["lr"].round(6)) == [0.05, 0.05, 0.005]
    assert log[["train_accuracy", "val_accuracy"]].isin([math.nan]).sum().sum() == 0
    assert (log["images_per_second"] > 0).all()


def test_progress_reaches_the_last_batch_of_each_epoch() -> None:
    reported: list[Progress] = []
    run(spec(), progress=reported.append)
    ends = [(p.done, p.note.split(",")[0]) for p in reported if p.done % 5 == 0]
    assert ends == [(5, "epoch 1/3"), (10, "epoch 2/3"), (15, "epoch 3/3")]
    assert {(p.task, p.total, p.unit) for p in reported} == {("training", 15, "batches")}


def test_the_defense_is_called_with_all_replays_and_its_hooks_are_called() -> None:
    calls: dict[str, int] = {"total": 0, "steps": 0}

    @dataclass(frozen=True)
    class Counting(Defense):
        def before_training(self, model: nn.Module, total_forwards: int) -> None:
            calls["total"] = total_forwards

        def after_step(self, model: nn.Module) -> None:
            calls["steps"] += 1

    run(spec(), defense=Counting())
    assert calls == {"total": 3 * 5 * 2, "steps": 3 * 5 * 2}


def test_a_penalty_is_part_of_the_loss() -> None:
    @dataclass(frozen=True)
    class Shrink(Defense):
        def penalty(self, model: nn.Module) -> Tensor:
            return 10 * sum((p.square().sum() for p in model.parameters()), torch.zeros(()))

    plain, _ = run(spec(lr=0.01))
    shrunk, _ = run(spec(lr=0.01), defense=Shrink())
    norm = lambda model: sum(p.square().sum().item() for p in model.parameters())  # noqa: E731
    assert norm(shrunk) < 0.5 * norm(plain)


def test_divergence_is_reported_not_hidden() -> None:
    with pytest.raises(TrainingDivergedError, match="not finite after epoch"):
        run(spec(lr=1e30))


def test_the_state_names_the_sessions_that_it_comes_from(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    assert sessions_in(path) == ()
    files = TrainingFiles(tmp_path / "training.csv", path, sessions=({"device": "cpu"}, {}))
    run(spec(epochs=1), files=files)
    assert sessions_in(path) == files.sessions
    state = torch.load(path, weights_only=True)
    del state["sessions"]
    torch.save(state, path)  # as earlier versions wrote it
    assert sessions_in(path) == ({},)
    assert len(run(spec(epochs=2), files=files)[1]) == 2


def test_a_damaged_checkpoint_is_reported_in_one_sentence(tmp_path: Path) -> None:
    files = TrainingFiles(log=tmp_path / "training.csv", checkpoint=tmp_path / "checkpoint.pt")
    run(spec(epochs=1), files=files)
    files.checkpoint.write_bytes(files.checkpoint.read_bytes()[:500])
    with pytest.raises(UserError, match=r"checkpoint\.pt is damaged .* remove that file"):
        run(spec(), files=files)


def test_a_malicious_checkpoint_is_not_executed(tmp_path: Path) -> None:
    files = TrainingFiles(log=tmp_path / "training.csv", checkpoint=tmp_path / "checkpoint.pt")

    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "executed",))

    torch.save({"model": Evil()}, files.checkpoint)
    with pytest.raises(UserError, match="is damaged"):
        run(spec(), files=files)
    assert not (tmp_path / "executed").exists()


def test_no_validation_images_give_no_validation_accuracy() -> None:
    empty = Images(torch.zeros(0, 1, 8, 8, dtype=torch.uint8), torch.zeros(0, dtype=torch.int64))
    assert math.isnan(accuracy(network(), empty, CPU))


def test_a_log_that_missed_the_last_epoch_is_written_on_resuming(tmp_path: Path) -> None:
    files = TrainingFiles(log=tmp_path / "training.csv", checkpoint=tmp_path / "checkpoint.pt")
    run(spec(), files=files)
    lines = files.log.read_text().splitlines()
    files.log.write_text("\n".join(lines[:-1]) + "\n")
    run(spec(), files=files)
    assert files.log.read_text().splitlines() == lines


def test_a_set_smaller_than_a_batch_carries_its_perturbation_from_epoch_to_epoch() -> None:
    small = stripes(12)
    carried, cold = (
        state(run(spec(batch_size=16, carry_delta=carry), train=small)[0])
        for carry in (True, False)
    )
    assert not equal(carried, cold)


def test_weights_that_the_last_step_breaks_are_a_divergence() -> None:
    steps = iter(range(3 * 5 * 2))

    @dataclass(frozen=True)
    class BreaksLast(Defense):
        def after_step(self, model: nn.Module) -> None:
            if next(steps) == 3 * 5 * 2 - 1:
                with torch.no_grad():
                    next(model.parameters())[0] = torch.nan

    with pytest.raises(TrainingDivergedError, match="not finite after epoch 3"):
        run(spec(), defense=BreaksLast())


def test_logits_that_are_not_finite_are_no_prediction() -> None:
    class Nan(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.new_full((len(images), 2), torch.nan)

    assert accuracy(Nan(), stripes(20), CPU) == 0
