"""A 1-Lipschitz perceptron: small gradients everywhere."""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from zoo.entry import Entry
from zoo.networks import fit
from zoo.trained import kept


class Sorted(nn.Module):
    """Sorts features in pairs: an activation that keeps the length of gradients."""

    def forward(self, x: Tensor) -> Tensor:
        return x.unflatten(1, (-1, 2)).sort(2).values.flatten(1)


def _make() -> nn.Module:
    sizes = (28 * 28, 64, 64, 10)
    first, second, last = (
        parametrizations.spectral_norm(nn.Linear(inputs, outputs), n_power_iterations=3)
        for inputs, outputs in pairwise(sizes)
    )
    return nn.Sequential(nn.Flatten(), first, Sorted(), second, Sorted(), last)


def build() -> nn.Module:
    model = kept("lipschitz", _make, fit, epochs=8, scale=20.0)
    for module in [*model.modules()]:
        if parametrize.is_parametrized(module):  # the weights are final: compute them once
            parametrize.remove_parametrizations(module, "weight")
    return model


ENTRY = Entry(
    build,
    "No logit moves more than the image does, so that its gradients and margins are small.",
)
