"""The circular operator of a convolution as one matrix per frequency (Sedghi et al. 2019).

On a torus of N1 x N2 pixels, a convolution of stride s, with the pixels of a stride taken as
channels (polyphase), is block-diagonal in the unitary Fourier basis of M = N / s frequencies per
side: one matrix (out, in s^2) per frequency, whose singular values together are those of the
operator. A layer on n pixels that pads with zeros is a compression of the circular operator for any
N >= n + d (k - 1), so the norm of the latter bounds that of the former (arXiv:1805.10408).
"""

import torch
from torch import Tensor, nn

from robench.kernels.real_fft import of_taps, rfft2, waves
from robench.layers.contenders import contenders

Size = tuple[int, int]

STEPS = 6
"""Gram iterations, with which a bound exceeds the norm by r^(1/128) at most, r the rank."""


def torus_of(conv: nn.Conv2d, size: Size) -> tuple[Size, Size]:
    """Return torus and stride of a circular operator that bounds the layer on inputs of ``size``.

    If the layer pads with zeros: the input plus the kernel's reach, rounded up to a multiple of
    the stride. If it pads circularly: the input; along sides that the stride does not divide, all
    output pixels are kept, a superset of those of the layer.
    """
    sides, strides = [], []
    for n, k, d, s in zip(size, conv.kernel_size, conv.dilation, conv.stride, strict=True):
        circular = conv.padding_mode == "circular"
        stride = 1 if circular and n % s else s
        sides.append(n if circular else -(-(n + d * (k - 1)) // s) * s)
        strides.append(stride)
    return (sides[0], sides[1]), (strides[0], strides[1])


def dilation_of(conv: nn.Conv2d) -> Size:
    """Return the dilation along rows and columns."""
    return conv.dilation[0], conv.dilation[1]


def repeats_pixels(conv: nn.Conv2d) -> str | None:
    """Return why the padding lets the layer's norm exceed its kernel's; None if it does not."""
    if conv.padding_mode in ("reflect", "replicate"):
        return f"padding_mode='{conv.padding_mode}' repeats pixels, so no kernel bounds its norm"
    if conv.padding_mode == "circular":
        left, right, top, bottom = conv._reversed_padding_repeated_twice
        reach = [d * (k - 1) for d, k in zip(conv.dilation, conv.kernel_size, strict=True)]
        if left + right > reach[1] or top + bottom > reach[0]:
            return "its circular padding is wider than the kernel's reach and repeats pixels"
    return None


def on_torus(kernel: Tensor, torus: Size, dilation: Size = (1, 1)) -> Tensor:
    """Place a kernel (..., kh, kw) on a torus (..., N1, N2), with its center at the origin.

    Taps that wrap around to the same position are added.
    """
    for axis, (n, d) in enumerate(zip(torus, dilation, strict=True), start=-2):
        k = kernel.shape[axis]
        position = (d * (torch.arange(k, device=kernel.device) - (k - 1) // 2)) % n
        empty = kernel.new_zeros(*kernel.shape[:axis], n, *kernel.shape[axis:][1:])
        kernel = empty.index_add(axis, position, kernel)
    return kernel


def symbol(kernel: Tensor, stride: Size = (1, 1), groups: int = 1) -> Tensor:
    """Return the matrices of a kernel on the half grid of frequencies.

    Args:
        kernel: the result of :func:`on_torus`, (out, in / groups, N1, N2), real; N divisible by s.
        stride: s of the convolution.
        groups: number of groups of the convolution.

    Returns:
        (M1 * (M2 // 2 + 1), groups, out / groups, in / groups * s1 * s2), complex; the
        other frequencies have their complex conjugates.
    """
    out, inputs, n1, n2 = kernel.shape
    s1, s2 = stride
    phases = kernel.view(out, inputs, n1 // s1, s1, n2 // s2, s2).permute(0, 1, 3, 5, 2, 4)
    spectrum = rfft2(phases.flatten(1, 3)).conj()  # conj: layers correlate
    return spectrum.flatten(2).permute(2, 0, 1).unflatten(1, (groups, out // groups))


def kernel_symbol(
    weight: Tensor,
    torus: Size,
    stride: Size = (1, 1),
    groups: int = 1,
    dilation: Size = (1, 1),
) -> Tensor:
    """Return the matrices of a kernel (out, in / groups, kh, kw) that is placed on a torus.

    What :func:`symbol` makes of :func:`on_torus`, with a cheaper gradient.
    """
    if stride != (1, 1) or not (weight.requires_grad and torch.is_grad_enabled()):
        return symbol(on_torus(weight, torus, dilation), stride, groups)
    with torch.no_grad():
        matrices = symbol(on_torus(weight, torus, dilation), stride, groups)
    return of_taps(weight, matrices, _waves(weight, torus, dilation))


def _waves(weight: Tensor, torus: Size, dilation: Size) -> Tensor:
    size = (weight.shape[2], weight.shape[3])
    return waves(size, torus, dilation, weight.dtype.to_complex(), weight.device)


def kernel_of(matrices: Tensor, torus: Size, stride: Size = (1, 1)) -> Tensor:
    """Return the kernel on its torus that has the given matrices: the inverse of :func:`symbol`."""
    m1, m2 = torus[0] // stride[0], torus[1] // stride[1]
    spectrum = matrices.permute(1, 2, 3, 0).flatten(0, 1).unflatten(-1, (m1, m2 // 2 + 1))
    phases = torch.fft.irfft2(spectrum.conj(), s=(m1, m2)).unflatten(1, (-1, *stride))
    return phases.permute(0, 1, 4, 2, 5, 3).flatten(4, 5).flatten(2, 3)


def kernel_on_torus(conv: nn.Conv2d, weight: Tensor, size: Size) -> tuple[Tensor, Size]:
    """Return ``weight`` on the torus of a convolution, and the stride.

    Args:
        conv: the convolution whose geometry is used.
        weight: the kernel to use instead of the convolution's own, (out, in / groups, kh, kw).
        size: height and width of the inputs.
    """
    torus, stride = torus_of(conv, size)
    return on_torus(weight, torus, dilation_of(conv)), stride


def circular_operator(layer: nn.Conv2d, size: Size) -> tuple[Tensor, Size]:
    """Return the kernel on a torus, and the stride, that ``layer`` applies to inputs of ``size``.

    A layer that does more than correlate with its ``weight`` provides a method of this name, which
    takes ``size``. The bias and subsequent linear parts (``layer.affine``) are left out.

    Raises:
        UserError: if the layer is none because of its padding; the end of a sentence.
    """
    own = getattr(layer, "circular_operator", None)
    if own is not None:
        result: tuple[Tensor, Size] = own(size)
        return result
    return kernel_on_torus(layer, layer.weight, size)


def gram_bound(matrices: Tensor, steps: int = STEPS) -> Tensor:
    """Return an upper bound on the largest singular value of all matrices, a scalar.

        G <- G^H G,    ||W|| <= ||G_T||_F^(1 / 2^T)

    at each frequency (Delattre et al. 2023, arXiv:2305.16173), rescaled along the way to
    avoid overflow. It decreases toward the norm with each step, and has no state.
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


def kernel_gram_bound(conv: nn.Conv2d, weight: Tensor, size: Size) -> Tensor:
    """Return the :func:`gram_bound` of a kernel on the torus of a convolution, a scalar.

    Args:
        conv: the convolution whose geometry is used.
        weight: the kernel to use instead of the convolution's own, (out, in / groups, kh, kw).
        size: height and width of the inputs.
    """
    torus, stride = torus_of(conv, size)
    if conv.kernel_size == (1, 1):  # one matrix for all frequencies
        torus = stride
    geometry = (torus, stride, conv.groups, dilation_of(conv))
    if weight.device.type != "cpu":
        return gram_bound(kernel_symbol(weight, *geometry))
    with torch.no_grad():
        matrices = kernel_symbol(weight, *geometry)
        wide = matrices if matrices.shape[-2] <= matrices.shape[-1] else matrices.mH
        # Value and gradient are those of the largest: the others need not be followed so far.
        few = (contenders(wide.flatten(0, -3), STEPS) // conv.groups).unique()
    if not (weight.requires_grad and torch.is_grad_enabled()):
        return gram_bound(matrices[few])
    if stride != (1, 1):
        return gram_bound(kernel_symbol(weight, *geometry)[few])
    return gram_bound(of_taps(weight, matrices[few], _waves(weight, torus, geometry[-1])[few]))
