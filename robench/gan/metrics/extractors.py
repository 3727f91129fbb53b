"""What turns images into features: networks, each under the name of what it is."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from robench.errors import UserError, did_you_mean
from robench.gan.metrics.classifier import classifier_features
from robench.gan.metrics.efficientnet import efficientnet_lite0
from robench.gan.metrics.inception import inception
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
    path = Path(name)
    if not path.exists():
        raise UserError(
            f"no extractor is named '{name}', and no network of robench is at that path; "
            f"{did_you_mean(name, EXTRACTORS)}"
        )
    file = path / "weights.safetensors" if path.is_dir() else path
    features = classifier_features(file, device)
    return Extractor(f"classifier_{file_hash(file)[:8]}", features, device)
