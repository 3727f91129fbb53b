"""``robench show``: attacks on a small trained network, and the choice of images."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from robench.commands.attack import Target, attack_target
from robench.commands.show import choose, show_attacks
from robench.data import balanced_sample, load_dataset
from robench.errors import UserError

DEFAULTS = {"eps": "30/255", "step_size": "10/255"}
ATTACKS = ["pgd-4", "simba(max_steps=30, samples=40)"]


@pytest.fixture
def target(digits_net: nn.Module) -> Target:
    return Target(digits_net, balanced_sample(load_dataset("digits").test, 60), "a net; digits")


def test_what_is_shown_is_what_was_evaluated(target: Target, tmp_path: Path) -> None:
    gallery = show_attacks(
        target, ATTACKS, tmp_path / "a.png", classes="abcdefghij", defaults=DEFAULTS, images=7
    )
    result = attack_target(target, ATTACKS, defaults=DEFAULTS)
    clean, labels = target.sample.images.float() / 255, target.sample.labels
    for number, image in enumerate(gallery.clean.images):
        row = int((clean == image).flatten(1).all(1).nonzero()[0])
        assert row < 40  # seen by both attacks
        assert labels[row] == gallery.labels[number]
        for column in gallery.attacks:
            outcomes = result.attacks[column.title]
            fooled = column.logits[number].argmax() != labels[row]
            assert bool(fooled) == bool(outcomes.fooled[row])
            change = column.images[number] - image
            assert change.abs().max().item() == pytest.approx(outcomes.linf[row], rel=1e-5)
    assert [column.norm for column in gallery.attacks] == ["linf", "l2"]
    assert gallery.classes == tuple("abcdefghij")
    pgd = result.attacks["pgd-4"]
    assert f"pgd-4 (linf, eps 30/255) fooled {pgd.fooled.sum()} of {pgd.correct.sum()}." in (
        gallery.caption
    )
    assert f"a net; digits, {result.clean.sum()} of them right." in gallery.caption
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_the_same_call_gives_the_same_file(target: Target, tmp_path: Path) -> None:
    files = [tmp_path / "a.svg", tmp_path / "b.svg"]
    for path in files:
        show_attacks(target, ["pgd-2"], path, defaults=DEFAULTS, images=3)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_classes_without_names_are_numbered_and_few_images_are_all_shown(
    digits_net: nn.Module, tmp_path: Path
) -> None:
    few = Target(digits_net, balanced_sample(load_dataset("digits").test, 3), "t")
    gallery = show_attacks(few, ["noise"], tmp_path / "a.png", defaults=DEFAULTS, images=8)
    assert len(gallery) == 3
    assert gallery.classes == tuple("0123456789")


@pytest.mark.parametrize(
    ("attacks", "name", "images", "sentence"),
    [
        ([], "a.png", 8, "name an attack to show"),
        (["pgd-2"], "a.jpeg", 8, "end it in"),
        (["pgd-2"], "a.png", 0, "0 images were requested"),
        (["pdg"], "a.png", 8, "pdg"),
    ],
)
def test_mistakes_are_reported(
    attacks: list[str], name: str, images: int, sentence: str, target: Target, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=sentence):
        show_attacks(target, attacks, tmp_path / name, images=images)
    assert not list(tmp_path.iterdir())


@settings(max_examples=200, deadline=None)
@given(
    samples=st.lists(
        st.tuples(st.integers(0, 3), st.booleans(), st.integers(0, 2)), min_size=1, max_size=40
    ),
    count=st.integers(1, 12),
)
def test_the_choice_is_fair(samples: list[tuple[int, bool, int]], count: int) -> None:
    labels, right, fooled = (torch.tensor(column) for column in zip(*samples, strict=True))
    chosen = choose(labels, right, fooled, count)
    assert len(set(chosen.tolist())) == len(chosen) == min(count, len(samples))
    assert torch.equal(chosen, choose(labels, right, fooled, count))
    rights = int(right.sum())
    assert int(right[chosen].sum()) == min(rights, count)  # right ones first
    kinds = fooled[right].unique().tolist()
    shown = fooled[chosen][right[chosen]]
    if len(kinds) <= count:
        assert set(shown.tolist()) == set(kinds)  # at least one of each
    assert labels[chosen].tolist() == sorted(labels[chosen].tolist())


def test_fooled_ones_and_survivors_are_in_proportion_and_the_classes_take_turns() -> None:
    labels = torch.arange(100) % 10
    fooled = (torch.arange(100) >= 75).long()
    chosen = choose(labels, torch.ones(100, dtype=torch.bool), fooled, 8)
    assert int(fooled[chosen].sum()) == 2
    assert len(labels[chosen].unique()) == 8
    rare = (torch.arange(100) == 57).long()
    chosen = choose(labels, torch.ones(100, dtype=torch.bool), rare, 8)
    assert 57 in chosen.tolist()
    assert np.unique(rare[chosen], return_counts=True)[1].tolist() == [7, 1]
