"""Training methods: entries that a recipe names, including a user's own."""

import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from support import TINY_BOARD, Command, stripes
from torch import Tensor, nn
from torch.nn import functional as F

from robench.base import Defense, LogitsModel, TrainingMethod, Update
from robench.board.loading import read_board
from robench.board.recipes import check_changes, recipe_for
from robench.board.specs import PUBLISHED, TrainingSpec
from robench.data import Augmentation
from robench.errors import UserError
from robench.registry import training_methods
from robench.training.data import TrainingData
from robench.training.loop import fit
from robench.training.methods.free import FreeAdversarialTraining
from robench.training.resume import Epoch, TrainingFiles

PLUGIN = '''
from dataclasses import dataclass

import torch
from robench import TrainingMethod, register_training_method
from torch.nn.functional import cross_entropy


@register_training_method("fgsm_at", reference="arXiv:1412.6572")
@dataclass(frozen=True)
class FgsmTraining(TrainingMethod):
    """One FGSM step on each minibatch, then one update on what it made."""

    eps: float = 8 / 255

    @property
    def forwards_per_minibatch(self):
        return 2

    def train_minibatch(self, images, labels, update, *, logits, carried):
        seen = images.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(cross_entropy(logits(seen), labels), seen)
        update((images + self.eps * gradient.sign()).clamp(0, 1), labels)
'''


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo the registrations of a test."""
    training_methods.discover()
    monkeypatch.setattr(training_methods, "_entries", dict(training_methods._entries))


def train(
    method: str, files: TrainingFiles | None = None, epochs: int = 2, **changes: object
) -> tuple[dict[str, Tensor], list[Epoch]]:
    values = {"epochs": epochs, "batch_size": 16, "lr": 0.05, "eps": 0.1, "weight_decay": 0}
    recipe = TrainingSpec.model_validate(
        {**values, "milestones": (1,), "method": method, **changes}
    )
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * 64, 2),
    )
    data = TrainingData(stripes(70), stripes(20, seed=1), Augmentation(), seed=3)
    log = fit(model, Defense(), recipe, data, device=torch.device("cpu"), files=files)
    return model.state_dict(), log


def test_a_plugin_s_method_trains_through_the_command_line(
    robench: Command, tiny_board: Path, tmp_path: Path, registered: None
) -> None:
    plugin = tmp_path / "fgsm_plugin.py"
    plugin.write_text(PLUGIN)
    options = ("--board", tiny_board, "--plugin", plugin, "--out", tmp_path / "out")
    done = robench("train", "batchnorm", *options, "--set", "training.method=fgsm_at")
    assert done.code == 0, done.err
    weights = Path(done.out.split("Weights: ")[1].strip())
    assert weights.is_file()
    losses = pd.read_csv(weights.parent / "training.csv")["train_loss"]
    assert losses.iloc[-1] < losses.iloc[0]

    clean = robench("train", "batchnorm", *options, "--set", "training.method=standard")
    assert clean.out != done.out
    smaller = robench("train", "batchnorm", *options, "--set", "training.method=fgsm_at(eps=0.05)")
    assert smaller.code == 0, smaller.err
    assert smaller.out != done.out

    plugin.write_text(PLUGIN.replace("self.eps *", "2 * self.eps *"))
    changed = robench("train", "batchnorm", *options, "--set", "training.method=fgsm_at")
    assert changed.out != done.out, "each version of a method's code has its own results"


@pytest.mark.parametrize(
    ("method", "parts"),
    [
        ("fre", ["training.method = 'fre'", "no training method is named 'fre'", "'free'"]),
        ("free(replay=2)", ["training method 'free' has no option 'replay'", "'replays'"]),
        ("free(replays=0)", ["training.method", "replays is 0: it must be 1 or more"]),
        ("free(eps=8)", ["training.method", "eps is 8 but pixels lie in [0, 1]", "'8/255'"]),
        ("free(", ["training.method", "name(option=value, ...)"]),
    ],
)
def test_a_wrong_method_is_refused_in_one_sentence(
    robench: Command, tiny_board: Path, method: str, parts: list[str]
) -> None:
    done = robench("run", tiny_board, "--set", f"training.method={method}")
    assert done.code == 2
    assert len(done.err.strip().splitlines()) == 1
    for part in parts:
        assert part in done.err


def test_a_method_takes_from_the_recipe_the_options_that_it_leaves_out() -> None:
    recipe = TrainingSpec(method="free( replays = 2 )", eps=0.2, replays=7, carry_delta=True)
    assert recipe.method == "free(replays=2)"
    assert recipe.build_method() == FreeAdversarialTraining(2, 0.2, 8 / 255, carry_delta=True)
    recipe = recipe_for(TrainingSpec(), Defense(), {"method": "standard", "replays": 3})
    assert recipe.build_method().steps_per_minibatch == 1


def test_a_published_recipe_may_name_a_method_that_is_not_loaded() -> None:
    values = {"method": "somebodys(beta=6)"}
    assert TrainingSpec.model_validate(values, context=PUBLISHED).method == "somebodys(beta=6)"
    with pytest.raises(ValidationError, match="no training method is named 'somebodys'"):
        TrainingSpec.model_validate(values)


@dataclass(frozen=True)
class OwnLoss(TrainingMethod):
    """Minimize a multiple of the cross-entropy."""

    weight: float = 1.0

    def train_minibatch(
        self, images: Tensor, labels: Tensor, update: Update, *,
        logits: LogitsModel, carried: Tensor | None,
    ) -> Tensor | None:  # fmt: skip
        update(images, labels, lambda z, y: self.weight * F.cross_entropy(z, y))
        return None


def test_a_method_may_bring_its_own_loss(registered: None) -> None:
    training_methods.register("own_loss")(OwnLoss)
    plain, _ = train("standard")
    doubled, log = train("own_loss(weight=2)", lr=0.025)  # exact: a power of two
    assert all(torch.equal(plain[name], doubled[name]) for name in plain)
    assert log[0].train_loss == 2 * train("own_loss")[1][0].train_loss


@dataclass(frozen=True)
class Counting(TrainingMethod):
    """Carry the number of minibatches and scale each image by it."""

    def train_minibatch(
        self, images: Tensor, labels: Tensor, update: Update, *,
        logits: LogitsModel, carried: Tensor | None,
    ) -> Tensor | None:  # fmt: skip
        count = torch.zeros(len(images)) if carried is None else carried
        assert len(count) == len(images)
        update(images / (1 + count.view(-1, 1, 1, 1)), labels)
        return count + 1


def test_what_a_minibatch_carries_over_survives_a_resume(registered: None, tmp_path: Path) -> None:
    training_methods.register("counting")(Counting)
    files = TrainingFiles(log=tmp_path / "training.csv", checkpoint=tmp_path / "checkpoint.pt")
    whole, _ = train("counting", epochs=3)
    train("counting", files, epochs=1)
    resumed, _ = train("counting", files, epochs=3)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@dataclass(frozen=True)
class Asking(TrainingMethod):
    """Ask for logits with and without a gradient at the images, then update."""

    @property
    def forwards_per_minibatch(self) -> int:
        return 3

    def train_minibatch(
        self, images: Tensor, labels: Tensor, update: Update, *,
        logits: LogitsModel, carried: Tensor | None,
    ) -> Tensor | None:  # fmt: skip
        assert not logits(images).requires_grad
        seen = images.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(logits(seen), labels), seen)
        assert gradient.abs().max() > 0
        update(images, labels)
        return None


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_logits_lead_to_the_images_alone_and_updates_still_train(
    registered: None, precision: str
) -> None:
    training_methods.register("asking")(Asking)
    weights, _ = train("asking", precision=precision)
    start, _ = train("asking", precision=precision, lr=1e-12)
    assert not torch.allclose(weights["0.weight"], start["0.weight"])


@dataclass(frozen=True)
class Undeclared(TrainingMethod):
    """Take more steps, or make more forwards, than declared."""

    steps: int = 2

    def train_minibatch(
        self, images: Tensor, labels: Tensor, update: Update, *,
        logits: LogitsModel, carried: Tensor | None,
    ) -> Tensor | None:  # fmt: skip
        logits(images)
        for _ in range(self.steps):
            update(images, labels)
        return None


@pytest.mark.parametrize(
    ("steps", "sentence"),
    [
        (2, r"took 2 optimizer step\(s\) in 3 forward\(s\) .* declares 1 in 1; correct its"),
        (1, r"took 1 optimizer step\(s\) in 2 forward\(s\) .* declares 1 in 1"),
    ],
)
def test_a_method_is_held_to_what_it_declares(registered: None, steps: int, sentence: str) -> None:
    training_methods.register("undeclared")(Undeclared)
    with pytest.raises(UserError, match=sentence):
        train(f"undeclared(steps={steps})")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"method": "pgd", "step_size": 0.1}, "method 'pgd' has no such option; did you mean 'ste"),
        ({"method": "standard", "eps": 0.1}, "eps has no effect, since the training method 'stan"),
        ({"method": "free(replays=2)", "replays": 3}, r"since method = 'free\(replays=2\)' sets"),
        ({"schedule": "one-cycle", "milestones": (3,)}, "no effect with schedule = 'one-cycle'"),
    ],
)
def test_what_a_row_sets_without_effect_is_refused(
    changes: dict[str, object], sentence: str
) -> None:
    recipe = recipe_for(TrainingSpec(), Defense(), changes)
    with pytest.raises(UserError, match=sentence):
        check_changes(recipe, changes)


def test_what_a_row_leaves_to_the_board_need_have_no_effect_with_its_method() -> None:
    changes = {"method": "standard", "lr": 0.2}
    check_changes(recipe_for(TrainingSpec(replays=8), Defense(), changes), changes)


def test_such_a_row_is_refused_by_name_when_a_board_is_read(tmp_path: Path) -> None:
    row = '[[arms]]\nlabel = "pgd"\ndefense = "vanilla"\ntraining = {method = "pgd", replays = 2}\n'
    text = re.sub(r"^defenses = .*$", "", TINY_BOARD, flags=re.MULTILINE)
    (tmp_path / "board.toml").write_text(f"{text}\n{row}")
    with pytest.raises(UserError, match="the recipe of 'pgd': replays has no effect, since"):
        read_board(tmp_path / "board.toml")
