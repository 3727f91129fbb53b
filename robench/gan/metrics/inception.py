"""Inception's features and logits, as torch-fidelity computes them: those of FID, KID and IS.

The weights are those of the TensorFlow network that these metrics are defined by, which
torch-fidelity has published. It loads them with pickle, which may run code; so what it is given
here is a copy that was written anew, from tensors alone.
"""

import tempfile
from pathlib import Path

import torch
from torch import nn

from robench.errors import UserError
from robench.gan.metrics.library import fidelity
from robench.system.out_of_memory import is_out_of_memory
from robench.system.provenance import file_hash

HASH = "6726825d"
"""The first digits of the sha256 of the weights, as their file is named."""

LAYERS = ["2048", "logits_unbiased"]
"""Features for the distances, and logits for the inception score."""


def inception(path: Path | None, device: torch.device) -> nn.Module:
    """Return the network: images (N, 3, H, W) uint8 -> features (N, 2048), logits (N, 1008).

    Args:
        path: the file of the weights; None downloads it into torch's folder of weights.
        device: where it computes.

    Raises:
        UserError: if it cannot be downloaded, is another file, or torch-fidelity is missing.
    """
    library = fidelity("feature_extractor_inceptionv3")
    path = _downloaded(library.URL_INCEPTION_V3) if path is None else path
    found = file_hash(path)
    if not found.startswith(HASH):
        raise UserError(
            f"{path} is not the file of Inception's weights: its sha256 begins with {found[:8]}, "
            f"not {HASH}; it is to be had at {library.URL_INCEPTION_V3}."
        )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's errors are of many kinds
        if is_out_of_memory(error):
            raise
        raise UserError(
            f"{path} holds more than tensors ({type(error).__name__}), so it was not loaded."
        ) from error
    with tempfile.TemporaryDirectory() as folder, torch.random.fork_rng(devices=[]):
        copy = Path(folder) / "inception.pth"
        torch.save(state, copy)
        network = library.FeatureExtractorInceptionV3(
            "inception-v3-compat", LAYERS, feature_extractor_weights_path=str(copy)
        )
    return network.to(device)


def _downloaded(url: str) -> Path:
    """Return where torch keeps the file of an address, downloaded if it is new."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if path.exists():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), hash_prefix=HASH, progress=False)
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"cannot download Inception's weights ({error}); give their file with --inception, or "
            f"choose another --extractor, whose distances are no FID."
        ) from error
    return path
