"""A discriminator with a defense.

Discriminators of SNGAN have no norm layers, so a defense that can go without (``bn=False``) does,
unless its options say otherwise; with ``batchnorm`` and the other norm layers, one follows each
convolution, as :func:`robench.apply_defense` places them.
"""

from torch import nn

from robench.base import Defense
from robench.base.defense import REPLACES_CONV
from robench.errors import UserError
from robench.expressions import Expression
from robench.gan.head import Head
from robench.models.defend import apply_defense
from robench.registry import defenses

PLAIN: dict[str, bool] = {"bn": False}
"""What a discriminator gives defenses that leave it out."""


def written_out(expression: str) -> str:
    """Return the expression of a defense with what it means in a discriminator.

    Raises:
        UserError: for an unknown name, option or value.

    Example:
        >>> written_out("spectral_norm")
        'spectral_norm(bn=False)'
    """
    defenses.build(expression, PLAIN)  # says what is wrong with a value
    entry, options = defenses.lookup(expression)
    return str(Expression(entry.name, {**defenses.inherited(expression, PLAIN), **options}))


def defends_head(defense: Defense, discriminator: nn.Module) -> bool:
    """Return whether a defense, left to itself, acts on the last, linear layer, too.

    One that changes weights does, as in the authors' code of spectral normalization; one that is
    about convolutions, their outputs or a penalty leaves it plain, as in the ConvNorm paper.
    """
    conv = head_of(discriminator).as_conv()
    return defense.kind == "weight parametrization" and defense.unsupported(conv) is None


def head_of(discriminator: nn.Module) -> Head:
    """Return the last layer of a discriminator without a defense."""
    head = discriminator.get_submodule("head")
    assert isinstance(head, Head)
    return head


def defended(discriminator: nn.Module, defense: Defense, *, head: bool) -> nn.Module:
    """Return a copy of a discriminator with a defense.

    Args:
        discriminator: a network of :mod:`robench.gan.architectures`.
        defense: what is applied to its convolutions.
        head: whether its last layer is replaced, too. It never gets a norm layer.

    Raises:
        UserError: if the defense cannot replace a layer; the message names it.
    """
    made = apply_defense(discriminator, defense)
    if not head:
        return made
    conv = head_of(discriminator).as_conv()
    if reason := defense.unsupported(conv):
        raise UserError(
            f"the last layer: {type(defense).__name__} cannot replace it: {reason}; set "
            f"last_layer=plain."
        )
    replaced = defense.replace_conv(conv)
    vars(replaced)[REPLACES_CONV] = True
    setattr(made, "head", replaced)  # noqa: B010 - for mypy, modules have no attributes to set
    return made
