"""The penalty of a defense, which its author may have got wrong."""

from torch import Tensor, nn

from robench.base import Defense
from robench.errors import UserError


def checked_penalty(defense: Defense, model: nn.Module) -> Tensor | None:
    """Return the penalty of a defense on a model.

    Raises:
        UserError: if it is no scalar, or leads to no parameter: it would have no effect.
    """
    penalty: object = defense.penalty(model)
    if penalty is None:
        return None
    if not isinstance(penalty, Tensor):
        wrong = f"is {penalty!r:.40}, not a tensor"
    elif penalty.numel() != 1:
        wrong = f"has shape {tuple(penalty.shape)}; it must be a scalar, such as its sum"
    elif penalty.requires_grad:
        return penalty
    else:
        wrong = (
            "has no gradient, so that it would train nothing; compute it from parameters that are "
            "trained, without detach() or torch.no_grad(), or return None"
        )
    raise UserError(f"the penalty of {type(defense).__name__} {wrong}.")
