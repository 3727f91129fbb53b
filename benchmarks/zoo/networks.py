"""Small networks for images of 28x28 pixels, and a plain training for them."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from robench import Images
from zoo.entry import THREAT_MODEL
from zoo.trained import digits

Layer = Callable[[], nn.Module]
Norm = Callable[[int], nn.Module]
"""Number of channels or features -> a norm layer."""


def convnet(
    activation: Layer = nn.ReLU,
    *,
    pool: Layer = lambda: nn.MaxPool2d(2),
    norm: Norm | None = None,
    width: int = 8,
    classes: int = 10,
    dropout: float = 0.0,
) -> nn.Sequential:
    """Return two convolutions, each with an activation and a pooling by 2, and a linear layer."""
    layers: list[nn.Module] = []
    channels = 1
    for outputs in (width, 2 * width):
        layers.append(nn.Conv2d(channels, outputs, 3, padding=1))
        layers += [norm(outputs)] if norm is not None else []
        layers += [activation(), pool()]
        channels = outputs
    layers += [nn.Flatten(), nn.Dropout(dropout), nn.Linear(channels * 7 * 7, classes)]
    return nn.Sequential(*layers)


def mlp(activation: Layer, *, norm: Norm | None = None, hidden: int = 64) -> nn.Sequential:
    """Return a network of two hidden layers."""
    layers: list[nn.Module] = [nn.Flatten()]
    features = 28 * 28
    for _ in range(2):
        layers.append(nn.Linear(features, hidden))
        layers += [norm(hidden)] if norm is not None else []
        layers.append(activation())
        features = hidden
    return nn.Sequential(*layers, nn.Linear(features, 10))


# More parameters than usual: they are the settings of a training, each given by its name.
def fit(
    network: nn.Module,
    *,
    epochs: int = 4,
    lr: float = 0.05,
    adversarial: int = 0,
    smoothing: float = 0.0,
    scale: float = 1.0,
    classes: Sequence[int] = range(10),
) -> nn.Module:
    """Return a network after training by gradient descent with momentum on mnist5k.

    Args:
        network: images in [0, 1] -> logits; it is changed.
        epochs: passes over the images.
        lr: the largest learning rate; it rises and falls once.
        adversarial: steps of PGD in the zoo's threat model on each batch; 0 for clean images.
        smoothing: label smoothing.
        scale: factor of the logits in the loss.
        classes: the digits that the network tells apart.
    """
    train, shuffle = digits(classes).train, torch.Generator().manual_seed(0)
    assert isinstance(train, Images)
    optimizer = torch.optim.SGD(network.parameters(), lr=lr, momentum=0.9, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, epochs * train.batch_count(128))

    def loss(images: Tensor, labels: Tensor) -> Tensor:
        logits = scale * network(images)
        return functional.cross_entropy(logits, labels, label_smoothing=smoothing)

    network.train()
    for _ in range(epochs):
        for images, labels in train.batches(128, generator=shuffle):
            x = _perturbed(loss, images, labels, adversarial) if adversarial else images
            optimizer.zero_grad()
            loss(x, labels).backward()
            optimizer.step()
            schedule.step()
    return network


def _perturbed(
    loss: Callable[[Tensor, Tensor], Tensor], images: Tensor, labels: Tensor, steps: int
) -> Tensor:
    """Return the images after some steps of PGD, of twice the radius over all steps."""
    eps = THREAT_MODEL.eps
    x = images + eps * (2 * torch.rand_like(images) - 1)
    for _ in range(steps):
        x = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(x, labels), x)
        x = x + 2 * eps / steps * gradient.sign()
        x = (images + (x - images).clamp(-eps, eps)).clamp(0, 1)
    return x.detach()
