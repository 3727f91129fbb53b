"""A small network that was really trained, shared by the tests of attacks."""

import pytest
import torch
from torch import Tensor, nn

from robench.data import load_dataset


@pytest.fixture(scope="session")
def digits_net() -> nn.Module:
    """A CNN with BatchNorm, trained on scikit-learn's digits in seconds; in eval mode."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(256, 10),
        )
        optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
        train = load_dataset("digits").train
        for epoch in range(8):
            generator = torch.Generator().manual_seed(epoch)
            for images, labels in train.batches(64, generator=generator):
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(images), labels).backward()
                optimizer.step()
    return model.eval()


@pytest.fixture(scope="session")
def digits_test(digits_net: nn.Module) -> tuple[Tensor, Tensor]:
    """100 test digits that the network gets right."""
    images, labels = next(load_dataset("digits").test.batches(359))
    right = digits_net(images).argmax(1) == labels
    assert right.float().mean() > 0.9
    return images[right][:100], labels[right][:100]
