"""Distances of two sets of features, by torch-fidelity's functions."""

from dataclasses import dataclass

import torch
from torch import Tensor

from robench.errors import UserError
from robench.gan.metrics.library import fidelity

SUBSETS, SUBSET = 100, 1000
"""Subsets of the kernel distance and images in each, as usual; at most half of the images."""


@dataclass(frozen=True)
class KernelDistance:
    """The mean over subsets, which is unbiased and may be below 0, and their deviation."""

    mean: float
    std: float


def frechet_distance(samples: Tensor, images: Tensor) -> float:
    """Return the Frechet distance of two Gaussians with the features' means and covariances.

    |m - m'|^2 + tr(C + C' - 2 (C C')^(1/2)), with covariances over n - 1. It is biased: it falls
    with the number of samples.

    Args:
        samples: features (N, d).
        images: features (M, d).

    Raises:
        UserError: if there are fewer than two of them, or one is not finite.
    """
    _check(samples, images)
    fid = fidelity("metric_fid")
    statistics = [fid.fid_features_to_statistics(f.double().cpu()) for f in (samples, images)]
    found = fid.fid_statistics_to_metric(*statistics, verbose=False)
    return float(found[fid.KEY_METRIC_FID])


def kernel_distance(samples: Tensor, images: Tensor, seed: int = 0) -> KernelDistance:
    """Return the squared maximum mean discrepancy for (x^T y / d + 1)^3, unbiased.

    Args:
        samples: features (N, d).
        images: features (M, d).
        seed: the seed of the subsets.

    Raises:
        UserError: see :func:`frechet_distance`.
    """
    _check(samples, images)
    kid = fidelity("metric_kid")
    size = max(2, min(SUBSET, len(samples) // 2, len(images) // 2))
    found = kid.kid_features_to_metric(
        samples.double().cpu(),
        images.double().cpu(),
        kid_subsets=SUBSETS,
        kid_subset_size=size,
        rng_seed=seed,
        verbose=False,
    )
    return KernelDistance(found[kid.KEY_METRIC_KID_MEAN], found[kid.KEY_METRIC_KID_STD])


def _check(*features: Tensor) -> None:
    for each in features:
        if len(each) < 2:
            raise UserError("a distance of features needs at least 2 samples and 2 images.")
        if not torch.isfinite(each).all():
            raise UserError("a feature is not finite: the extractor does not fit these images.")
