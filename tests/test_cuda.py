"""What the CPU does, a GPU does too: ``pytest -m cuda`` where there is one."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

import robench
from robench.board.specs import TrainingSpec
from robench.data import Augmentation, Images, load_dataset
from robench.errors import RobenchWarning, UserError
from robench.evaluation.victim import Victim
from robench.gan.batches import Batches
from robench.gan.cell import build_pair
from robench.gan.spec import GanCell, GanSpec
from robench.gan.training import fit_gan
from robench.kernels.depthwise import Depthwise
from robench.kernels.float32_conv import convolve, suits
from robench.kernels.plane_filter import LARGEST_PRODUCT
from robench.layers.convnorm import ConvNorm2d
from robench.models.build import build_model
from robench.models.frozen import under_attack
from robench.progress import ignore_progress
from robench.registry import defenses
from robench.system.devices import has_bf16
from robench.training.data import TrainingData
from robench.training.loop import Trainer
from robench.training.parallel import launch
from robench.training.recorded import RecordedGradients

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
ATTACKS = ["fgsm", "pgd-10", "pgd-10(norm='l2',eps=1,step_size=0.25)", "simba(max_steps=200)"]
PARTS = ["apgd(steps=20)", "apgd(loss='dlr',steps=20)", "fab(steps=10)", "square(queries=100)"]


@pytest.fixture(autouse=True)
def _deterministic() -> Iterator[None]:
    """As a training and an evaluation set it."""
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
        yield


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def one_minibatch(defense: str, precision: str) -> tuple[Trainer, tuple[Tensor, Tensor]]:
    """A training of a narrow network on the GPU, and a minibatch that is there."""
    try:
        built = defenses.build(defense)
    except UserError as error:  # it is another library's, which is not installed
        pytest.skip(str(error))
    digits = load_dataset("digits")
    torch.manual_seed(0)
    model = build_model(
        "resnet18", num_classes=10, in_channels=1, image_size=(8, 8), width=8, stem="cifar",
        mean=digits.mean, std=digits.std, defense=built,
    )  # fmt: skip
    assert isinstance(digits.train, Images)
    data = TrainingData(digits.train, digits.train.take(torch.arange(0)), Augmentation(), seed=0)
    recipe = TrainingSpec.model_validate({"batch_size": 64, "precision": precision, "lr": 0.01})
    fabric = launch(torch.device("cuda"), precision)
    trainer = Trainer(model, built, recipe, data, fabric, None, ignore_progress)
    trainer.model.train()
    return trainer, next(digits.train.batches(64, device="cuda"))


# The parametrization of ``orthogonal`` is torch's own, which checks its solution; ``soc`` takes
# torch's exponential of a matrix, which looks at its norm.
@pytest.mark.parametrize("defense", sorted({*defenses.names()} - {"orthogonal", "soc"}))
def test_a_training_step_never_waits_for_the_gpu(defense: str) -> None:
    trainer, (images, labels) = one_minibatch(defense, "bf16")
    for _ in range(3):  # layers prepare tables, and what is replayed is recorded and compared
        trainer.train_minibatch(0, images, labels)
    torch.cuda.set_sync_debug_mode("error")
    try:
        trainer.train_minibatch(0, images, labels)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert trainer.meter.loss() < 100


@pytest.mark.parametrize("defense", ["batchnorm", "convnorm", "spectral_norm", "ocnn", "parseval"])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_steps_are_replayed_as_a_graph(defense: str, precision: str) -> None:
    trainer, (images, labels) = one_minibatch(defense, precision)
    for _ in range(3):
        trainer.train_minibatch(0, images, labels)
    assert isinstance(trainer.gradients, RecordedGradients)
    assert trainer.gradients.refused is None


@pytest.mark.parametrize("side", [8, 32, LARGEST_PRODUCT + 6])
@pytest.mark.parametrize("stride", [1, 2])
def test_convnorm_gives_values_and_gradients_of_the_cpu(side: int, stride: int) -> None:
    torch.manual_seed(0)
    layer = ConvNorm2d(4, 6, 3, stride=stride, padding=1)
    state = {name: value.clone() for name, value in layer.state_dict().items()}
    results = []
    for device in ("cpu", "cuda"):
        layer.load_state_dict(state)
        layer.to(device).zero_grad()
        x = normal(3, 4, side, side).to(device).requires_grad_()
        with torch.backends.cudnn.flags(allow_tf32=False):
            y = layer(x)
            y.square().mean().backward()
        assert x.grad is not None
        assert layer.weight.grad is not None
        results.append([value.cpu().clone() for value in (y, x.grad, layer.weight.grad)])
    for here, there in zip(*results, strict=True):
        torch.testing.assert_close(here, there, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("side", [4, 8, 16])
@pytest.mark.parametrize(("stride", "padding"), [(1, 1), (2, 1), (1, 2), (1, 0)])
def test_a_float32_convolution_is_that_of_the_cpu(side: int, stride: int, padding: int) -> None:
    weight, bias = normal(32, 16, 3, 3, seed=1) / 12, normal(32, seed=2)
    sizes = ((stride, stride), (padding, padding), (1, 1))
    results = []
    for device in ("cpu", "cuda"):
        x = normal(9, 16, side, side).to(device).requires_grad_()
        with torch.backends.cudnn.flags(deterministic=True, allow_tf32=False):
            assert suits(x, weight.to(device)) == (device == "cuda")
            y = convolve(x, weight.to(device), bias.to(device), *sizes)
            y.square().sum().backward()
        assert x.grad is not None
        results.append([y.detach().cpu(), x.grad.cpu()])
    for here, there in zip(*results, strict=True):
        torch.testing.assert_close(here, there, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("count", [5, 80])
def test_a_depthwise_convolution_is_that_of_the_cpu(count: int) -> None:
    torch.manual_seed(0)
    layer, x = Depthwise(8, (3, 3)), normal(count, 8, 8, 8)
    wanted = layer(x)
    for layout in (torch.contiguous_format, torch.channels_last):
        layer.cuda().to(memory_format=layout)
        with torch.backends.cudnn.flags(deterministic=True, allow_tf32=False):
            found = layer(x.cuda().to(memory_format=layout))
        torch.testing.assert_close(found.cpu(), wanted, rtol=1e-4, atol=1e-5)


def test_convnorm_works_in_bf16() -> None:
    torch.manual_seed(0)
    layer = ConvNorm2d(8, 8, 3, padding=1).cuda()
    x = normal(4, 8, 16, 16).cuda()
    exact = layer(x)
    with torch.autocast("cuda", torch.bfloat16):
        fast = layer(x)
    assert (fast.float() - exact).norm() < 0.03 * exact.norm()


def test_verdicts_of_attacks_are_those_of_the_cpu(
    digits_net: nn.Module, digits_test: tuple[Tensor, Tensor]
) -> None:
    images, labels = digits_test[0][:100], digits_test[1][:100]
    results = [
        robench.evaluate(digits_net, images, labels, ATTACKS, device=device, without=["bf16"])
        for device in ("cpu", "cuda")
    ]
    for name in ("clean", *ATTACKS):
        accuracies = [result.accuracy(name) for result in results]
        # Rounding turns some signs of gradients near zero.
        assert accuracies[0] == pytest.approx(accuracies[1], abs=0 if name == "clean" else 0.03)


@pytest.mark.parametrize("attack", PARTS)
def test_verdicts_of_the_parts_of_autoattack_are_those_of_the_cpu(
    attack: str, digits_net: nn.Module, digits_test: tuple[Tensor, Tensor]
) -> None:
    images, labels = digits_test[0][:100], digits_test[1][:100]
    accuracies = [
        robench.evaluate(digits_net, images, labels, [attack], device=device).accuracy(attack)
        for device in ("cpu", "cuda")
    ]
    assert accuracies[0] == pytest.approx(accuracies[1], abs=0.03)


def test_an_evaluation_repeats_itself_to_the_bit(
    digits_net: nn.Module, digits_test: tuple[Tensor, Tensor]
) -> None:
    images, labels = digits_test[0][:64], digits_test[1][:64]
    tables = [
        robench.evaluate(digits_net, images, labels, ATTACKS, device="cuda").table()
        for _ in range(2)
    ]
    assert tables[0].equals(tables[1])


def test_gradients_are_in_bf16_where_the_gpu_has_it(
    digits_net: nn.Module, digits_test: tuple[Tensor, Tensor]
) -> None:
    if not has_bf16(torch.device("cuda")):
        pytest.skip("this GPU has no bf16")
    model = digits_net.cuda()
    try:
        with under_attack(model):
            victim = Victim(model, digits_test[0][:16].cuda(), batch_size=64)
            assert victim.gradients == "bf16"
    finally:
        digits_net.cpu()


@pytest.mark.parametrize("defense", ["batchnorm", "convnorm"])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_training_learns_and_repeats_itself_to_the_bit(defense: str, precision: str) -> None:
    digits = load_dataset("digits")
    nets = [
        robench.train(
            defense, digits, width=8, stem="cifar", epochs=2, lr=0.05, eps=0.1, step_size=0.1,
            device="cuda", precision=precision,
        )
        for _ in range(2)
    ]  # fmt: skip
    states = [net.state_dict() for net in nets]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    batch = next(digits.test.batches(100, device="cuda"))
    assert (nets[0](batch[0]).argmax(1) == batch[1]).float().mean() > 0.3


def test_running_out_of_memory_halves_the_batch_and_loses_nothing(
    digits_net: nn.Module, digits_test: tuple[Tensor, Tensor]
) -> None:
    class Hungry(nn.Module):
        """Wants more memory than the GPU has for more than 16 images."""

        def __init__(self, net: nn.Module) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: Tensor) -> Tensor:
            if len(x) > 16:
                torch.empty(2**45, device=x.device, dtype=torch.uint8)
            result: Tensor = self.net(x)
            return result

    images, labels = digits_test[0][:64], digits_test[1][:64]
    with pytest.warns(RobenchWarning, match="memory"):
        result = robench.evaluate(
            Hungry(digits_net), images, labels, ["pgd-10"], device="cuda", batch_size=64
        )
    assert len(result.attacks["pgd-10"]) == 64


def test_a_gan_trains_the_same_twice() -> None:
    spec = GanSpec(
        architecture="sngan_resnet", width=8, steps=3, batch_size=8, generator_batch_size=8
    )
    cell = GanCell(
        defense="spectral_norm(bn=False)", data="mine", data_hash="0" * 64, gan=spec, seed=0
    )
    images = torch.randint(0, 256, (64, 3, 32, 32), dtype=torch.uint8)
    weights = []
    for _ in range(2):
        generator, discriminator = build_pair(cell)
        batches = Batches(images, spec.batch_size, cell.seed, torch.device("cuda"))
        fit_gan(generator, discriminator, defenses.build(cell.defense), spec, batches)
        weights.append([*generator.state_dict().values(), *discriminator.state_dict().values()])
    assert all(map(torch.equal, *weights))
