"""The model under attack: exact predictions, fast gradients, no shortcut that weakens an attack."""

from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
import pytest
import torch
import torchattacks
from torch import Tensor, nn

from robench.attack_tools.losses import input_gradient
from robench.attack_tools.randomness import generators
from robench.board.specs import Shortcut
from robench.errors import UserError
from robench.evaluation import evaluate
from robench.evaluation.victim import Victim
from robench.models.build import build_model
from robench.registry import attacks as registry

Digits = tuple[Tensor, Tensor]
NAMES = ["fgsm", "pgd-5", "pgd-10", "pgd-10(judge='any')", "pgd-5(restarts=3)"]
DEFAULTS = {"eps": 0.08, "step_size": 0.02}


def victim(model: nn.Module, images: Tensor, **options: Any) -> Victim:
    return Victim(model.requires_grad_(False), images[:16], batch_size=64, **options)


@pytest.mark.parametrize("without", [[], *([name] for name in get_args(Shortcut)),
                                     list(get_args(Shortcut))])  # fmt: skip
def test_no_shortcut_weakens_an_attack(
    digits_net: nn.Module, digits_test: Digits, without: Sequence[str]
) -> None:
    plain = evaluate(digits_net, *digits_test, NAMES, defaults=DEFAULTS, without=get_args(Shortcut))
    result = evaluate(digits_net, *digits_test, NAMES, defaults=DEFAULTS, without=without)
    for name in NAMES:
        assert 0.1 < plain.accuracy(name) < 0.9
        assert result.accuracy(name) <= plain.accuracy(name) + 0.011  # a sample at a tie


def test_in_float32_folding_changes_no_prediction(
    digits_net: nn.Module, digits_test: Digits
) -> None:
    results = [
        evaluate(digits_net, *digits_test, NAMES, defaults=DEFAULTS, without=without)
        for without in (["bf16"], ["bf16", "folding"], ["bf16", "pools"])
    ]
    for name in NAMES:
        for other in results[1:]:
            assert np.array_equal(results[0].attacks[name].robust, other.attacks[name].robust)


EVERY = [
    "pgd-5", "pgd-8(judge='any')", "fgsm", "simba(max_steps=20)", "pgd-4(restarts=3)", "noise",
    "pgd-3(norm='l2', eps=0.5)",
]  # fmt: skip


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("batch_size", [7, 16, 33])
def test_in_float32_the_batch_size_changes_no_bit(
    digits_net: nn.Module, digits_test: Digits, name: str, batch_size: int
) -> None:
    defaults = {} if name.startswith("simba") else DEFAULTS  # it has no radius
    results = [
        evaluate(
            digits_net, *digits_test, [name], defaults=defaults, without=["bf16"], batch_size=size
        )
        for size in (100, batch_size)
    ]
    wanted, found = (vars(result.attacks[name]) for result in results)
    assert {key for key in wanted if not np.array_equal(found[key], wanted[key])} == set()


@pytest.mark.parametrize("name", EVERY)
def test_in_float32_the_order_of_samples_changes_no_bit(
    digits_net: nn.Module, digits_test: Digits, name: str
) -> None:
    images, labels = digits_test
    attack = registry.build(name, DEFAULTS)
    model = victim(digits_net, images, without=["bf16"])
    order = torch.randperm(100, generator=torch.Generator().manual_seed(0))
    whole = attack.perturb(model, images, labels, generators(0, range(100)))
    shuffled = attack.perturb(model, images[order], labels[order], generators(0, order.tolist()))
    assert torch.equal(shuffled.images, whole.images[order])
    assert whole.forwards is not None
    assert shuffled.forwards is not None
    assert torch.equal(shuffled.forwards, whole.forwards[order])


@pytest.mark.parametrize("defense", ["batchnorm", "convnorm"])
def test_in_float32_the_batch_size_changes_no_bit_of_a_resnet_either(defense: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model("resnet18", num_classes=10, in_channels=3, image_size=(32, 32),
            mean=(0.5,) * 3, std=(0.25,) * 3, width=16, defense=defense).eval()  # fmt: skip
    images = torch.rand(17, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        labels = model(images).argmax(1)
    names = ["pgd-2", "simba(max_steps=2)"]
    small, large = (
        evaluate(model, images, labels, names, without=["bf16"], batch_size=size).attacks
        for size in (5, 17)
    )
    for name in names:
        wanted, found = vars(small[name]), vars(large[name])
        assert {k for k in wanted if not np.array_equal(found[k], wanted[k])} == set()


def test_a_network_whose_cross_entropy_has_saturated_is_still_broken(
    digits_net: nn.Module, digits_test: Digits
) -> None:
    images, labels = digits_test
    model = Scaled(digits_net, 1000.0).eval()
    top = model(images).topk(2).values
    assert (top[:, 0] - top[:, 1] > 100).float().mean() > 0.9
    peer = torchattacks.PGD(model, eps=0.15, alpha=0.04, steps=10)
    theirs = (model(peer(images, labels)).argmax(1) == labels).float().mean()
    names = ["pgd-10", "pgd-10(judge='any')"]
    defaults = {"eps": 0.15, "step_size": 0.04}
    ours = evaluate(model, images, labels, names, defaults=defaults)
    plain = evaluate(digits_net, images, labels, names, defaults=defaults)
    assert theirs > 0.6
    for name in names:
        assert ours.accuracy(name) <= plain.accuracy(name) + 0.02
        assert ours.accuracy(name) < 0.5


def test_predictions_are_those_of_the_model(digits_net: nn.Module, digits_test: Digits) -> None:
    model = victim(digits_net, digits_test[0])
    noisy = (digits_test[0] + 0.3 * torch.rand_like(digits_test[0])).clamp(0, 1)
    assert torch.equal(model.predict(noisy).argmax(1), digits_net(noisy).argmax(1))


def test_near_a_tie_the_model_itself_decides(digits_test: Digits) -> None:
    class Tied(nn.Module):
        """Two classes whose logits differ by the last bits, first for dark images."""

        def __init__(self) -> None:
            super().__init__()
            self.conv, self.bn = nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)

        def forward(self, x: Tensor) -> Tensor:
            y = self.bn(self.conv(x)).mean((2, 3))
            return y[:, :1] + torch.tensor([0.0, 1e-6, -5.0])

    torch.manual_seed(0)
    model = Tied().eval()
    under_attack = victim(model, digits_test[0])
    assert under_attack._copies.exact is not model
    assert torch.equal(under_attack.predict(digits_test[0]), model(digits_test[0]))


def test_gradients_of_the_fast_copy_point_where_the_model_s_do(
    digits_net: nn.Module, digits_test: Digits
) -> None:
    exact, _ = input_gradient(digits_net, *digits_test, "ce")
    fast, logits = input_gradient(victim(digits_net, digits_test[0]), *digits_test, "ce")
    cosine = nn.functional.cosine_similarity(exact.flatten(1), fast.flatten(1))
    assert cosine.median() > 0.99
    assert logits.dtype == torch.float32


class Scaled(nn.Module):
    """Multiplies the logits, so that the gradient of the cross-entropy underflows."""

    def __init__(self, model: nn.Module, factor: float) -> None:
        super().__init__()
        self.model, self.factor = model, factor

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x) * self.factor


class Random(nn.Module):
    """A defense that draws random numbers."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x + 0.1 * torch.rand_like(x))


class Float32Only(nn.Module):
    """A model that does not work in bf16."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        y = nn.functional.conv2d(x, torch.ones(1, 1, 1, 1))
        if y.dtype != torch.float32:
            raise TypeError("float32, please")
        return self.model(x)


class Coarse(nn.Module):
    """A model whose logits are nonsense in bf16."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        half = nn.functional.conv2d(x, torch.ones(1, 1, 1, 1)).dtype != torch.float32
        return -self.model(x) if half else self.model(x)


@pytest.mark.parametrize("kind", [Random, Float32Only, Coarse])
def test_a_model_that_no_copy_matches_is_attacked_itself(
    kind: type[nn.Module], digits_net: nn.Module, digits_test: Digits
) -> None:
    model = victim(kind(digits_net).eval(), digits_test[0])  # type: ignore[call-arg]
    assert model.gradients == "float32"


def test_padding_is_not_counted(digits_net: nn.Module, digits_test: Digits) -> None:
    model = victim(digits_net, digits_test[0])
    assert (model.forwards, model.backwards) == (0, 0)
    model(digits_test[0][:5])
    model.predict(digits_test[0][:3])
    input_gradient(model, digits_test[0][:7], digits_test[1][:7], "ce")
    assert (model.forwards, model.backwards) == (15, 7)


def test_an_unknown_shortcut_is_reported_in_a_sentence(
    digits_net: nn.Module, digits_test: Digits
) -> None:
    with pytest.raises(UserError, match="no shortcut is named 'fold'; did you mean 'folding'"):
        evaluate(digits_net, *digits_test, ["fgsm"], without=["fold"])


def test_out_of_memory_in_the_middle_of_an_attack_loses_nothing(
    digits_net: nn.Module, digits_test: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["pgd-5", "simba(max_steps=10)", "noise"]
    expected = evaluate(digits_net, *digits_test, names, defaults=DEFAULTS)
    asked = Victim._ask

    def small(self: Victim, model: nn.Module, images: Tensor) -> Tensor:
        if len(images) > 20:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return asked(self, model, images)

    monkeypatch.setattr(Victim, "_ask", small)
    with pytest.warns(UserWarning, match="continuing with"):
        result = evaluate(digits_net, *digits_test, names, defaults=DEFAULTS)
    for name in names:
        assert np.array_equal(expected.attacks[name].robust, result.attacks[name].robust)


@pytest.mark.parametrize("name", ["pgd-5(eps=0.1)", "simba(max_steps=10)"])
def test_what_memory_was_too_small_for_is_not_counted(
    name: str, digits_net: nn.Module, digits_test: Digits
) -> None:
    calls = []

    def small(_: nn.Module, inputs: tuple[Tensor]) -> None:
        calls.append(len(inputs[0]))
        if len(calls) > 8 and calls[-1] > 32:
            raise torch.OutOfMemoryError("CUDA out of memory")

    options: dict[str, Any] = {"batch_size": 64, "without": ("folding", "bf16")}
    expected = evaluate(digits_net, *digits_test, [name], **options).attacks[name]
    digits_net.register_forward_pre_hook(small)
    with pytest.warns(UserWarning, match="continuing with 32"):
        found = evaluate(digits_net, *digits_test, [name], **options).attacks[name]
    assert np.array_equal(found.forwards, expected.forwards)
