"""Corruptions by noise: Gaussian, shot and impulse noise."""

import numpy as np

from robench.attack_tools.corruptions.draws import Draws, Floats


def gaussian_noise(image: Floats, severity: int, draws: Draws) -> Floats:
    """Add normal noise."""
    scale = (0.04, 0.06, 0.08, 0.09, 0.10)[severity - 1]
    return image + scale * draws.normal(image.shape)


def shot_noise(image: Floats, severity: int, draws: Draws) -> Floats:
    """Count photons: each value is a Poisson number divided by its largest rate."""
    photons = (500, 250, 100, 75, 50)[severity - 1]
    return draws.poisson(image * photons) / photons


def impulse_noise(image: Floats, severity: int, draws: Draws) -> Floats:
    """Set a share of the values, each channel on its own, to 0 or 1."""
    share = (0.01, 0.02, 0.03, 0.05, 0.07)[severity - 1]
    hit = draws.uniform(0, 1, image.shape) < share
    salt = draws.uniform(0, 1, image.shape) < 0.5
    return np.where(hit, salt.astype(np.float64), image)
