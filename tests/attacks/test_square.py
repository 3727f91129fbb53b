"""Square: the paper's proposals, the schedule of their sizes, and its strength."""

import pytest
import torch
import torchattacks
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from robench import evaluate
from robench.attack_tools.patches import Patches, _wave
from robench.attack_tools.randomness import generators
from robench.attack_tools.threat_models import Norm, norms
from robench.attacks.square import Square
from robench.errors import UserError
from robench.registry import attacks

Digits = tuple[Tensor, Tensor]
EPS = {"linf": 0.15, "l2": 0.9}


def patches(norm: Norm, shape: tuple[int, int, int] = (3, 8, 9), gray: bool = False) -> Patches:
    torch.manual_seed(0)
    images = torch.full((4, *shape), 0.5) if gray else torch.rand(4, *shape)
    return Patches(norm, EPS[norm], 0.8, 1000, images)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@settings(max_examples=20, deadline=None)
@given(asked=st.integers(1, 999), seed=st.integers(0, 99))
def test_proposals_stay_in_the_ball_and_in_0_1(norm: Norm, asked: int, seed: int) -> None:
    made = patches(norm)
    rows, rng = torch.arange(4), torch.Generator().manual_seed(seed)
    best = made.start(torch.rand(4, made.starts, generator=rng), rows)
    numbers = torch.rand(4, made.numbers, generator=rng)
    for point in (best, made.propose(best, torch.full((4,), asked), numbers, rows)):
        assert norms(point - made.images, norm).max() <= EPS[norm] + 1e-5
        assert point.min() >= 0
        assert point.max() <= 1


def test_a_proposal_in_linf_sets_one_square_to_the_border_of_the_ball() -> None:
    made = patches("linf", gray=True)
    rows = torch.arange(4)
    best = made.start(torch.rand(4, made.starts), rows)
    numbers = torch.tensor([[0.0, 0.999999, 0.1, 0.9, 0.1]]).expand(4, -1)
    new = made.propose(best, torch.full((4,), 150), numbers, rows)
    side = int(made.sizes(torch.tensor([150]))[0])
    delta = new - 0.5
    torch.testing.assert_close(delta.abs(), torch.full_like(delta, EPS["linf"]))
    square = (delta[:, :, :side, 9 - side :] / EPS["linf"]).round()
    assert (square.flatten(2) == torch.tensor([1.0, -1.0, 1.0])[:, None]).all()
    outside = torch.ones(8, 9, dtype=torch.bool)
    outside[:side, 9 - side :] = False
    assert torch.equal(new[:, :, outside], best[:, :, outside])


def test_every_pixel_can_be_reached() -> None:
    made = patches("linf", (1, 6, 7), gray=True)
    rows = torch.arange(4)
    touched = torch.zeros(6, 7, dtype=torch.bool)
    for _ in range(400):
        flat = torch.full((4, 1, 6, 7), 0.5)
        new = made.propose(flat, torch.full((4,), 999), torch.rand(4, made.numbers), rows)
        touched |= (new != flat).any(0).any(0)
    assert touched.all()


def test_squares_shrink_as_in_the_paper() -> None:
    made = Patches("linf", 8 / 255, 0.8, 10_000, torch.rand(1, 3, 32, 32))
    asked = torch.tensor([1, 10, 11, 51, 201, 501, 1001, 2001, 4001, 6001, 8001])
    areas = 0.8 / torch.tensor([1, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512])
    assert torch.equal(made.sizes(asked), (areas * 1024).sqrt().round().clamp_min(1).long())


def test_waves_are_two_opposite_bumps_of_length_1() -> None:
    for size in (1, 3, 5, 9):
        assert _wave(size).norm() == pytest.approx(1)
    assert (_wave(9)[:4] >= 0).all()
    assert (_wave(9)[4:] <= 0).all()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_it_is_at_least_as_strong_as_that_of_torchattacks(
    digits_net: nn.Module, digits_test: Digits, norm: Norm
) -> None:
    images, labels = (part[:60] for part in digits_test)
    eps = 0.5 * EPS[norm]
    name = f"square(norm='{norm}', eps={eps}, queries=150)"
    ours = evaluate(digits_net, images, labels, [name]).accuracy(name)
    theirs = {"linf": "Linf", "l2": "L2"}[norm]
    peer = torchattacks.Square(digits_net, norm=theirs, eps=eps, n_queries=150)
    robust = (digits_net(peer(images, labels)).argmax(1) == labels).float().mean().item()
    assert 0.05 < ours <= robust + 0.02


def test_more_queries_and_restarts_make_it_stronger(
    digits_net: nn.Module, digits_test: Digits
) -> None:
    names = ["square(eps=0.08, queries=5)", "square(eps=0.08, queries=60)"]
    names += ["square(eps=0.08, queries=5, restarts=12)"]
    found = evaluate(digits_net, *digits_test, names)
    few, many, again = (found.accuracy(name) for name in names)
    assert many < few
    assert again < few


def test_a_result_depends_neither_on_the_batch_nor_on_what_is_beside_it(
    digits_net: nn.Module, digits_test: Digits
) -> None:
    images, labels = (part[:20] for part in digits_test)
    attack = Square(eps=0.08, queries=80)
    whole = attack.perturb(digits_net, images, labels, generators(0, range(20)))
    alone = attack.perturb(digits_net, images[7:8], labels[7:8], generators(0, [7]))
    assert whole.queries is not None
    assert alone.queries is not None
    assert whole.queries[7] == alone.queries[0]
    torch.testing.assert_close(whole.images[7], alone.images[0])
    assert int(whole.queries.max()) <= 80


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        ("square(eps=8)", r"eps is 8 .* '8/255'"),
        ("square(queries=0)", r"queries is 0: it must be 1 or more"),
        ("square(area=2)", r"area is 2: it must be above 0 and at most 1"),
    ],
)
def test_options_out_of_range_are_reported_in_a_sentence(call: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        attacks.build(call)


@pytest.mark.parametrize("shape", [(1, 64, 8), (1, 64, 1), (3, 1, 40)])
def test_images_of_any_proportions_have_a_first_point_on_the_sphere(
    shape: tuple[int, int, int],
) -> None:
    made = patches("l2", shape)
    first = made.start(torch.rand(4, made.starts), torch.arange(4))
    assert first.shape == (4, *shape)
    assert (norms(first - made.images, "l2") <= EPS["l2"] * (1 + 1e-5)).all()
    assert not torch.equal(first, made.images)
