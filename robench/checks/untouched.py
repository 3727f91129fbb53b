"""Networks that write into what they are given, which checks give them again and again."""

import torch
from torch import Tensor, nn

from robench.checks.context import CheckContext


class Untouched(nn.Module):
    """A network that is given copies: what it writes into them reaches nobody else.

    Checks hand it images of which they ask for the gradient, which torch refuses to write into, and
    the iterates of their searches.

    Args:
        network: images -> logits.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.training = network.training

    def forward(self, images: Tensor) -> Tensor:
        """Return the network's logits."""
        logits: Tensor = self.network(images.clone())
        return logits


def writes_into_input(context: CheckContext) -> bool:
    """Return whether the network changes images that it is given.

    The state of random numbers is left as it was.
    """
    forked = [context.device] if context.device.type == "cuda" else []
    with torch.random.fork_rng(devices=forked), context.opened(), torch.no_grad():
        given = context.images[:2].to(context.device, copy=True)
        before, version = given.clone(), given._version
        try:
            context.model(given)
        except Exception:  # whatever a network raises is said by the checks
            return False
        return given._version != version or not torch.equal(given, before)
