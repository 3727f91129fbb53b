"""Certified radii: how far an image may move before the prediction can change."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robench.certificates.bounds import Value
from robench.certificates.propagation import Propagation, Step
from robench.errors import UserError, first_line
from robench.evaluation.examination import structure_of
from robench.evaluation.validation import Classes, Pixels, as_floats, as_tensors
from robench.layers.operator_bound import SLACK
from robench.models.accept import check_logits, plain_module
from robench.models.build_arguments import shape_of
from robench.models.frozen import under_attack
from robench.models.plain_layers import own_copy, replace_layers
from robench.system.exact_float32 import exact_float32
from robench.system.out_of_memory import is_out_of_memory

BATCH = 256
"""Images that are predicted at a time: float64 takes twice the memory of float32."""

BATCHED = 1e-9
"""Largest distance of the logits of an image alone from those in a batch, relative to the largest
one: they differ by rounding."""

CLOSE = 1e-3
"""Largest distance of the network's logits from the model's, relative to the largest one."""


@dataclass(frozen=True, eq=False)
class Certificate:
    """What is proved of a network that is evaluated in float64.

    A radius r of an image x with label y means: for every x' in [0, 1]^d with ||x' - x|| < r, in
    the Euclidean norm of pixels, the network computed in float64 predicts y. Other precisions round
    differently: their predictions are not certified.

    Attributes:
        network: the layers and operations that were followed, in float64.
        own: the network itself in float64 and eval mode, a copy with plain layers. Its code may do
            what cannot be followed, so that each of its answers is compared.
        logits: what is proved of the logits.
        features: what is proved of the input of the last layer, if that is linear.
        head: weight of that layer, (classes, features).
        image_shape: channels, height and width of the images.
        steps: the layers and their bounds, in the order in which they are called.
    """

    network: nn.Module
    own: nn.Module
    logits: Value
    features: Value | None
    head: Tensor | None
    image_shape: tuple[int, int, int]
    steps: tuple[Step, ...]

    @property
    def lipschitz(self) -> float:
        """Upper bound on the Lipschitz constant from pixels in [0, 1] to logits."""
        return self.logits.lipschitz

    @torch.no_grad()
    def predict(self, images: Tensor) -> Tensor:
        """Return float64 logits on the CPU, (B, C, H, W) in [0, 1] -> (B, classes).

        Raises:
            UserError: for images of another shape or range than those of which bounds are proved,
                if the network answers one differently in a batch with others, or if its code
                computes something else than what was followed.
        """
        if images.shape[1:] != self.image_shape:
            raise UserError(
                f"the certificate is of images of shape {self.image_shape}, and these are "
                f"{tuple(images.shape[1:])}: certify the network for that shape."
            )
        if images.numel() and not (images.min() >= 0 and images.max() <= 1):
            raise UserError("the certificate is of images in [0, 1], and these are not.")
        return torch.cat([self._predict(part.double()) for part in images.cpu().split(BATCH)])

    def _predict(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images)
        near = BATCHED * logits.abs().max()
        if not (logits - self.own(images)).abs().max() <= near:
            raise UserError(
                "the network computes something else than the layers and operations that were "
                "followed: does it change a value in place that it uses again, keep a state, or "
                "look at the values of an image?"
            )
        if len(images) > 1 and not (logits[:1] - self.network(images[:1])).abs().max() <= near:
            raise UserError(
                "the network answers an image differently in a batch with others, and what is "
                "proved is about one image alone."
            )
        return logits

    def radii(self, images: Pixels, labels: Classes) -> Tensor:
        """Return the certified radius of each image; see :meth:`radii_at`.

        Args:
            images: (B, C, H, W), a tensor or numpy array, float in [0, 1] or uint8.
            labels: (B,) integers, a tensor, numpy array or list: the true classes.

        Raises:
            UserError: as :meth:`predict` and :meth:`radii_at`; or if images or labels are invalid.
        """
        pixels, classes = as_tensors(images, labels)
        given = as_floats(pixels)
        if isinstance(images, Tensor) and images.dtype == torch.float64:
            given = images  # as exactly as it was given
        return self.radii_at(self.predict(given), classes)

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

        Raises:
            UserError: if the network returns no logits, or labels are not one class of it for each
                image.
        """
        check_logits(logits, logits.shape[0] if getattr(logits, "ndim", 0) else 0)
        labels = labels.cpu().long()
        if labels.shape != logits.shape[:1]:
            raise UserError(
                f"labels have shape {tuple(labels.shape)} for {len(logits)} images; give one per "
                f"image."
            )
        if len(labels) and not 0 <= labels.min() <= labels.max() < logits.shape[1]:
            raise UserError(
                f"labels are {int(labels.min())} to {int(labels.max())}, but the network has "
                f"{logits.shape[1]} classes, counted from 0."
            )
        index = labels.unsqueeze(1)
        margins = logits.gather(1, index) - logits - 2 * 2**0.5 * self.logits.error
        radii = (margins / self._slopes(labels)).scatter(1, index, torch.inf)
        return (radii.amin(1) * (1 - SLACK)).nan_to_num(0.0, posinf=torch.inf).clamp_min(0)

    def _slopes(self, labels: Tensor) -> Tensor:
        """Return the Lipschitz constants of the margins over each class, (B, classes) or ()."""
        if self.head is None or self.features is None:
            return torch.tensor(2**0.5 * self.lipschitz, dtype=torch.float64)
        # Once for each pair of classes: for each image they would fill the memory.
        apart = torch.stack([_length(self.head - row) for row in self.head])
        return (self.features.lipschitz * apart * (1 + SLACK)).clamp_min(1e-300)[labels]


@exact_float32()
def certify(model: nn.Module, image_shape: tuple[int, int, int]) -> Certificate:
    """Prove bounds of a network.

    Args:
        model: images (B, C, H, W) in [0, 1] -> logits (B, classes); a copy of it is made.
        image_shape: channels, height and width of an image.

    Raises:
        UserError: if a layer or an operation has no proved bound, by its name, if the network that
            was bounded is not the model, or if the shape is not three numbers.
    """
    model, image_shape = plain_module(model), shape_of("image_shape", image_shape)
    if reason := structure_of(model) or _replaced(model):
        raise UserError(f"{reason}, so that what is proved of its layers need not hold for it.")
    # Plain weights are computed in float64, too: in float32 they would depend on how many threads
    # computed them, and with them the last digits of every radius.
    try:
        network = own_copy(model).cpu().double()
        replace_layers(network)
    except (RuntimeError, TypeError, ValueError) as error:
        raise UserError(f"the network cannot be copied ({first_line(error)}).") from error
    network.double()  # a layer may export itself in float32
    propagation = Propagation(network, image_shape)
    logits, last = propagation.follow(), propagation.last
    if not (math.isfinite(logits.lipschitz) and math.isfinite(logits.error)):
        raise UserError("the bound of the network is not finite: a weight is NaN or infinite.")
    layer = network.get_submodule(str(last.target)) if last.op == "call_module" else None
    features = head = None
    # A layer of another class, which states its bound, need not be the product with its weight.
    if type(layer) is nn.Linear:
        features = propagation.bounds[last.all_input_nodes[0]]
        head = layer.weight.detach()
    steps = tuple(propagation.steps)
    followed = propagation.module
    found = Certificate(followed, network, logits, features, head, image_shape, steps)
    _check_same(found, model)
    return found


def _length(rows: Tensor) -> Tensor:
    """Return the Euclidean norm of each row, whose squares may underflow."""
    largest = rows.abs().amax(1).clamp_min(1e-300)
    return (rows / largest.unsqueeze(1)).norm(dim=1) * largest


def _replaced(model: nn.Module) -> str | None:
    """Return which layer has a method of its own in the place of its class's, or None."""
    for name, layer in model.named_modules():
        for own in vars(layer):
            if not own.startswith("__") and callable(getattr(type(layer), own, None)):
                return f"the method '{own}' of layer '{name}' was replaced"
    return None


@torch.no_grad()
def _check_same(found: Certificate, model: nn.Module) -> None:
    """Raise an error if the model answers differently from the network that was bounded."""
    images = torch.rand(4, *found.image_shape, generator=torch.Generator().manual_seed(0))
    like = next(model.parameters(), torch.zeros(()))
    try:
        with under_attack(model):
            wanted = model(images.to(like)).double().cpu()
        got = found.predict(images)
    except UserError:
        raise
    except Exception as error:  # whatever the code of a network may raise
        if is_out_of_memory(error):
            raise
        raise UserError(
            f"the network does not take a batch of images ({first_line(error)})."
        ) from error
    if not (got - wanted).abs().max() <= CLOSE * wanted.abs().max():
        raise UserError(
            "the network computed in float64 with plain layers answers differently from the model "
            "itself, so that a bound of the one says nothing about the other."
        )
