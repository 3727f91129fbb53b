"""Losses, prepared images and symptoms against their formulas."""

import math

import pytest
import torch

from robench.errors import UserError
from robench.gan.batches import Batches, Draw, generator_of, prepared
from robench.gan.losses import LOSSES
from robench.gan.sampling import to_8_bits
from robench.gan.spec import GanSpec
from robench.gan.symptoms import LogRow, diversity, symptoms

REAL, FAKE = torch.tensor([2.0, 0.25, -1.0]), torch.tensor([-3.0, 0.5])


def test_hinge() -> None:
    # max(0, 1 - D(x)): 0, 0.75, 2; max(0, 1 + D(G(z))): 0, 1.5
    assert LOSSES["hinge"].discriminator(REAL, FAKE).item() == pytest.approx(2.75 / 3 + 0.75)
    assert LOSSES["hinge"].generator(FAKE).item() == pytest.approx(1.25)


def test_softplus() -> None:
    def log1p_exp(x: float) -> float:
        return math.log(1 + math.exp(x))

    real = sum(log1p_exp(-x) for x in REAL.tolist()) / 3
    fake = sum(log1p_exp(x) for x in FAKE.tolist()) / 2
    assert LOSSES["softplus"].discriminator(REAL, FAKE).item() == pytest.approx(real + fake)
    generator = sum(log1p_exp(-x) for x in FAKE.tolist()) / 2
    assert LOSSES["softplus"].generator(FAKE).item() == pytest.approx(generator)


def test_images_are_spread_over_their_steps() -> None:
    images = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16).expand(200, 3, 16, 16)
    seen = prepared(images, torch.Generator().manual_seed(0))
    noise = seen - (images.float() / 128 - 1)
    assert seen.min() >= -1
    assert seen.max() < 1 + 1e-6
    assert noise.min() >= -1e-6
    assert noise.max() <= 1 / 128 + 1e-6
    assert noise.mean().item() == pytest.approx(1 / 256, rel=0.01)


def test_samples_are_clamped_and_truncated() -> None:
    values = torch.tensor([-1.2, -1.0, -0.999, 0.0, 0.9999, 1.0, 3.0])
    assert to_8_bits(values).tolist() == [0, 0, 0, 127, 254, 255, 255]


def test_each_pass_shows_every_image_once_in_another_order() -> None:
    images = torch.arange(12, dtype=torch.uint8).reshape(12, 1, 1, 1).expand(12, 3, 2, 2)
    batches = Batches(images, 4, seed=3, device=torch.device("cpu"))
    passes = [torch.cat([batches.batch(3 * p + i)[:, 0, 0, 0] for i in range(3)]) for p in range(2)]
    shown = [((part + 1) * 128).floor().long().tolist() for part in passes]
    assert sorted(shown[0]) == sorted(shown[1]) == list(range(12))
    assert shown[0] != shown[1]
    assert torch.equal(batches.batch(1), passes[0][4:8, None, None, None].expand(4, 3, 2, 2)) is (
        False
    )  # each pixel has noise of its own
    again = Batches(images, 4, seed=3, device=torch.device("cpu"))
    assert torch.equal(again.batch(5), batches.batch(5))  # whatever was drawn before


def test_streams_of_random_numbers_differ() -> None:
    drawn = {
        float(torch.rand(1, generator=generator_of(seed, draw, number)))
        for seed in range(2)
        for draw in Draw
        for number in range(2)
    }
    assert len(drawn) == 4 * len(Draw)


def test_fewer_images_than_a_batch_are_refused() -> None:
    with pytest.raises(UserError, match="3 training images, fewer than batch_size = 4"):
        Batches(torch.zeros(3, 3, 2, 2, dtype=torch.uint8), 4, 0, torch.device("cpu"))


def test_copies_in_groups_have_no_diversity() -> None:
    images = torch.randint(0, 256, (16, 3, 8, 8), dtype=torch.uint8)
    assert diversity(images, images) == 1
    assert diversity(images[:4].repeat(4, 1, 1, 1), images) == 0
    assert 0 < diversity(images // 16, images) < 0.1


def row(step: int, loss: float = 1.0, different: float = 0.5) -> LogRow:
    return LogRow(step, 0.1, loss, 0.0, 0.0, 0.0, different, 1.0)


def test_symptoms_are_named_only_if_they_last_to_the_end() -> None:
    assert symptoms([row(1), row(2), row(3)]) == {}
    assert symptoms([row(1, 0), row(2, 0), row(3, 0), row(4)]) == {}
    assert symptoms([row(1), row(2, 0), row(3, 0)]) == {}
    found = symptoms([row(1), row(2, 0, 0.05), row(3, 0, 0.05), row(4, 0, 0.02)])
    assert found.keys() == {"zero_loss", "repeated_samples"}
    assert "since step 2" in found["zero_loss"]
    assert "0.02 times as far" in found["repeated_samples"]


def test_the_rate_falls_to_zero_along_a_line() -> None:
    spec = GanSpec(steps=4, lr=1.0)
    assert [spec.rate_at(step) for step in range(4)] == [1.0, 0.75, 0.5, 0.25]
    assert GanSpec(steps=4, lr=1.0, decay="none").rate_at(3) == 1


def test_snapshots_are_at_equal_distances() -> None:
    assert GanSpec(steps=100, snapshots=3).snapshot_steps == (25, 50, 75)
    assert GanSpec(steps=2, snapshots=5).snapshot_steps == (1,)
    assert GanSpec(steps=100).snapshot_steps == ()


def test_each_architecture_has_its_own_width() -> None:
    assert GanSpec().width == 128
    assert GanSpec(architecture="sngan_cnn").width == 64
    assert GanSpec(architecture="sngan_cnn", width=5).width == 5
