"""Certified radii: exact for linear networks, never broken by an attack, refused where unproved."""

import math
import re
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import robench
from robench.backbones.lipschitz_convnet import lipschitz_convnet
from robench.certificates import certify
from robench.errors import UserError
from robench.models.build import Normalize
from robench.models.defend import apply_defense
from robench.registry import defenses

SHAPE = (1, 4, 4)


def images(count: int = 8, shape: tuple[int, int, int] = SHAPE) -> Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(1))


def linear(classes: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, classes))


def small(shortcut: int = 0, seed: int = 0) -> nn.Module:
    """A convolutional network; its shortcut adds the input so many times."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 3, padding=1)
            self.head = nn.Linear(16, 3)

        def forward(self, x: Tensor) -> Tensor:
            y = F.relu(self.conv(x))
            for _ in range(shortcut):
                y = y + x
            return self.head(torch.flatten(y, 1))

    torch.manual_seed(seed)
    return Net()


def test_the_radius_of_a_linear_network_is_the_distance_to_the_nearest_boundary() -> None:
    model, x = linear(), images()
    logits, weight = model(x).detach().double(), model[1].weight.detach().double()
    labels = logits.argmax(1)
    exact = [
        min(
            float(logits[i, y] - logits[i, j]) / float((weight[y] - weight[j]).norm())
            for j in range(3)
            if j != y
        )
        for i, y in enumerate(labels.tolist())
    ]
    radii = certify(model, SHAPE).radii(x, labels)
    torch.testing.assert_close(
        radii, torch.tensor(exact, dtype=torch.float64), rtol=1e-4, atol=1e-6
    )


def test_without_a_linear_layer_at_the_end_the_margin_moves_by_root_two() -> None:
    model = nn.Sequential(linear(), nn.Identity())
    certificate, x = certify(model, SHAPE), images()
    logits = certificate.predict(x)
    top = logits.topk(2, 1).values
    wanted = (top[:, 0] - top[:, 1]) / (2**0.5 * certificate.lipschitz)
    torch.testing.assert_close(
        certificate.radii(x, logits.argmax(1)), wanted, rtol=1e-6, atol=1e-12
    )


def test_misclassified_images_have_radius_zero() -> None:
    model, x = linear(), images()
    wrong = (model(x).argmax(1) + 1) % 3
    assert not certify(model, SHAPE).radii(x, wrong).any()


def test_the_model_is_left_as_it_was() -> None:
    model = small().train()
    certificate = certify(model, SHAPE)
    assert model.training
    assert all(p.dtype == torch.float32 and p.requires_grad for p in model.parameters())
    assert not any(p.requires_grad for p in certificate.network.parameters())


@pytest.mark.parametrize("seed", range(3))
def test_no_gradient_of_the_network_is_longer_than_its_constant(seed: int) -> None:
    certificate = certify(small(shortcut=1, seed=seed), SHAPE)
    for x in images():
        found = torch.autograd.functional.jacobian(
            lambda v: certificate.network(v[None])[0], x.double()
        )
        assert torch.linalg.matrix_norm(found.flatten(1), ord=2) <= certificate.lipschitz


def test_unsound_a_shortcut_adds_to_the_constant() -> None:
    plain, one, two = (certify(small(shortcut), SHAPE).lipschitz for shortcut in range(3))
    head = certify(nn.Sequential(nn.Flatten(), small().head), SHAPE).lipschitz
    assert one == pytest.approx(plain + head)
    assert two == pytest.approx(plain + 2 * head)


def test_unsound_the_image_normalization_counts() -> None:
    alone = certify(linear(), SHAPE).lipschitz
    behind = certify(nn.Sequential(Normalize((0.5,), (0.25,)), linear()), SHAPE).lipschitz
    assert behind == pytest.approx(4 * alone)


def test_unsound_tf32_changes_nothing() -> None:
    x, model = images(), small()
    labels = model(x).argmax(1)
    before = certify(model, SHAPE).radii(x, labels)
    with torch.backends.cudnn.flags(allow_tf32=True):
        torch.backends.cuda.matmul.allow_tf32 = True
        try:
            assert torch.equal(certify(model, SHAPE).radii(x, labels), before)
        finally:
            torch.backends.cuda.matmul.allow_tf32 = False


def _product(one: Tensor, other: Tensor) -> Fraction:
    return Fraction(float(one)) * Fraction(float(other))


def test_the_rounding_of_the_logits_stays_within_its_bound() -> None:
    model, x = linear(), images()
    certificate = certify(model, SHAPE)
    computed = certificate.predict(x)
    weight, bias = model[1].weight.detach(), model[1].bias.detach()
    for image, logits in zip(x, computed, strict=True):
        exact = [
            Fraction(float(shift)) + sum(map(_product, row, image.flatten()))
            for row, shift in zip(weight, bias, strict=True)
        ]
        error = math.sqrt(
            sum(float(Fraction(float(a)) - b) ** 2 for a, b in zip(logits, exact, strict=True))
        )
        assert error <= certificate.logits.error < 1e-12


@pytest.mark.parametrize(
    "defense",
    ["cayley(bn=False)", "aol(bn=False)", "sll", "conv_sn(bn=False)", "bro(bn=False)",
     "lot(bn=False)", "soc(bn=False)", "soc(degree=8, bn=False)"],
)  # fmt: skip
def test_layers_of_norm_one_make_networks_of_constant_one(defense: str) -> None:
    torch.manual_seed(0)
    network = apply_defense(lipschitz_convnet(4, 1, 8, blocks=2, depth=2), defense)
    assert certify(network, (1, 8, 8)).lipschitz <= 1.001


@pytest.mark.parametrize(
    "defense", ["cayley(bn=False)", "sll", "bro(bn=False)", "lot(bn=False)", "soc(bn=False)"]
)
def test_unsound_no_attack_finds_an_image_within_its_radius(defense: str) -> None:
    torch.manual_seed(0)
    plain = lipschitz_convnet(4, 1, 8, blocks=2, depth=2)
    for layer in plain.modules():  # away from the start, where it sees single pixels
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, std=0.1)
    network = apply_defense(plain, defense).eval()
    certificate, x = certify(network, (1, 8, 8)), images(24, (1, 8, 8))
    labels = certificate.predict(x).argmax(1)
    radii = certificate.radii(x, labels)
    eps = float(radii.median())
    sure = radii >= eps
    assert sure.any()
    attack = [f"apgd(norm='l2',eps={eps},steps=50)"]
    outcomes = robench.evaluate(network, x[sure], labels[sure], attack)
    assert outcomes.accuracy(attack[0]) == 1
    beyond = [f"apgd(norm='l2',eps={6 * eps},steps=50)"]
    assert robench.evaluate(network, x[sure], labels[sure], beyond).accuracy(beyond[0]) < 1


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.flatten(x, 1) if x.sum() > 0 else -torch.flatten(x, 1)


class Multiplied(nn.Module):
    """Has a layer, so that what is around it is looked into."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.flatten(x, 1) * 2)


class Branches(Multiplied):
    def forward(self, x: Tensor) -> Tensor:
        y = torch.flatten(x, 1)
        return self.head(y if y.sum() > 0 else -y)


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (nn.Sequential(linear(), nn.Softmax(1)), "layer '1': no bound is proved for a Softmax"),
        (nn.Sequential(nn.Flatten(), Branching()), "layer '1': no bound is proved for a Branching"),
        (Multiplied(), "no bound is proved for the operation 'mul' of the network"),
        (Branches(), "the network's forward cannot be followed"),
    ],
)
def test_unproved_parts_are_refused_by_name(model: nn.Module, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        certify(model, SHAPE)


@pytest.mark.parametrize("further", [(3, 1), (1, 3), (3, 1, 1)])
def test_logits_with_a_further_axis_are_refused_as_by_attacks(further: tuple[int, ...]) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(16, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(x.flatten(1)).view(-1, *further)

    shape = re.escape(", ".join(map(str, (4, *further))))
    sentence = rf"the model returns shape \({shape}\) for 4 images; logits must be \(4, classes\)"
    with pytest.raises(UserError, match=sentence):
        certify(Net(), SHAPE).radii(images(4), torch.zeros(4).long())
    with pytest.raises(UserError, match=sentence):
        robench.evaluate(Net(), images(4), torch.zeros(4).long(), ["fgsm"])


def test_a_network_with_an_infinite_weight_is_refused() -> None:
    model = linear()
    with torch.no_grad():
        model[1].weight[0, 0] = torch.inf
    with pytest.raises(UserError, match="not finite"):
        certify(model, SHAPE)


def test_plain_weights_are_computed_in_float64_whatever_the_number_of_threads() -> None:
    model = apply_defense(nn.Sequential(nn.Conv2d(1, 4, 3, padding=1)), defenses.build("aol"))
    network = certify(model.eval(), SHAPE).network
    [conv] = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert not torch.equal(conv.weight, conv.weight.float().double())


def test_a_defense_whose_library_computes_in_float32_alone_is_certified() -> None:
    pytest.importorskip("orthogonium")
    model = apply_defense(nn.Sequential(nn.Conv2d(1, 4, 3, padding=1)), "aoc(bn=false)")
    model = nn.Sequential(model, nn.Flatten(), nn.Linear(64, 3)).eval()
    images, found = torch.rand(8, *SHAPE), certify(model, SHAPE)
    assert found.steps[0].layer.norm == pytest.approx(1, abs=1e-4)
    assert (found.radii(images, model(images).argmax(1)) > 0).all()


class Moody(nn.Module):
    """A convolution that exports another one than it is."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, padding=1)
        self.conv.vanilla_export = lambda: nn.Conv2d(1, 1, 3, padding=1)
        self.head = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.flatten(self.conv(x), 1))


def test_unsound_a_layer_that_exports_another_one_is_found_out() -> None:
    with pytest.raises(UserError, match="answers differently from the model itself"):
        certify(Moody(), SHAPE)


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (torch.zeros(5), "labels have shape .5,. for 8 images"),
        (torch.full((8,), 3), "labels are 3 to 3, but the network has 3 classes"),
        (torch.full((8,), -1), "a label is -1; classes are counted from 0"),
    ],
)
def test_labels_that_are_not_of_the_images_are_refused(labels: Tensor, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        certify(linear(), SHAPE).radii(images(), labels)


def test_a_network_behind_data_parallelism_is_certified_as_it_is() -> None:
    labels = linear()(images()).argmax(1)
    one, other = (certify(net, SHAPE) for net in (linear(), nn.DataParallel(linear())))
    assert torch.equal(one.radii(images(), labels), other.radii(images(), labels))
    with pytest.raises(UserError, match="give a torch"):
        certify(lambda x: x, SHAPE)  # type: ignore[arg-type]


@pytest.mark.parametrize("returned", [None, torch.zeros(()), torch.zeros(4)])
def test_what_is_no_logits_has_no_radii(returned: object) -> None:
    certificate = certify(linear(), SHAPE)
    with pytest.raises(UserError, match="the model returns"):
        certificate.radii_at(returned, torch.zeros(4))  # type: ignore[arg-type]


def test_images_and_labels_may_be_of_any_kind_that_evaluate_takes() -> None:
    certificate, x = certify(linear(), SHAPE), images()
    labels = certificate.predict(x).argmax(1)
    wanted = certificate.radii(x, labels)
    assert torch.equal(certificate.radii(x.numpy(), labels.tolist()), wanted)
    bytes_ = (x * 255).byte()
    assert torch.equal(certificate.radii(bytes_, labels), certificate.radii(bytes_ / 255, labels))
    for given, sentence in ((x[:0], "there are no images"), (x + 1, "must lie in")):
        with pytest.raises(UserError, match=sentence):
            certificate.radii(given, labels[: len(given)])


@pytest.mark.parametrize("shape", [8, (8, 8), torch.rand(2, 1, 4, 4)])
def test_a_shape_is_three_numbers(shape: Any) -> None:
    with pytest.raises(UserError, match=r"image_shape is .*; give channels, height and width"):
        certify(linear(), shape)
    with pytest.raises(UserError, match=r"input_size is .*; give channels, height and width"):
        robench.spectra(small(), shape)
