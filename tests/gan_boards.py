"""What tests of boards of GANs share: a tiny board, images, and a network of features."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from robench.models.checkpoint import Network, save_weights

BOARD = """
title = "tiny GANs"
defenses = ["spectral_norm"]
seeds = [1, 2]
publish_weights = true

[[arms]]
defense = "vanilla"
label = "averaged, -1"
weights = "ema"

[data]
name = "image_folder"

[gan]
architecture = "sngan_cnn"
width = 2
latent = 4
steps = 4
discriminator_steps = 1
batch_size = 8
generator_batch_size = 8
log_every = 2
averaging = 0.5
snapshots = 1
lr = 0.01

[measure]
extractor = "efficientnet_lite0"
snapshots = true
protocols = [{samples = 12, against = "test"}]
"""


def folder_of_images(root: Path, each: int = 8, side: int = 32) -> Path:
    """Write a folder of noise of two classes, so many images of each in both parts."""
    rng = np.random.default_rng(0)
    for part in ("train", "test"):
        for name in ("a", "b"):
            folder = root / part / name
            folder.mkdir(parents=True)
            for number in range(each):
                pixels = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    return root


def classifier(path: Path) -> Path:
    """Write a narrow classifier with fresh weights, whose features cost nothing, and return it."""
    network = Network("resnet18", 2, "half", "batchnorm", 2, 3, (32, 32), (0.5,) * 3, (0.25,) * 3)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_weights(path, network.build(), network)
    return path
