"""Training with FGSM that has collapsed: robust to FGSM, and to nothing else (Wong et al. 2020)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo.adaptive import Search
from zoo.entry import Entry
from zoo.parts import small_network, training_images
from zoo.trained import kept

EPS = 0.3


def build() -> nn.Module:
    return kept("false_fgsm_collapsed", small_network, fit, epochs=8)


def fit(model: nn.Module, *, epochs: int) -> nn.Module:
    """Return the network after training on images that FGSM has perturbed."""
    train = training_images()
    images, labels = train.images.float() / 255, train.labels.long()
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for _ in range(epochs):
        for rows in torch.randperm(len(images)).split(128):
            perturbed = fgsm(model, images[rows], labels[rows])
            optimizer.zero_grad()
            functional.cross_entropy(model(perturbed), labels[rows]).backward()
            optimizer.step()
    return model


def fgsm(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Return the images after one step, as long as the ball allows."""
    inputs = images.clone().requires_grad_()
    loss = functional.cross_entropy(model(inputs), labels)
    (gradient,) = torch.autograd.grad(loss, inputs)
    return (images + EPS * gradient.sign()).clamp(0, 1)


ENTRY = Entry(
    build,
    "It learned to bend its gradients so that the step of FGSM leads nowhere.",
    causes=("single_step", "loss_rises", "wrong_gradient", "rough_logits", "unstable_gradient"),
    adaptive=Search(restarts=5),
)
