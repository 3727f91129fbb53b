"""Robustness as instances of the verification of neural networks, as VNN-COMP's tools read them.

A folder has the network in ONNX, one VNN-LIB file per image, and ``instances.csv``, which pairs
them with a time limit. A VNN-LIB file describes a *counterexample*: an image X in the box around
the original for which another class has a logit at least as large. A verifier answers ``unsat`` if
there is none, so that the network is robust there, and ``sat`` with an image otherwise. The form is
VNN-LIB 1.0 (vnnlib.org): real constants X_0, X_1, ... and Y_0, Y_1, ..., in the order of the
flattened tensors, and one disjunction about the outputs.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from robench.system.files import write_bytes, write_text
from robench.system.staging import new_folder

NETWORK = "onnx/network.onnx"
INSTANCES = "instances.csv"


# More parameters than usual: they are what an instance is made of.
def write_instances(
    folder: Path,
    network: bytes,
    images: Tensor,
    labels: Tensor,
    *,
    names: list[str],
    classes: int,
    eps: float,
    timeout: int,
    title: str,
) -> None:
    """Write the folder of a benchmark, with an instance per image.

    Args:
        folder: the folder to make; new or empty.
        network: the content of an ONNX file whose input is one image in [0, 1].
        images: (n, C, H, W) in [0, 1].
        labels: (n,) true classes.
        names: the file of each image, without its ending.
        classes: number of logits.
        eps: radius of the boxes.
        timeout: time limit of each instance, in seconds.
        title: what the comment of each file says of the network.

    Raises:
        UserError: if the folder cannot be written, or is not empty.
    """
    with new_folder(folder) as stage:
        write_bytes(stage / NETWORK, network)
        lines = []
        for image, label, name in zip(images, labels.tolist(), names, strict=True):
            file = f"vnnlib/{name}.vnnlib"
            about = f"{title}; {name}, class {label}, Linf radius {eps:g}"
            write_text(stage / file, instance(image, label, classes, eps, about))
            lines.append(f"{NETWORK},{file},{timeout}\n")
        write_text(stage / INSTANCES, "".join(lines))


def instance(image: Tensor, label: int, classes: int, eps: float, about: str) -> str:
    """Return the content of a VNN-LIB file: the images of a box that have another class.

    Args:
        image: (C, H, W) in [0, 1].
        label: its class.
        classes: number of logits.
        eps: radius of the box, which is cut off at 0 and 1.
        about: what the comment says.
    """
    pixels = image.double().flatten().numpy()
    lower, upper = (pixels - eps).clip(0, 1), (pixels + eps).clip(0, 1)
    return "\n".join(_lines(lower, upper, label, classes, about)) + "\n"


def _lines(
    lower: NDArray[np.float64], upper: NDArray[np.float64], label: int, classes: int, about: str
) -> Iterator[str]:
    yield f"; {' '.join(about.split())}"  # one line, or the rest would not be a comment
    yield "; unsat: robust; sat: an image of the box has another class"
    yield from (f"(declare-const X_{i} Real)" for i in range(len(lower)))
    yield from (f"(declare-const Y_{j} Real)" for j in range(classes))
    for i, (least, most) in enumerate(zip(lower, upper, strict=True)):
        yield f"(assert (>= X_{i} {_decimal(least)}))"
        yield f"(assert (<= X_{i} {_decimal(most)}))"
    others = " ".join(f"(and (>= Y_{j} Y_{label}))" for j in range(classes) if j != label)
    yield f"(assert (or {others}))"


def _decimal(value: float) -> str:
    """Return a number without an exponent, which SMT-LIB's decimals do not have."""
    return np.format_float_positional(value, trim="0")
