"""The operator of a module, determined from its outputs alone, as a black box."""

import math
from collections.abc import Callable

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor, nn

Map = Callable[[Tensor], Tensor]
SMALLEST_TORUS = 8
"""Side from which a 3x3 kernel, even dilated, fits as a whole."""


def linear_part(module: nn.Module) -> Map:
    """Return x -> module(x) - module(0), e.g. a convolution without its bias."""
    constants: dict[torch.Size, Tensor] = {}

    def apply(x: Tensor) -> Tensor:
        if x.shape[1:] not in constants:
            with torch.no_grad():
                constants[x.shape[1:]] = module(torch.zeros_like(x[:1]))
        return module(x) - constants[x.shape[1:]]

    return apply


@torch.no_grad()
def is_linear(apply: Map, shape: tuple[int, ...], like: Tensor) -> bool:
    """Return whether f(2x - 3y) = 2 f(x) - 3 f(y) for random x and y of ``shape``."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, 1, *shape, generator=generator).to(like)
    expected = 2 * apply(x) - 3 * apply(y)
    error = (apply(2 * x - 3 * y) - expected).abs().max()
    return bool(error <= 1e-3 * expected.abs().max())


@torch.no_grad()
def impulse_kernel(
    apply: Map, channels: int, size: tuple[int, int], like: Tensor
) -> tuple[Tensor, tuple[int, int]]:
    """Return the kernel on a torus, (out, channels, N1, N2), and the stride of an equivariant map.

    Uses one impulse per channel and pixel of the stride, at the center of an input of ``size``, at
    least 8 pixels per side; what wraps around there is treated as wrapping around the torus.
    """
    n1, n2 = (max(n, SMALLEST_TORUS) for n in size)
    m1, m2 = apply(torch.zeros(1, channels, n1, n2).to(like)).shape[-2:]
    s1, s2 = round(n1 / m1), round(n2 / m2)
    n1, n2 = s1 * m1, s2 * m2
    rows, columns = torch.arange(m1) * s1, torch.arange(m2) * s2
    kernel: Tensor | None = None
    for a in range(s1):
        for b in range(s2):
            p, q = n1 // 2 + a, n2 // 2 + b
            x = torch.zeros(channels, channels, n1, n2).to(like)
            x[torch.arange(channels), torch.arange(channels), p, q] = 1
            response = apply(x).transpose(0, 1)  # (out, channels, m1, m2)
            if kernel is None:
                kernel = response.new_zeros(response.shape[0], channels, n1, n2)
            kernel[:, :, ((p - rows) % n1)[:, None], (q - columns) % n2] = response
    assert kernel is not None
    return kernel, (s1, s2)


def largest_singular_value(apply: Map, shape: tuple[int, ...], like: Tensor) -> float:
    """Return the norm of a linear map on inputs of ``shape``, by the Lanczos method.

    The adjoint is the vector-Jacobian product of the map. The result is a lower bound with a
    relative error of at most 5e-4, usually much less.
    """
    count = math.prod(shape)
    point = torch.zeros(1, *shape).to(like).requires_grad_()
    with torch.enable_grad():
        output = apply(point)  # linear: one graph serves the adjoint for any vector

    def gram(
        x: "np.ndarray[tuple[int], np.dtype[np.float64]]",
    ) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
        with torch.no_grad():
            image = apply(torch.from_numpy(x).to(like).view(1, *shape))
        (back,) = torch.autograd.grad(output, point, image, retain_graph=True)
        return back.double().cpu().numpy().ravel()

    if count <= 2:  # too few for Lanczos
        with torch.no_grad():
            columns = apply(torch.eye(count).to(like).view(-1, *shape)).flatten(1)
        return float(torch.linalg.matrix_norm(columns.double(), ord=2))
    operator = LinearOperator((count, count), matvec=gram, dtype=np.float64)
    start = np.random.default_rng(0).standard_normal(count)
    if not gram(start).any():
        return 0.0
    value = eigsh(operator, k=1, tol=1e-3, v0=start, return_eigenvectors=False)[0]
    return math.sqrt(max(float(value), 0.0))
