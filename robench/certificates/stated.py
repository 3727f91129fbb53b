"""What a layer states of itself, put to the test: by its derivative, and by pairs of points."""

import torch
from torch import Tensor, nn

from robench.base.layer_bound import LayerBound
from robench.certificates.bounds import gamma
from robench.diagnostics.probing import Map, largest_singular_value, linear_part
from robench.errors import UserError, first_line

SIZES = (1.0, 30.0)
"""Standard deviations of the points: a layer may be steeper far from zero."""

SLACK = 1 + 1e-6
"""What is measured may exceed a bound by so much."""

DISTANCES = (1e-8, 1e-3, 1.0, 30.0)
"""Between the points of a pair, per component: the least shows steps, as of a layer in float32."""


def contradict(layer: nn.Module, shape: tuple[int, ...], stated: LayerBound) -> None:
    """Raise an error if a layer expands more than it states.

    Args:
        layer: the layer, in float64 and eval mode.
        shape: shape of its input, (C, H, W) or (features,).
        stated: what it states.

    Raises:
        UserError: the end of a sentence about the layer.
    """
    generator = torch.Generator().manual_seed(0)
    points = [
        size * torch.randn(1, *shape, generator=generator, dtype=torch.float64) for size in SIZES
    ]
    found = max(
        _quotient(layer, point, distance * torch.randn(point.shape, generator=generator), stated)
        for point in points
        for distance in DISTANCES
    )
    # A convolution is its own derivative.
    linear = isinstance(layer, nn.Conv2d)
    tangent = linear_part(layer) if linear else _derivative(layer, points[0])
    try:
        found = max(found, largest_singular_value(tangent, shape, points[0]))
    except RuntimeError as error:
        if found <= stated.norm * SLACK:
            raise UserError(
                f"it has no derivative ({first_line(error)}), so that the bound that it "
                f"states cannot be put to the test"
            ) from error
    if found > stated.norm * SLACK:
        raise UserError(
            f"its norm is at least {found:.4g}, more than the {stated.norm:.4g} that it states"
        )


@torch.no_grad()
def _quotient(layer: nn.Module, one: Tensor, step: Tensor, stated: LayerBound) -> float:
    """Return how much farther apart two points are, less what the layer says that it rounds."""
    other = one + step
    distance = float((one - other).norm())
    size = max(float(one.norm()), float(other.norm()))
    rounded = gamma(stated.terms) * (stated.absolute * size + stated.shift)
    # Copies, since a layer may write into what it is given.
    after = float((layer(one.clone()) - layer(other.clone())).norm()) - 2 * rounded
    return after / distance


def _derivative(layer: nn.Module, point: Tensor) -> Map:
    """Return the linear map v -> J v of a layer's derivative J, as that of u -> J^T u."""

    @torch.enable_grad()
    def apply(direction: Tensor) -> Tensor:
        x = point.detach().clone().requires_grad_()
        y = layer(x)
        u = torch.zeros_like(y, requires_grad=True)
        (back,) = torch.autograd.grad(y, x, u, create_graph=True)
        return torch.autograd.grad(back, u, direction, create_graph=True)[0]

    return apply
