"""The circular operator of a convolution, as matrices, one a frequency (Sedghi et al. 2019).

On a torus of N1 x N2 pixels a convolution of stride s is, with the pixels of a stride taken as
channels (polyphase), block-diagonal in the unitary Fourier basis of M = N / s frequencies a side:
one matrix (out, in s^2) a frequency, whose singular values together are those of the operator.
A layer of n pixels that pads with zeros is a compression of the circular operator of any
N >= n + d (k - 1), so that the norm of this one bounds its own (arXiv:1805.10408).
"""

import torch
from torch import Tensor, nn

Size = tuple[int, int]


def torus_of(conv: nn.Conv2d, size: Size) -> tuple[Size, Size]:
    """Return torus and stride of a circular operator that bounds the layer on inputs of ``size``.

    Where the layer pads with zeros: the input with the kernel's reach, rounded up to a multiple of
    the stride. Where it pads circularly: the input; on sides that the stride does not divide, all
    of its pixels are kept, of which the layer's own are a part.
    """
    sides, strides = [], []
    for n, k, d, s in zip(size, conv.kernel_size, conv.dilation, conv.stride, strict=True):
        circular = conv.padding_mode == "circular"
        stride = 1 if circular and n % s else s
        sides.append(n if circular else -(-(n + d * (k - 1)) // s) * s)
        strides.append(stride)
    return (sides[0], sides[1]), (strides[0], strides[1])


def dilation_of(conv: nn.Conv2d) -> Size:
    """Return the dilation of rows and columns."""
    return conv.dilation[0], conv.dilation[1]


def repeats_pixels(conv: nn.Conv2d) -> str | None:
    """Return how the padding makes the layer's norm exceed its kernel's, or None."""
    if conv.padding_mode in ("reflect", "replicate"):
        return f"padding_mode='{conv.padding_mode}' repeats pixels, so no kernel bounds its norm"
    if conv.padding_mode == "circular":
        left, right, top, bottom = conv._reversed_padding_repeated_twice
        reach = [d * (k - 1) for d, k in zip(conv.dilation, conv.kernel_size, strict=True)]
        if left + right > reach[1] or top + bottom > reach[0]:
            return "its circular padding is wider than the kernel's reach and repeats pixels"
    return None


def on_torus(kernel: Tensor, torus: Size, dilation: Size = (1, 1)) -> Tensor:
    """Lay a kernel (..., kh, kw) on a torus (..., N1, N2), its middle at the origin.

    What reaches further than once around is added up.
    """
    for axis, (n, d) in enumerate(zip(torus, dilation, strict=True), start=-2):
        k = kernel.shape[axis]
        place = (d * (torch.arange(k, device=kernel.device) - (k - 1) // 2)) % n
        empty = kernel.new_zeros(*kernel.shape[:axis], n, *kernel.shape[axis:][1:])
        kernel = empty.index_add(axis, place, kernel)
    return kernel


def symbol(kernel: Tensor, stride: Size = (1, 1), groups: int = 1) -> Tensor:
    """Return the matrices of the half grid of frequencies.

    Args:
        kernel: what :func:`on_torus` returns, (out, in / groups, N1, N2), real; N divisible by s.
        stride: s of the convolution.
        groups: of the convolution.

    Returns:
        (M1 * (M2 // 2 + 1), groups, out / groups, in / groups * s1 * s2), complex; the other
        frequencies have the complex conjugates of these.
    """
    out, inputs, n1, n2 = kernel.shape
    s1, s2 = stride
    phases = kernel.view(out, inputs, n1 // s1, s1, n2 // s2, s2).permute(0, 1, 3, 5, 2, 4)
    spectrum = torch.fft.rfft2(phases.flatten(1, 3)).conj()  # conj: layers correlate
    return spectrum.flatten(2).permute(2, 0, 1).unflatten(1, (groups, out // groups))


def kernel_of(matrices: Tensor, torus: Size, stride: Size = (1, 1)) -> Tensor:
    """Return the kernel on its torus that has these matrices; the inverse of :func:`symbol`."""
    m1, m2 = torus[0] // stride[0], torus[1] // stride[1]
    spectrum = matrices.permute(1, 2, 3, 0).flatten(0, 1).unflatten(-1, (m1, m2 // 2 + 1))
    phases = torch.fft.irfft2(spectrum.conj(), s=(m1, m2)).unflatten(1, (-1, *stride))
    return phases.permute(0, 1, 4, 2, 5, 3).flatten(4, 5).flatten(2, 3)


def laid_out(conv: nn.Conv2d, weight: Tensor, size: Size) -> tuple[Tensor, Size]:
    """Return ``weight`` in the place of the convolution's own, on its torus, and the stride.

    Args:
        conv: gives the geometry.
        weight: (out, in / groups, kh, kw).
        size: of the inputs.
    """
    torus, stride = torus_of(conv, size)
    return on_torus(weight, torus, dilation_of(conv)), stride


def circular_operator(layer: nn.Conv2d, size: Size) -> tuple[Tensor, Size]:
    """Return kernel on a torus and stride of what ``layer`` applies to inputs of ``size``.

    A layer that does more than to correlate with its ``weight`` says what by a method of this
    name, which takes ``size``; bias and what follows linearly (``layer.affine``) are left out.
    """
    own = getattr(layer, "circular_operator", None)
    if own is not None:
        result: tuple[Tensor, Size] = own(size)
        return result
    return laid_out(layer, layer.weight, size)


def gram_bound(matrices: Tensor, steps: int = 6) -> Tensor:
    """Return an upper bound of the largest singular value of all matrices, a scalar.

        G <- G^H G,    ||W|| <= ||G_T||_F^(1 / 2^T)

    at each frequency (Delattre et al. 2023, arXiv:2305.16173), scaled on the way so that nothing
    overflows. It falls towards the norm with each step, and has no state.
    """
    if matrices.shape[-2] > matrices.shape[-1]:
        matrices = matrices.mH
    log_bound = torch.zeros((), dtype=matrices.real.dtype, device=matrices.device)
    gram = matrices
    for _ in range(steps):
        scale = torch.linalg.matrix_norm(gram, keepdim=True).clamp_min(1e-30)
        gram = gram / scale
        log_bound = 2 * (log_bound + scale.log())
        gram = gram @ gram.mH
    norms = torch.linalg.matrix_norm(gram, keepdim=True).clamp_min(1e-30)
    return ((log_bound + norms.log()) / 2**steps).amax().exp()
