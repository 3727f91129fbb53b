"""What a user hands over to be evaluated: taken, or refused in a sentence before any work."""

import copy
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from awkward_models import Then
from torch import Tensor, nn

import robench
from robench.attacks import PGD
from robench.base import ThreatModel
from robench.checks import check_model
from robench.data import load_dataset
from robench.errors import UserError
from robench.evaluation import evaluate
from robench.models.accept import plain_module

Digits = tuple[Tensor, Tensor]

ATTACKS = ["fgsm", "pgd-2"]
DIGITS = load_dataset("digits")
IMAGES, LABELS = DIGITS.test.images[:20], DIGITS.test.labels[:20]  # type: ignore[union-attr]


def network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10)).eval()


def accuracies(model: nn.Module, images: Any = IMAGES, labels: Any = LABELS) -> list[float]:
    found = evaluate(model, images, labels, ATTACKS, defaults={"eps": 0.1}, without=["bf16"])
    return [found.accuracy(name) for name in ("clean", *ATTACKS)]


EXPECTED = accuracies(network())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "wrap",
    [
        torch.jit.script,
        lambda net: torch.jit.freeze(torch.jit.script(net)),
        lambda net: torch.jit.trace(net, torch.zeros(16, 1, 8, 8)),
        lambda net: torch.compile(net, backend="eager"),
        nn.DataParallel,
        lambda net: nn.DataParallel(torch.compile(net, backend="eager")),
    ],
    ids=["scripted", "frozen", "traced", "compiled", "parallel", "both"],
)
def test_a_wrapped_network_has_the_figures_of_the_network(
    wrap: Callable[[nn.Module], Any],
) -> None:
    assert accuracies(wrap(network())) == EXPECTED


@pytest.mark.filterwarnings("ignore")
class Looks(nn.Module):
    """Has a child with the name that torch.compile gives, and computes something else."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self._orig_mod, self.outer = inner, nn.Sequential(nn.Flatten(), nn.Linear(4, 3))

    def forward(self, images: Tensor) -> Tensor:
        return self.outer(images)


def test_what_only_looks_like_a_wrapper_is_evaluated_itself() -> None:
    inner = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    model = Looks(inner)
    assert plain_module(model) is model
    parallel = nn.DataParallel(inner)
    assert plain_module(parallel) is inner
    parallel.register_forward_hook(lambda module, given, logits: -logits)
    assert plain_module(parallel) is parallel


def test_logits_in_double_precision_keep_their_differences() -> None:
    model = Then(lambda z: z.double() + 1e9, pixels=4)
    images = torch.rand(8, 1, 2, 2)
    labels = model.net(images).argmax(1)
    assert evaluate(model, images, labels, []).accuracy() == 1


def test_a_scripted_network_is_restored() -> None:
    scripted = torch.jit.script(nn.Sequential(nn.BatchNorm2d(1), network())).train()
    before = copy.deepcopy(scripted.state_dict())
    accuracies(scripted)
    assert scripted.training
    assert all(torch.equal(v, before[k]) for k, v in scripted.state_dict().items())


def test_numpy_arrays_and_lists_of_labels_are_taken() -> None:
    pixels, labels = IMAGES.numpy(), LABELS.numpy()
    assert accuracies(network(), pixels, labels) == EXPECTED
    assert accuracies(network(), (pixels / 255).astype(np.float64), labels.tolist()) == EXPECTED
    for kind in (np.uint8, np.uint16, np.int32, ">i8"):
        assert accuracies(network(), pixels, labels.astype(kind)) == EXPECTED
    backwards = np.ascontiguousarray(pixels[::-1])[::-1]
    backwards.setflags(write=False)
    assert accuracies(network(), backwards, labels) == EXPECTED


def test_images_that_require_a_gradient_are_taken_without_it() -> None:
    images = (IMAGES / 255).requires_grad_()
    assert accuracies(network(), images) == EXPECTED
    assert accuracies(network(), images * 1) == EXPECTED
    assert images.grad is None


def test_a_network_of_doubles_that_takes_these_images_is_taken() -> None:
    class Double(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = network().double()

        def forward(self, images: Tensor) -> Any:
            return self.net(images.double())

    assert accuracies(Double()) == EXPECTED


class Returns(nn.Module):
    """A network that returns its logits within something else."""

    def __init__(self, make: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.net, self.make = network(), make

    def forward(self, images: Tensor) -> Any:
        return self.make(self.net(images))


class ModelOutput(OrderedDict[str, Any]):
    """As transformers' models return it."""


def of_nan() -> nn.Module:
    model = network()
    with torch.no_grad():
        model[3].bias[2] = torch.nan  # type: ignore[index, union-attr, operator]
    return model


def raising(logits: Tensor) -> Tensor:
    raise KeyError("no such layer")


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "half": (lambda: network().half(), r"weights are float16 .* convert it with model.float\(\)"),
    "bfloat16": (lambda: network().bfloat16(), r"weights are bfloat16 .* model.float\(\)"),
    "double": (lambda: network().double(), r"weights are float64, but images are float32"),
    "lazy": (lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(10)), r"'1.weight' .* lazy layer"),
    "meta": (lambda: network().to("meta"), "on the meta device and has no values"),
    "a function": (lambda: torch.relu, "the model is builtin_function_or_method; give a torch.nn"),
    "a class": (lambda: nn.Flatten, "the model is the class Flatten; give a torch.nn.Module"),
    "NaN weights": (of_nan, "returns NaN or infinite logits, and '3.bias' has values that are not"),
    "raises": (lambda: Returns(raising), "cannot take images of 1x8x8 .KeyError: 'no such layer'"),
    "other images": (
        lambda: nn.Linear(3, 10),
        "cannot take images of 1x8x8 .RuntimeError: (addmm: )?mat1 and mat2",  # torch 2.15
    ),
    "tuple": (
        lambda: Returns(lambda x: (x.sum(), x)),
        r"returns a tuple of 2: \(\), \(16, 10\); it must return logits alone: wrap the model in a "
        r"module whose forward returns self.model\(images\)\[1\]",
    ),
    "list": (lambda: Returns(lambda x: [x]), r"a list of 1: .* self.model\(images\)\[0\]"),
    "dict": (
        lambda: Returns(lambda x: {"features": x, "logits": x}),
        r"a dict of 'features', 'logits'; .* returns self.model\(images\)\['logits'\]",
    ),
    "ModelOutput": (
        lambda: Returns(lambda x: ModelOutput(logits=x)),
        r"a ModelOutput of 'logits'; .* self.model\(images\)\['logits'\]",
    ),
    "None": (
        lambda: Returns(lambda x: None),
        r"returns nothing \(a 'return' may be missing\); it must return logits alone",
    ),
    "a shape": (lambda: Returns(lambda x: x[:, :, None]), r"returns shape \(16, 10, 1\)"),
    "too few classes": (lambda: Returns(lambda x: x[:, :3]), "has 3 classes but a label is"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_model_that_cannot_be_evaluated_is_refused_in_a_sentence(case: str) -> None:
    make, sentence = REFUSED[case]
    with pytest.raises(UserError, match=sentence) as refused:
        evaluate(make(), IMAGES, LABELS, ["fgsm"])
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("case", ["half", "lazy", "a class", "meta"])
def test_the_checks_refuse_it_too(case: str) -> None:
    make, sentence = REFUSED[case]
    with pytest.raises(UserError, match=sentence):
        check_model(make(), IMAGES, LABELS, ThreatModel("linf", 0.1))
    with pytest.raises(UserError, match=sentence):
        check_model(network(), IMAGES, LABELS, ThreatModel("linf", 0.1), source=make())


def test_the_checks_take_numpy_arrays() -> None:
    ball = ThreatModel("linf", 0.1)
    given = [check_model(network(), *pair, ball, checks=["any_batch"])
             for pair in ((IMAGES, LABELS), (IMAGES.numpy(), LABELS.numpy()))]  # fmt: skip
    assert given[0] == given[1]


@pytest.mark.parametrize(
    ("images", "labels", "sentence"),
    [
        ([IMAGES[0]], LABELS, "images are a list; give a tensor or numpy array"),
        (IMAGES, None, "labels cannot be read as an array of numbers"),
        (IMAGES, ["cat"] * 20, "labels cannot be read as an array of numbers"),
        (IMAGES, LABELS.float().numpy(), "labels are torch.float32; give integers"),
        (np.ones((2, 8, 8, 1), object), [0, 1], "images cannot be read"),
        (IMAGES.permute(0, 2, 3, 1).numpy(), LABELS, r"give images.transpose\(0, 3, 1, 2\)"),
    ],
)
def test_images_and_labels_of_other_kinds_are_refused(
    images: Any, labels: Any, sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        evaluate(network(), images, labels, ["fgsm"])


def test_a_model_that_draws_random_numbers_draws_the_same_after_the_first_look() -> None:
    """The look at a few images does not change what the model draws under attack."""

    drawn: list[float] = []

    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = network()

        def forward(self, images: Tensor) -> Any:
            noise = torch.randn(1)
            drawn.append(noise.item())
            return self.net(images + 0.01 * noise)

    evaluate(Noisy(), IMAGES, LABELS, ["fgsm"], seed=3)
    torch.manual_seed(3)
    assert drawn[0] == drawn[1] == torch.randn(1).item()


def test_what_a_network_draws_depends_on_the_seed_of_the_evaluation_alone() -> None:
    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = network()

        def forward(self, images: Tensor) -> Any:
            return self.net(images + 0.5 * torch.randn_like(images))

    def logits(outside: int, seed: int) -> Tensor:
        seen: list[Tensor] = []
        torch.manual_seed(outside)
        evaluate(
            Noisy(), IMAGES, LABELS, ["noise"], seed=seed,
            observer=lambda name, rows, images, logits: seen.append(logits),
        )  # fmt: skip
        return seen[0]

    assert torch.equal(logits(1, seed=0), logits(2, seed=0))
    assert not torch.equal(logits(1, seed=0), logits(1, seed=1))


class OffTheGrid(nn.Module):
    """Answers what is no number to all images but clean digits, whose pixels are sixteenths."""

    def __init__(self, answer: float) -> None:
        super().__init__()
        self.net, self.answer = network(), answer

    def forward(self, images: Tensor) -> Any:
        logits = self.net(images)
        distance = (16 * images - (16 * images).round()).abs().flatten(1).amax(1)
        return torch.where(distance[:, None] > 1e-3, self.answer, logits)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("answer", [torch.nan, torch.inf])
@pytest.mark.parametrize("attack", [
    "noise", "fgsm", "pgd-3", "pgd-3(judge='any')", "pgd-3(restarts=2)", "apgd(steps=3)",
    "square(queries=5)", "simba(max_steps=20)", "autoattack(steps=3, queries=5)",
    "autoattack(steps=3, version='rand')",
])  # fmt: skip
def test_answers_that_are_no_numbers_are_mistakes_for_attacks_too_whatever_the_class(
    attack: str, answer: float
) -> None:
    model = OffTheGrid(answer)
    images = (DIGITS.test.images[:40].float() / 255 * 16).round() / 16  # type: ignore[union-attr]
    labels = model.net(images).argmax(1)
    assert len(labels.unique()) > 1
    found = evaluate(model, images, labels, [attack])
    assert found.accuracy() == 1.0
    assert found.accuracy(attack) == 0.0


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8])
def test_there_may_be_more_classes_than_labels_of_a_small_type_can_count(
    dtype: torch.dtype,
) -> None:
    wide = nn.Sequential(nn.Flatten(), nn.Linear(64, 260))
    found = evaluate(wide, IMAGES, LABELS.to(dtype), ["noise"])
    assert len(found.clean) == len(LABELS)


@pytest.mark.parametrize(
    ("attacks", "options", "sentence"),
    [
        (PGD(), {}, r"attacks is PGD\(.* alone; give a list"),
        ([PGD], {}, "an attack is the class PGD; give a name such as 'pgd-20', or an object"),
        ([None], {}, "an attack is None; give a name"),
        (["fgsm"], {"seed": -1}, "seed is -1; give a whole number, 0 or more"),
        (["fgsm"], {"progress": True}, "progress is True; give a function"),
        (["fgsm"], {"options": {"seed": 1}}, "options is a dict; give a robench.EvaluationOptions"),
        (["fgsm"], {"batch_size": 2.5}, "batch_size is 2.5; give a whole number, 1 or more"),
        (["fgsm"], {"device": "foo"}, "device 'foo' cannot be used"),
        (["pgd(eps=[0.1, 0.2])"], {}, "eps"),
    ],
)
def test_attacks_and_options_of_other_kinds_are_refused(
    attacks: Any, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        evaluate(network(), IMAGES, LABELS, attacks, **options)


@pytest.mark.parametrize(
    ("images", "labels", "ball", "sentence"),
    [
        (IMAGES, LABELS[:12], ThreatModel("linf", 0.1), "labels have shape"),
        (IMAGES[:12], LABELS, ThreatModel("linf", 0.1), "labels have shape"),
        (None, LABELS, ThreatModel("linf", 0.1), "images are a NoneType"),
        (IMAGES, LABELS, "linf", "the threat model is 'linf'; checks need"),
        (IMAGES, LABELS, ("linf", "8/255"), "the threat model is .*; checks need"),
        (IMAGES, LABELS, 8 / 255, "the threat model is 0.03.*; checks need"),
    ],
)
def test_the_checks_refuse_images_labels_and_balls_of_other_kinds(
    images: Any, labels: Any, ball: Any, sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        check_model(network(), images, labels, ball, checks=["same_logits"], samples=8)


@pytest.mark.parametrize("model", [nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten()),
                                   nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(),
                                                 nn.Linear(72, 3))])  # fmt: skip
def test_a_network_that_does_not_fit_is_refused_before_it_is_trained(model: nn.Module) -> None:
    with pytest.raises(UserError, match=r"cannot take images of 1x8x8|has 3 classes, but digits"):
        robench.train("batchnorm", DIGITS, model=model, method="standard", epochs=1)


def test_a_seed_may_be_an_integer_of_numpy(digits_net: nn.Module, digits_test: Digits) -> None:
    images, labels = (part[:8] for part in digits_test)
    one, other = (
        evaluate(digits_net, images, labels, ["pgd-2(eps=0.1)"], seed=seed)
        for seed in (3, np.int64(3))
    )
    assert one.accuracy("pgd-2(eps=0.1)") == other.accuracy("pgd-2(eps=0.1)")


def test_pixels_one_rounding_outside_are_clamped(
    digits_net: nn.Module, digits_test: Digits
) -> None:
    images, labels = (part[:8] for part in digits_test)
    found = evaluate(digits_net, images * 1.0000002 - 1e-7, labels, ["fgsm(eps=0.1)"])
    assert found.accuracy() == evaluate(digits_net, images, labels, []).accuracy()
