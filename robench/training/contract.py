"""What training relies on in a defense or a training method of anyone, checked while it runs.

Each of these mistakes would otherwise be silent: a training that does something else than it says.
"""

import torch
from torch import nn

from robench.base import Defense, TrainingMethod
from robench.errors import UserError


def refuse_untrained(model: nn.Module, optimizer: torch.optim.Optimizer, defense: Defense) -> None:
    """Refuse a model with parameters that its optimizer does not have, as they would stay.

    Raises:
        UserError: if there is one; the message names it.
    """
    known = {id(p) for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and id(parameter) not in known:
            raise UserError(
                f"parameter '{name}' is not trained: it was put into the network after training "
                f"had begun, by {type(defense).__name__}.after_step or in a forward; change "
                f"parameters in place, under torch.no_grad(), and make them with their layer."
            )


def check_declared_work(name: str, method: TrainingMethod, steps: int, forwards: int) -> None:
    """Refuse a method whose declared work is wrong: schedule and defenses rely on it.

    Args:
        name: the training method as the recipe has it.
        method: the method.
        steps: optimizer steps that it took for a minibatch.
        forwards: training forwards that it took for them.

    Raises:
        UserError: if the counts differ; the message names the method and both counts.
    """
    declared = (method.steps_per_minibatch, method.forwards_per_minibatch)
    if (steps, forwards) != declared:
        raise UserError(
            f"training method '{name}' took {steps} optimizer step(s) in {forwards} forward(s) for "
            f"a minibatch but declares {declared[0]} in {declared[1]}; correct its "
            f"steps_per_minibatch or forwards_per_minibatch."
        )
