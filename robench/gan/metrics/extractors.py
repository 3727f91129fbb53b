"""What turns images into features: networks, each under the name of what it is."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from robench.errors import UserError, did_you_mean
from robench.gan.architectures import IMAGE
from robench.gan.metrics.classifier import classifier_features
from robench.gan.metrics.efficientnet import efficientnet_lite0
from robench.gan.metrics.inception import inception
from robench.models.complexity import multiply_adds_during
from robench.progress import Progress, ProgressCallback, ignore_progress
from robench.system.provenance import file_hash

BATCH = 64
"""Images per forward."""

INCEPTION = "inception"
EXTRACTORS = ("efficientnet_lite0", INCEPTION)
"""The extractors that have a name; others are the paths of classifiers that robench trained."""

Network = Callable[[Tensor], tuple[Tensor, ...]]
"""Images (N, 3, H, W) uint8 -> features (N, d) and, from Inception, logits (N, classes)."""


@dataclass(frozen=True)
class Extractor:
    """A network of features.

    Attributes:
        name: what the distances in its features are called after.
        network: the network, in eval mode.
        device: where it computes.
    """

    name: str
    network: Network
    device: torch.device

    @property
    def multiply_adds(self) -> int:
        """The multiply-adds of the forward of one image."""
        image = torch.zeros(1, *IMAGE, dtype=torch.uint8, device=self.device)
        with torch.no_grad():
            return multiply_adds_during(lambda: self.network(image))

    def features(
        self, images: Tensor, progress: ProgressCallback = ignore_progress, task: str = "images"
    ) -> tuple[Tensor, ...]:
        """Return what the network makes of images (N, 3, H, W) uint8, float32 on the CPU."""
        parts = []
        with torch.inference_mode():
            for at in range(0, len(images), BATCH):
                made = self.network(images[at : at + BATCH].to(self.device))
                parts.append([part.float().cpu() for part in made])
                progress(Progress(task, min(at + BATCH, len(images)), len(images), "images"))
        return tuple(map(torch.cat, zip(*parts, strict=True)))


def extractor(name: str, device: torch.device, weights: Path | None = None) -> Extractor:
    """Return an extractor.

    Args:
        name: one of :data:`EXTRACTORS`, or the path of a classifier that robench trained, which is
            called after the hash of its weights: two classifiers give two distances.
        device: where it computes.
        weights: the file of Inception's weights; None downloads them.

    Raises:
        UserError: if there is none of that name, weights are damaged, or a package is missing.
    """
    if weights is not None and name != INCEPTION:
        raise UserError(f"--inception is the weights of --extractor {INCEPTION}, not of '{name}'.")
    if name == INCEPTION:
        return Extractor(name, inception(weights, device), device)
    if name == "efficientnet_lite0":
        return Extractor(name, efficientnet_lite0(device), device)
    called, source = resolved(name)
    return Extractor(called, classifier_features(_weights(Path(source)), device), device)


def resolved(name: str, stores: Sequence[Path] = ()) -> tuple[str, str]:
    """Return what distances are called after, and what :func:`extractor` takes; loads nothing.

    Args:
        name: as there, or the name of a classifier by its hash, as published boards have it.
        stores: folders that runs wrote, where such a classifier is looked for.

    Raises:
        UserError: if there is none.
    """
    if name in EXTRACTORS:
        return name, name
    if (match := re.fullmatch(r"classifier_([0-9a-f]{8})", name)) and not Path(name).exists():
        for file in (f for s in stores for f in sorted(s.glob("cells/*/weights.safetensors"))):
            if file_hash(file).startswith(match[1]):
                return name, str(file)
        raise UserError(
            f"the classifier whose features are called '{name}' is not here: no network with that "
            f"hash was trained into the folder of a run."
        )
    path = Path(name)
    if not path.exists():
        raise UserError(
            f"no extractor is named '{name}', and no network of robench is at that path; "
            f"{did_you_mean(name, EXTRACTORS)}"
        )
    return f"classifier_{file_hash(_weights(path))[:8]}", name


def _weights(path: Path) -> Path:
    return path / "weights.safetensors" if path.is_dir() else path
