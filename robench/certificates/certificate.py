"""Certified radii: how far an image may move before the prediction can change."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robench.certificates.bounds import Value
from robench.certificates.propagation import Propagation, Step
from robench.errors import UserError
from robench.layers.operator_bound import SLACK
from robench.models.frozen import under_attack
from robench.models.plain_layers import own_copy, replace_layers

BATCH = 256
"""Images that are predicted at a time: float64 takes twice the memory of float32."""

CLOSE = 1e-3
"""Largest distance of the network's logits from the model's, relative to the largest one."""


@dataclass(frozen=True, eq=False)
class Certificate:
    """What is proved of a network that is evaluated in float64.

    A radius r of an image x with label y means: for every x' in [0, 1]^d with ||x' - x|| < r, in
    the Euclidean norm of pixels, the network computed in float64 predicts y. Other precisions round
    differently: their predictions are not certified.

    Attributes:
        network: the network in float64 and eval mode, a copy with plain layers.
        logits: what is proved of the logits.
        features: what is proved of the input of the last layer, if that is linear.
        head: weight of that layer, (classes, features).
        steps: the layers and their bounds, in the order in which they are called.
    """

    network: nn.Module
    logits: Value
    features: Value | None
    head: Tensor | None
    steps: tuple[Step, ...]

    @property
    def lipschitz(self) -> float:
        """Upper bound on the Lipschitz constant from pixels in [0, 1] to logits."""
        return self.logits.lipschitz

    @torch.no_grad()
    def predict(self, images: Tensor) -> Tensor:
        """Return float64 logits on the CPU, (B, C, H, W) in [0, 1] -> (B, classes)."""
        parts = images.detach().cpu().split(BATCH)
        return torch.cat([self.network(part.double()) for part in parts])

    def radii(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the certified radius of each image; see :meth:`radii_at`.

        Args:
            images: (B, C, H, W) in [0, 1].
            labels: (B,) true classes.
        """
        return self.radii_at(self.predict(images), labels)

    def radii_at(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the certified radius of each image, (B,) float64; 0 if it is misclassified.

        The radius is the least over the other classes j of

            (margin over j - 2 sqrt(2) error) / (Lipschitz constant of the margin over j),

        where that constant is L(features) ||w_y - w_j|| if the last layer is linear, and else
        sqrt(2) L(logits). Rounding moves both margins, that of the image and that of x', by
        sqrt(2) times the error of the logits at most.

        Args:
            logits: the result of :meth:`predict`, (B, classes).
            labels: (B,) true classes.
        """
        labels = labels.cpu().long()
        index = labels.unsqueeze(1)
        margins = logits.gather(1, index) - logits - 2 * 2**0.5 * self.logits.error
        radii = (margins / self._slopes(labels)).scatter(1, index, torch.inf)
        return (radii.amin(1) * (1 - SLACK)).nan_to_num(0.0, posinf=torch.inf).clamp_min(0)

    def _slopes(self, labels: Tensor) -> Tensor:
        """Return the Lipschitz constants of the margins over each class, (B, classes) or ()."""
        if self.head is None or self.features is None:
            return torch.tensor(2**0.5 * self.lipschitz, dtype=torch.float64)
        apart = (self.head[labels, None] - self.head).norm(dim=2)
        return (self.features.lipschitz * apart * (1 + SLACK)).clamp_min(1e-300)


def certify(model: nn.Module, image_shape: tuple[int, int, int]) -> Certificate:
    """Prove bounds of a network.

    Args:
        model: images (B, C, H, W) in [0, 1] -> logits (B, classes); a copy of it is made.
        image_shape: channels, height and width of an image.

    Raises:
        UserError: if a layer or an operation has no proved bound, by its name, or if the network
            that was bounded is not the model.
    """
    # Plain weights are computed in float64, too: in float32 they would depend on how many threads
    # computed them, and with them the last digits of every radius.
    network = own_copy(model).cpu().double()
    replace_layers(network)
    network.double()  # a layer may export itself in float32
    propagation = Propagation(network, image_shape)
    logits, last = propagation.follow(), propagation.last
    if not logits.lipschitz < float("inf"):
        raise UserError("the bound of the network is not finite: a weight is NaN or infinite.")
    layer = network.get_submodule(str(last.target)) if last.op == "call_module" else None
    features = head = None
    if isinstance(layer, nn.Linear):
        features = propagation.bounds[last.all_input_nodes[0]]
        head = layer.weight.detach()
    found = Certificate(network, logits, features, head, tuple(propagation.steps))
    _check_same(found, model, image_shape)
    return found


@torch.no_grad()
def _check_same(found: Certificate, model: nn.Module, shape: tuple[int, int, int]) -> None:
    """Raise an error if the model answers differently from the network that was bounded."""
    images = torch.rand(4, *shape, generator=torch.Generator().manual_seed(0))
    like = next(model.parameters(), torch.zeros(()))
    with under_attack(model):
        wanted = model(images.to(like)).double().cpu()
    got = found.predict(images)
    if not (got - wanted).abs().max() <= CLOSE * wanted.abs().max():
        raise UserError(
            "the network computed in float64 with plain layers answers differently from the model "
            "itself, so that a bound of the one says nothing about the other."
        )
    alone = torch.cat([found.predict(image) for image in images.split(1)])
    if not (got - alone).abs().max() <= 1e-9 * got.abs().max():
        raise UserError(
            "the network answers an image differently in a batch with others, and what is proved "
            "is about one image alone."
        )
