"""k-winners-take-all activations (Xiao, Zhong and Zheng 2020)."""

from torch import Tensor, nn

from zoo.adaptive import Search, one_after_another, square
from zoo.entry import Entry
from zoo.parts import fit, small_network
from zoo.trained import kept


class Winners(nn.Module):
    """Keeps the largest fifth of a layer's activations, of each image."""

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(1)
        least = flat.topk(max(1, flat.shape[1] // 5), dim=1).values[:, -1:]
        return (flat * (flat >= least)).reshape(x.shape)


def untrained() -> nn.Module:
    model = small_network()
    for module in model.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU):
                setattr(module, name, Winners())
    return model


def build() -> nn.Module:
    return kept("false_kwta", untrained, fit, epochs=10)


ENTRY = Entry(
    build,
    "Which activations win changes with the smallest step, so that the loss is in pieces.",
    causes=("rough_logits", "unstable_gradient"),
    adaptive=one_after_another(
        Search(draws=10, blur=0.05, steps=60, restarts=2, every=2), square(2000)
    ),
)
