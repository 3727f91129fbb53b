"""Common corruptions, against what their definitions say of simple images."""

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from robench.attack_tools.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from robench.attack_tools.corruptions.blur import along_line, enlarge
from robench.attack_tools.corruptions.draws import Draws
from robench.attack_tools.corruptions.weather import cloud

KEEP_A_CONSTANT = [
    "defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "contrast", "elastic_transform",
    "pixelate", "jpeg_compression",
]  # fmt: skip
LEVEL = 1 / 255


def rng(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def flat(level: int, channels: int = 3, side: int = 32) -> Tensor:
    """An image whose values are all ``level / 255``."""
    return torch.full((channels, side, side), level / 255)


def picture(channels: int = 3, side: int = 32) -> Tensor:
    values = torch.randint(0, 256, (channels, side, side), generator=rng(7))
    return values / 255


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("severity", SEVERITIES)
def test_a_corrupted_image_could_be_a_file(name: str, severity: int) -> None:
    corrupted = corrupt(picture(), name, severity, rng())
    assert corrupted.shape == (3, 32, 32)
    levels = corrupted * 255
    torch.testing.assert_close(levels, levels.round(), rtol=0, atol=1e-4)
    assert 0 <= corrupted.min() <= corrupted.max() <= 1
    assert not torch.equal(corrupted, picture())


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_it_depends_on_the_generator_alone(name: str) -> None:
    first, again = (corrupt(picture(), name, 5, rng(3)) for _ in range(2))
    assert torch.equal(first, again)


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize(("channels", "side"), [(1, 28), (3, 64)])
def test_gray_images_and_other_sizes_can_be_corrupted(name: str, channels: int, side: int) -> None:
    assert corrupt(picture(channels, side), name, 3, rng()).shape == (channels, side, side)


@pytest.mark.parametrize("name", KEEP_A_CONSTANT)
def test_what_only_moves_or_averages_pixels_keeps_a_flat_image(name: str) -> None:
    corrupted = corrupt(flat(120), name, 5, rng())
    assert (corrupted - flat(120)).abs().max() <= 1.01 * LEVEL


@pytest.mark.parametrize(("severity", "std"), [(1, 0.04), (5, 0.10)])
def test_gaussian_noise_has_its_standard_deviation(severity: int, std: float) -> None:
    noise = corrupt(flat(128, side=64), "gaussian_noise", severity, rng()) - flat(128, side=64)
    assert noise.std().item() == pytest.approx(std, rel=0.05)
    assert noise.mean().abs() < 0.1 * std


def test_shot_noise_has_a_variance_proportional_to_the_brightness() -> None:
    variances = [
        corrupt(flat(level, side=64), "shot_noise", 3, rng()).var().item() for level in (50, 150)
    ]
    assert variances[0] == pytest.approx(50 / 255 / 100, rel=0.1)
    assert variances[1] / variances[0] == pytest.approx(3, rel=0.1)


@pytest.mark.parametrize(("severity", "share"), [(1, 0.01), (5, 0.07)])
def test_impulse_noise_sets_a_share_of_the_values_to_black_or_white(
    severity: int, share: float
) -> None:
    corrupted = corrupt(flat(100, side=64), "impulse_noise", severity, rng())
    hit = corrupted != flat(100, side=64)
    assert hit.float().mean().item() == pytest.approx(share, rel=0.15)
    assert set(corrupted[hit].tolist()) == {0.0, 1.0}


@pytest.mark.parametrize(("severity", "kept"), [(1, 0.75), (5, 0.15)])
def test_contrast_keeps_means_and_scales_deviations(severity: int, kept: float) -> None:
    before, after = picture(), corrupt(picture(), "contrast", severity, rng())
    torch.testing.assert_close(after.mean((1, 2)), before.mean((1, 2)), rtol=0, atol=LEVEL)
    assert (after.std() / before.std()).item() == pytest.approx(kept, rel=0.02)


def test_brightness_is_added_to_the_largest_channel_and_keeps_the_hue() -> None:
    color = torch.tensor([0.6, 0.3, 0.0]).reshape(3, 1, 1).expand(3, 32, 32)
    brighter = corrupt(color, "brightness", 3, rng())[:, 0, 0]
    torch.testing.assert_close(brighter, torch.tensor([0.75, 0.375, 0.0]), rtol=0, atol=LEVEL)


def test_fog_is_no_brighter_than_the_brightest_pixel() -> None:
    assert corrupt(flat(100), "fog", 5, rng()).max() <= 100 / 255
    assert corrupt(flat(0), "fog", 5, rng()).max() == 0


@pytest.mark.parametrize("name", ["snow", "frost"])
def test_snow_and_frost_only_add_light_to_a_dark_image(name: str) -> None:
    corrupted = corrupt(flat(20), name, 1, rng())
    assert (corrupted >= flat(20) - LEVEL).all()
    assert corrupted.mean() > 1.2 * 20 / 255


def test_a_line_blur_of_a_point_lies_on_one_side_of_it() -> None:
    point = np.zeros((21, 21, 1))
    point[10, 10] = 1
    blurred = along_line(point, radius=4, sigma=2.0, degrees=0)[..., 0]
    weights = np.exp(-(np.arange(9) ** 2) / 8)
    np.testing.assert_allclose(blurred[10, 2:11], (weights / weights.sum())[::-1])
    assert blurred.sum() == pytest.approx(1)


def test_enlarging_by_one_changes_nothing() -> None:
    image = picture().permute(1, 2, 0).double().numpy()
    np.testing.assert_allclose(enlarge(image, 1.0), image)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (28, 20), (1, 5)])
def test_a_cloud_lies_between_zero_and_one(height: int, width: int) -> None:
    values = cloud(height, width, 2.0, Draws(rng()))
    assert values.shape == (height, width)
    assert 0 <= values.min() <= values.max() <= 1
    assert values.std() > 0.05 or width == 5
