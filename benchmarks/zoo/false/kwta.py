"""k-winners-take-all activations (Xiao, Zhong and Zheng 2020)."""

from functools import cache

from torch import Tensor, nn

from zoo.adaptive import Search, one_after_another, square
from zoo.entry import Entry
from zoo.parts import small_network, trained


class Winners(nn.Module):
    """Keeps the largest tenth of a layer's activations, of each image."""

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(1)
        least = flat.topk(max(1, flat.shape[1] // 10), dim=1).values[:, -1:]
        return (flat * (flat >= least)).reshape(x.shape)


@cache
def build() -> nn.Module:
    model = small_network()
    for module in model.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU):
                setattr(module, name, Winners())
    return trained(model)


ENTRY = Entry(
    build,
    "Which activations win changes with the smallest step, so that the loss is in pieces.",
    causes=("rough_logits", "unstable_gradient"),
    adaptive=one_after_another(
        Search(draws=10, blur=0.05, steps=60, restarts=2, every=2), square(2000)
    ),
)
