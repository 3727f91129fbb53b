"""The metrics of a set of samples, under their names."""

import math
from collections.abc import Mapping

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from robench.errors import UserError
from robench.gan.metrics.distances import frechet_distance, kernel_distance
from robench.gan.metrics.extractors import INCEPTION, Extractor
from robench.gan.metrics.library import fidelity

_ROUNDING = 1e-3
"""By how much rounding may lower a metric."""

_DEVIATIONS = 5
"""Standard deviations below 0 that a kernel distance does not have by chance."""


def metrics(
    extractor: Extractor, samples: tuple[Tensor, ...], images: tuple[Tensor, ...]
) -> Mapping[str, float]:
    """Return the metrics of samples by name.

    Those of Inception are ``is``, ``is_std`` (over ten splits), ``fid``, ``kid`` and ``kid_std``;
    those of another extractor ``fd_NAME``, ``kd_NAME`` and ``kd_NAME_std``, which compare with
    nothing but themselves.

    Args:
        extractor: what made the features.
        samples: what it made of the samples.
        images: what it made of images.

    Raises:
        UserError: if there are too few, a metric is not finite, or torch-fidelity is missing.
    """
    found = _metrics(extractor, samples, images)
    if odd := [name for name, value in found.items() if not math.isfinite(value)]:
        raise UserError(
            f"the metric {odd[0]} of {len(samples[0])} samples is not finite: measure more of them."
        )
    return found


def every_metric(extractor: str) -> tuple[str, ...]:
    """Return the names of all metrics that are computed of samples, also of those beside a figure.

    Args:
        extractor: what distances in its features are called after.
    """
    if extractor == INCEPTION:
        return ("is", "is_std", "fid", "kid", "kid_std")
    return (f"fd_{extractor}", f"kd_{extractor}", f"kd_{extractor}_std")


def impossible_metric(found: Mapping[str, float]) -> str | None:
    """Return the name of a metric that no samples can have; None if there is none.

    An inception score is at least 1, a Fréchet distance and a standard deviation at least 0, up to
    rounding. The estimate of a kernel distance is unbiased, so that it may be below 0, but only by
    a few of its standard deviations over subsets.

    Args:
        found: metrics by name, as :func:`metrics` returns them.
    """
    for name, value in found.items():
        least = -_ROUNDING
        if name == "is":
            least = 1 - _ROUNDING
        elif f"{name}_std" in found:
            least = -_DEVIATIONS * max(found[f"{name}_std"], 0.0) - _ROUNDING
        if not least <= value < math.inf:
            return name
    return None


def _metrics(
    extractor: Extractor, samples: tuple[Tensor, ...], images: tuple[Tensor, ...]
) -> Mapping[str, float]:
    # As many threads as torch has, or figures would depend on the process that computes them.
    with threadpool_limits(torch.get_num_threads(), user_api="blas"):
        distance = frechet_distance(samples[0], images[0])
        kernel = kernel_distance(samples[0], images[0])
    if extractor.name != INCEPTION:
        fd, kd = f"fd_{extractor.name}", f"kd_{extractor.name}"
        return {fd: distance, kd: kernel.mean, f"{kd}_std": kernel.std}
    isc = fidelity("metric_isc")
    score = isc.isc_features_to_metric(samples[1])
    return {
        "is": score[isc.KEY_METRIC_ISC_MEAN],
        "is_std": score[isc.KEY_METRIC_ISC_STD],
        "fid": distance,
        "kid": kernel.mean,
        "kid_std": kernel.std,
    }
