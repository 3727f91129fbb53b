"""Validation split, subset, label noise, evaluation sample."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from robench.data import Images, add_label_noise, balanced_sample, split_validation, subset
from robench.errors import UserError


def images(counts: list[int]) -> Images:
    """Return ``counts[label]`` images per class; the pixel is the image's number."""
    labels = torch.cat([torch.full((count,), label) for label, count in enumerate(counts)])
    pixels = torch.arange(len(labels)).to(torch.uint8).view(-1, 1, 1, 1)
    return Images(pixels, labels)


def numbers(part: Images) -> list[int]:
    return part.images.flatten().tolist()


@given(st.lists(st.integers(1, 40), min_size=2, max_size=5), st.floats(0, 0.95), st.integers(0, 9))
def test_the_split_is_disjoint_complete_and_stratified(
    counts: list[int], fraction: float, seed: int
) -> None:
    train, val = split_validation(images(counts), fraction, seed)
    assert sorted(numbers(train) + numbers(val)) == list(range(sum(counts)))
    for label, count in enumerate(counts):
        assert (val.labels == label).sum() == round(fraction * count)


def test_the_split_depends_on_the_seed_alone() -> None:
    parts = [numbers(split_validation(images([30, 30]), 0.3, seed)[1]) for seed in (1, 1, 2)]
    assert parts[0] == parts[1]
    assert parts[0] != parts[2]


@given(st.lists(st.integers(1, 40), min_size=2, max_size=5), st.floats(0.01, 1), st.integers(0, 9))
def test_a_subset_keeps_the_share_of_each_class(
    counts: list[int], fraction: float, seed: int
) -> None:
    part = subset(images(counts), fraction, seed)
    for label, count in enumerate(counts):
        assert (part.labels == label).sum() == max(1, round(fraction * count))


def test_larger_subsets_hold_the_smaller_ones() -> None:
    small, large = (subset(images([50, 50]), fraction, seed=3) for fraction in (0.1, 0.3))
    assert set(numbers(small)) < set(numbers(large))


@given(st.integers(2, 10), st.floats(0, 0.99), st.integers(0, 99))
def test_label_noise_gives_exactly_the_rate_wrong_labels(
    classes: int, rate: float, seed: int
) -> None:
    clean = images([20] * classes)
    noisy = add_label_noise(clean, rate, classes, seed)
    assert (noisy.labels != clean.labels).sum() == round(rate * len(clean))
    assert noisy.labels.min() >= 0
    assert noisy.labels.max() < classes
    assert noisy.images is clean.images


def test_noisy_labels_are_uniform_over_the_other_classes() -> None:
    clean = Images(torch.zeros(9000, 1, 1, 1, dtype=torch.uint8), torch.zeros(9000).long())
    counts = add_label_noise(clean, 0.9, 4, seed=0).labels.bincount(minlength=4)
    assert counts[0] == 900
    assert all(2500 < count < 2900 for count in counts[1:])


def test_uniform_noise_leaves_some_of_the_chosen_labels_right() -> None:
    clean = Images(torch.zeros(9000, 1, 1, 1, dtype=torch.uint8), torch.zeros(9000).long())
    noisy = add_label_noise(clean, 0.8, 10, seed=0, mode="uniform")
    wrong = (noisy.labels != clean.labels).float().mean()
    assert wrong == pytest.approx(0.72, abs=0.01)  # 80% of the labels drawn, a tenth of them right
    counts = noisy.labels.bincount(minlength=10)
    assert all(600 < count < 840 for count in counts[1:])


@given(st.lists(st.integers(1, 20), min_size=2, max_size=5), st.data())
def test_every_prefix_of_an_evaluation_sample_is_as_balanced_as_possible(
    counts: list[int], data: st.DataObject
) -> None:
    count = data.draw(st.integers(1, sum(counts)))
    sample = balanced_sample(images(counts), count)
    assert len(set(numbers(sample))) == count
    found = [int((sample.labels == label).sum()) for label in range(len(counts))]
    for one, limit in zip(found, counts, strict=True):
        assert one == limit or one >= max(found) - 1


def test_the_first_of_a_larger_sample_are_the_smaller_sample() -> None:
    large = numbers(balanced_sample(images([20, 20, 20]), 50))
    assert large[:17] == numbers(balanced_sample(images([20, 20, 20]), 17))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda i: split_validation(i, 1.0, 0), r"validation part of 1 is not in \[0, 1\)"),
        (lambda i: subset(i, 0, 0), r"subset of 0 .* is not in \(0, 1\]"),
        (lambda i: add_label_noise(i, -0.1, 2, 0), r"label noise of -0\.1 is not in \[0, 1\)"),
        (lambda i: balanced_sample(i, 11), r"11 images are requested but there are only 10"),
    ],
)
def test_values_out_of_range_are_reported_in_one_sentence(
    call: Callable[[Images], object], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        call(images([5, 5]))
