"""SimBA: Algorithm 1 of Guo et al. 2019, batched, with exact accounting."""

from typing import Literal

import numpy as np
import pytest
import torch
from scipy.fft import dctn
from torch import Tensor, nn

from robench.attack_tools.randomness import generators, permutations
from robench.attacks import SimBA
from robench.errors import UserError
from robench.registry import attacks

Digits = tuple[Tensor, Tensor]


def one_image(
    model: nn.Module,
    image: Tensor,
    label: int,
    order: list[int],
    step: float,
    dtype: torch.dtype = torch.float64,
) -> tuple[Tensor, int, bool]:
    """Algorithm 1 for one image, written plainly: probabilities, one query at a time."""

    def probability(x: Tensor) -> tuple[float, bool]:
        logits = model(x[None])[0].to(dtype)
        return logits.softmax(0)[label].item(), int(logits.argmax()) != label

    x, queries = image.clone(), 0
    best, fooled = probability(x)
    for coordinate in order:
        if fooled:
            break
        for sign in (-1, 1):
            candidate = x.clone().flatten()
            candidate[coordinate] = (candidate[coordinate] + sign * step).clamp(0, 1)
            candidate = candidate.view_as(x)
            queries += 1
            p, is_fooled = probability(candidate)
            if p < best and not torch.equal(candidate, x):
                x, best, fooled = candidate, p, is_fooled
                break
    return x, queries, fooled


@pytest.mark.parametrize(("step", "max_steps"), [(0.2, None), (0.5, 20)])
def test_it_agrees_image_by_image_with_the_algorithm_written_plainly(
    digits_net: nn.Module, digits_test: Digits, step: float, max_steps: int | None
) -> None:
    images, labels = (part[:12] for part in digits_test)
    with torch.no_grad():
        result = SimBA(step=step, max_steps=max_steps).perturb(
            digits_net, images, labels, generators(3, range(12))
        )
        orders = permutations(generators(3, range(12)), 64)[:, :max_steps].tolist()
        for i in range(12):
            x, queries, fooled = one_image(digits_net, images[i], int(labels[i]), orders[i], step)
            assert result.queries[i] == queries
            torch.testing.assert_close(result.images[i], x)
            assert (digits_net(result.images[i : i + 1]).argmax() != labels[i]) == fooled


class Sharp(nn.Module):
    """The same predictions with logits that are ``factor`` times as far apart."""

    def __init__(self, model: nn.Module, factor: float) -> None:
        super().__init__()
        self.model, self.factor = model, factor

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images) * self.factor


def test_by_probability_it_is_the_algorithm_with_a_softmax_in_float32(
    digits_net: nn.Module, digits_test: Digits
) -> None:
    images, labels = (part[:12] for part in digits_test)
    sharp = Sharp(digits_net, 3)
    with torch.no_grad():
        result = SimBA(score="probability").perturb(sharp, images, labels, generators(3, range(12)))
        orders = permutations(generators(3, range(12)), 64).tolist()
        for i in range(12):
            x, queries, fooled = one_image(
                sharp, images[i], int(labels[i]), orders[i], 0.2, torch.float32
            )
            assert result.queries[i] == queries
            torch.testing.assert_close(result.images[i], x)
            assert (sharp(result.images[i : i + 1]).argmax() != labels[i]) == fooled


@pytest.mark.parametrize("mode", ["paper", "original"])
def test_where_the_probability_is_exactly_1_only_log_odds_find_a_direction(
    digits_net: nn.Module, digits_test: Digits, mode: Literal["paper", "original"]
) -> None:
    images = digits_test[0]
    with torch.no_grad():
        sharp = Sharp(digits_net, 1000)
        labels = sharp(images).argmax(1)
        sure = sharp(images).softmax(1).amax(1) == 1
    images, labels = images[sure], labels[sure]
    assert len(images) > 50

    def attack(score: Literal["probability", "log-odds"]) -> tuple[Tensor, Tensor]:
        simba = SimBA(mode=mode, score=score, max_steps=30)
        result = simba.perturb(sharp, images, labels, generators(0, range(len(images))))
        return result.images, result.queries

    blind, queries = attack("probability")
    unchanged = (blind == images).flatten(1).all(1)
    # A single step can cross the boundary; short of that, nothing is ever kept.
    assert unchanged.float().mean() > 0.8
    assert (queries[unchanged] == 2 * 30).all()
    found, fewer = attack("log-odds")
    assert (sharp(found).argmax(1) != labels).sum() > 2 * (~unchanged).sum()
    assert fewer.float().mean() < queries.float().mean()


def test_the_score_that_a_mode_has_by_default_is_that_of_its_source() -> None:
    assert SimBA().score is None
    assert SimBA(mode="original") == SimBA(mode="original", score="probability")
    assert SimBA(mode="original", score="log-odds").score == "log-odds"


class Counting(nn.Module):
    """Counts the images that a model is called with."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.images = model, 0

    def forward(self, images: Tensor) -> Tensor:
        self.images += len(images)
        return self.model(images)


def test_forwards_are_the_images_that_the_model_was_really_called_with(
    digits_net: nn.Module, digits_test: Digits
) -> None:
    images, labels = (part[:20] for part in digits_test)
    model = Counting(digits_net)
    result = SimBA().perturb(model, images, labels, generators(0, range(20)))
    assert result.forwards.sum() == model.images
    assert (result.forwards == result.queries + 1).all()


def test_it_succeeds_and_stops_there(digits_net: nn.Module, digits_test: Digits) -> None:
    images, labels = digits_test
    result = SimBA(max_steps=40).perturb(digits_net, images, labels, generators(0, range(100)))
    fooled = digits_net(result.images).argmax(1) != labels
    assert 0.2 < fooled.float().mean() < 1
    assert result.queries[fooled].float().mean() < result.queries[~fooled].float().mean()
    assert (result.queries <= 2 * 40).all()
    assert result.images.min() >= 0
    assert result.images.max() <= 1


def test_batches_of_any_size_and_order_give_the_same(
    digits_net: nn.Module, digits_test: Digits
) -> None:
    images, labels = (part[:10] for part in digits_test)
    whole = SimBA().perturb(digits_net, images, labels, generators(0, range(10)))
    for i in range(10):
        alone = SimBA().perturb(
            digits_net, images[i : i + 1], labels[i : i + 1], generators(0, [i])
        )
        assert torch.equal(alone.images[0], whole.images[i])
        assert alone.queries[0] == whole.queries[i]


def authors_batch_code(
    model: nn.Module, images: Tensor, labels: Tensor, order: list[int], step: float
) -> tuple[Tensor, Tensor]:
    """The batch code of Guo et al., written plainly; returns images and charged queries."""
    x, queries = images.flatten(1).clone(), torch.zeros(len(images), dtype=torch.int64)

    def probabilities(flat: Tensor, rows: Tensor) -> Tensor:
        logits = model(flat.clamp(0, 1).view(-1, *images.shape[1:]))
        return logits.softmax(1).gather(1, labels[rows, None]).squeeze(1)

    before = probabilities(x, torch.arange(len(x)))
    for coordinate in order:
        wrong = model(x.clamp(0, 1).view_as(images)).argmax(1) != labels
        rows = (~wrong).nonzero().squeeze(1)
        if not len(rows):
            break
        left, right = x[rows].clone(), x[rows].clone()
        left[:, coordinate] -= step
        right[:, coordinate] += step
        p_left, p_right = probabilities(left, rows), probabilities(right, rows)
        improved = p_left < before[rows]
        queries[rows] += 1 + (~improved).long()
        right_improved = p_right < torch.minimum(before[rows], p_left)
        for keep, new, p in ((improved, left, p_left), (right_improved, right, p_right)):
            x[rows[keep]] = new[keep]
            before[rows[keep]] = p[keep]
    return x.clamp(0, 1).view_as(images), queries


def test_the_original_mode_does_and_charges_what_the_authors_batch_code_does(
    digits_net: nn.Module, digits_test: Digits
) -> None:
    images, labels = digits_test
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0)).tolist()
    with torch.no_grad():
        expected, queries = authors_batch_code(digits_net, images, labels, order[:40], 0.2)
    attack = SimBA(mode="original", max_steps=40)
    result = attack.perturb(digits_net, images, labels, generators(0, range(100)))
    torch.testing.assert_close(result.images, expected)
    assert result.queries is not None
    assert torch.equal(result.queries, queries)
    assert result.forwards is not None
    tried = (result.forwards - 1) // 2
    assert (result.forwards % 2 == 1).all()  # the image, then both signs of each coordinate
    assert (result.queries <= 2 * tried).all()
    assert (result.queries >= tried).all()
    assert result.forwards.sum() > result.queries.sum()


@pytest.mark.parametrize("frequencies", [None, 3])
def test_in_the_dct_basis_images_change_along_cosines(
    digits_net: nn.Module, digits_test: Digits, frequencies: int | None
) -> None:
    gray = digits_test[0] * 0.2 + 0.4  # far from 0 and 1, where nothing is clamped
    labels = digits_net(gray).argmax(1)
    attack = SimBA(basis="dct", step=0.05, frequencies=frequencies, max_steps=6)
    result = attack.perturb(digits_net, gray, labels, generators(0, range(100)))
    coefficients = dctn((result.images - gray).numpy(), axes=(2, 3), norm="ortho")
    sizes = np.abs(coefficients)
    moved = sizes > 0.01
    np.testing.assert_allclose(sizes[moved], 0.05, atol=1e-4)
    assert moved.sum((1, 2, 3)).max() <= 6
    assert moved.any()
    if frequencies:
        assert not moved[:, :, frequencies:].any()
        assert not moved[:, :, :, frequencies:].any()


def test_a_targeted_search_stops_at_its_target(digits_net: nn.Module, digits_test: Digits) -> None:
    images, labels = digits_test
    rngs = generators(0, range(100))
    result = SimBA(targeted=True, step=0.5).perturb(digits_net, images, labels, rngs)
    found = digits_net(result.images).argmax(1)
    untargeted = SimBA(step=0.5).perturb(digits_net, images, labels, generators(0, range(100)))
    assert result.queries is not None
    assert untargeted.queries is not None
    assert (found != labels).float().mean() > 0.5
    assert len(found[found != labels].unique()) > 5
    assert result.queries.float().mean() > untargeted.queries.float().mean()


def test_the_inputs_are_not_changed(digits_net: nn.Module, digits_test: Digits) -> None:
    images, labels = digits_test
    before = images.clone()
    SimBA(max_steps=5).perturb(digits_net, images, labels, generators(0, range(100)))
    assert torch.equal(images, before)


def test_images_that_are_fooled_already_cost_nothing(
    digits_net: nn.Module, digits_test: Digits
) -> None:
    images, labels = digits_test
    wrong = (labels + 1) % 10
    result = SimBA().perturb(digits_net, images, wrong, generators(0, range(100)))
    assert (result.queries == 0).all()
    assert torch.equal(result.images, images)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [("simba(step=0)", "step is 0"), ("simba(step=2)", "step is 2"),
     ("simba(max_steps=0)", "max_steps is 0"), ('simba(basis="dct2")', "basis = 'dct2'"),
     ("simba(frequencies=3)", "frequencies are for the basis 'dct'")],
)  # fmt: skip
def test_options_out_of_range_are_reported_in_a_sentence(call: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        attacks.build(call)
