"""Properties of every registered defense."""

import copy
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from support import Command, changed_board
from torch import Tensor, nn

from robench.base import DIFFERENTIABLE, ConvDefense
from robench.entries import missing_package
from robench.errors import UserError
from robench.models.build import build_model
from robench.models.defend import apply_defense
from robench.models.frozen import frozen_stats
from robench.registry import defenses

ALL = [
    name
    for name in defenses
    if defenses.get(name).file.endswith(f"defenses/{name}.py")
    and not missing_package(defenses.get(name))
]
IMAGES = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def build(defense: str) -> nn.Module:
    torch.manual_seed(0)
    return build_model(
        "resnet18", num_classes=10, in_channels=1, image_size=(8, 8), mean=(0.5,), std=(0.5,),
        width=4, defense=defense,
    )  # fmt: skip


def step(model: nn.Module, images: Tensor = IMAGES) -> None:
    model(images).float().logsumexp(1).sum().backward()


def changed_by(model: nn.Module, before: dict[str, Tensor]) -> list[str]:
    """Return the names of what is no longer as it was."""
    return [name for name, now in model.state_dict().items() if not torch.equal(before[name], now)]


def test_all_train_two_epochs_of_digits_for_free_and_are_listed_on_the_quick_board(
    robench: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {name: defenses.get(name) for name in ALL}
    monkeypatch.setattr(defenses, "_entries", own)  # not those that other tests registered
    done = robench(
        "run", "quick", "--defenses", "all", "--out", tmp_path,
        "--set", "data.name=digits", "--set", "data.subset=0.1", "--set", "model.width=4",
        "--set", "model.stem=cifar", "--set", "training.epochs=2", "--set", "training.replays=2",
        "--set", "training.eps=0.1", "--set", "evaluation.samples=20",
        "--set", "evaluation.attacks=['pgd-4']",
        "--set", "evaluation.checks=false",
    )  # fmt: skip
    assert done.code == 0, done.err
    table = pd.read_csv(changed_board(tmp_path, "quick") / "leaderboard.csv").set_index("defense")
    assert sorted(table.index) == sorted(ALL)
    # Two epochs of a few images may collapse, on one machine or another.
    assert set(table["flags"].dropna()) <= {"collapsed"}
    figures = table.drop(columns=["recipe", "flags"]).filter(regex="_mean|cost|memory")
    assert figures.notna().all(axis=None)
    assert table.loc["oni_paper", "recipe"] == "lr=0.01"
    for path in tmp_path.glob("cells/*/weights.safetensors"):
        assert all(tensor.isfinite().all() for tensor in load_file(path).values())


@pytest.mark.parametrize("name", ALL)
def test_the_state_dict_makes_the_same_network(name: str, tmp_path: Path) -> None:
    model, fresh = build(name), build(name)
    step(model.train())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.01)
    torch.save(model.state_dict(), tmp_path / "state.pt")
    fresh.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert torch.equal(fresh.eval()(IMAGES), model.eval()(IMAGES))
    assert torch.equal(copy.deepcopy(model)(IMAGES), model(IMAGES))


@pytest.mark.parametrize("name", ALL)
def test_training_forwards_change_state_exactly_where_it_says_so(name: str) -> None:
    entry = defenses.get(name).build
    own = issubclass(entry, ConvDefense)  # then the norm layers that it may keep are not its own
    model = build(f"{name}(bn=false)" if own else name).train()
    before = copy.deepcopy(model.state_dict())
    step(model)  # takes no step: parameters that are trained stay
    assert (changed_by(model, before) != []) == entry.stateful_in_training


@pytest.mark.parametrize("name", ALL)
def test_an_evaluation_changes_nothing_and_is_the_same_again(name: str) -> None:
    model = build(name)
    step(model.train())
    model.eval()
    before = copy.deepcopy(model.state_dict())
    assert torch.equal(model(IMAGES), model(IMAGES))
    assert changed_by(model, before) == []


@pytest.mark.parametrize("name", ALL)
def test_frozen_stats_undoes_training_forwards(name: str) -> None:
    model = build(name).train()
    step(model)
    before = copy.deepcopy(model.state_dict())
    with frozen_stats(model):
        step(model)
    assert changed_by(model, before) == []


@pytest.mark.parametrize("name", ALL)
def test_bf16_and_channels_last_run_forward_and_backward(name: str) -> None:
    if not defenses.get(name).build.supports.mixed_precision:
        pytest.skip("declares that it does not support mixed precision")
    model = build(name).train().to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        step(model, IMAGES.contiguous(memory_format=torch.channels_last))
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("name", ALL)
def test_it_is_rightly_said_that_white_box_attacks_are_adaptive(name: str) -> None:
    assert type(defenses.build(name)).adaptive_note == DIFFERENTIABLE
    model = build(name)
    for _ in range(2):  # statistics of a network that was trained
        model(IMAGES)
    model.eval()
    dtype, step_size, tolerance = torch.float64, 1e-6, 1e-3
    try:
        model.double()(IMAGES.double())
    except RuntimeError:  # orthogonium computes in float32 only, in which slopes are coarse
        model.float()
        dtype, step_size, tolerance = torch.float32, 1e-4, 0.1
    weights = torch.randn(10, dtype=dtype, generator=torch.Generator().manual_seed(1))
    images = (0.1 + 0.8 * IMAGES.to(dtype)).requires_grad_()
    logits = model(images)
    assert torch.allclose(model(images), logits, rtol=0, atol=1e-6)
    [gradient] = torch.autograd.grad((logits @ weights).sum(), images)
    generator = torch.Generator().manual_seed(2)
    for _ in range(3):
        direction = torch.randn(images.shape, dtype=dtype, generator=generator)
        moved = [images + h * direction for h in (step_size, -step_size)]
        with torch.no_grad():
            up, down = ((model(x) @ weights).sum().item() for x in moved)
        slope = (gradient * direction).sum().item()
        assert (up - down) / (2 * step_size) == pytest.approx(slope, tolerance, 1e-6)


def one_channel(name: str) -> nn.Module:
    """Return a convolution of one channel with a defense, or skip one that refuses it."""
    try:
        return apply_defense(nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.BatchNorm2d(1)), name)
    except UserError:
        pytest.skip("refuses it in a sentence")


@pytest.mark.parametrize("name", [*ALL, "sll(smoothness='norm')"])
def test_one_channel_is_enough(name: str) -> None:
    model = one_channel(name)
    model(IMAGES).square().sum().backward()
    gradients = [p.grad for p in model.parameters() if p.requires_grad]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("zeros", ["one filter", "kernel"])
@pytest.mark.parametrize("name", ALL)
def test_zeros_in_a_kernel_are_refused_or_leave_everything_finite(name: str, zeros: str) -> None:
    conv = nn.Conv2d(1, 4, 3, padding=1)
    with torch.no_grad():
        conv.weight[: 1 if zeros == "one filter" else 4] = 0
    plain = nn.Sequential(conv, nn.BatchNorm2d(4))
    refused = {"weight_norm": "of its 4 filters are zero", "spectral_norm": "its kernel is zero"}
    if name in refused and (name, zeros) != ("spectral_norm", "one filter"):
        with pytest.raises(UserError, match=refused[name]):
            apply_defense(plain, name)
        return
    model = apply_defense(plain, name)
    output = model(IMAGES)
    output.square().sum().backward()
    assert output.isfinite().all()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
