"""Third-party attack libraries: attacks found by name, checked against signatures, isolated.

Known side effects of these libraries are undone or prevented here: they reseed the global random
generators, print, average losses over the batch, assume ten classes, leave the ball by rounding,
and fail with bare assertions.
"""

import contextlib
import inspect
import io
import random
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar
from unittest.mock import patch

import numpy as np
import torch
from torch import Generator, Tensor, nn

from robench.attack_tools.threat_models import norms, project
from robench.base import Adversarial, Attack, LogitsModel, RadiusOptions, ThreatModel
from robench.errors import UserError
from robench.system.out_of_memory import is_out_of_memory
from robench.system.random_state import own_random_state

_ROUNDING = 1e-4
"""How far outside [0, 1] or its ball an image may be to count as rounded and be put back."""


@dataclass(frozen=True)
class LibraryAttack(Attack):
    """An attack of a third-party library.

    Attributes:
        name: its name, as in ``library:NAME``.
        options: the options that it is built with, as the library names them.
        ball: the threat model that it keeps to; None if it minimizes a distance instead. The name
            of this field is part of the identity of stored outcomes.
    """

    reports_queries: ClassVar[bool] = False
    depends_on_batch: ClassVar[bool] = True

    name: str
    options: tuple[tuple[str, Any], ...] = ()
    ball: ThreatModel | None = None

    @property
    def threat_model(self) -> ThreatModel | None:
        """The norm and radius that the attack keeps to; None if it minimizes a distance."""
        return self.ball

    def perturb(
        self, model: LogitsModel, images: Tensor, labels: Tensor, rngs: Sequence[Generator]
    ) -> Adversarial:
        """Run the attack on contiguous float32 images, seeded by the first generator.

        Random numbers are drawn for the batch as a whole, so that a result may depend on the batch.
        """
        assert isinstance(model, nn.Module)
        # Channels-last or sliced images crash some attacks and change the starts of others.
        images = images.detach().float().clone(memory_format=torch.contiguous_format)
        with isolated(self.name, rngs[0], images.device) as seed:
            found = self.run(model, images, labels.long(), seed)
        return Adversarial(undo_rounding(found.detach().float().contiguous(), images, self.ball))

    def run(self, model: nn.Module, images: Tensor, labels: Tensor, seed: int) -> Tensor:
        """Return the library's adversarial images."""
        raise NotImplementedError


@contextlib.contextmanager
def isolated(name: str, rng: Generator, device: torch.device) -> Iterator[int]:
    """Run a library's code seeded, silent and with gradients, and restore global state.

    Losses that it would average over the batch are summed, so that the gradient of a sample does
    not underflow because of the other samples.

    Args:
        name: the name of the attack, for error messages.
        rng: the source of the seed.
        device: the device whose random state is restored, along with that of the CPU, NumPy and
            Python.

    Yields:
        A seed, for attacks that take one.

    Raises:
        UserError: if the library fails.
    """
    seed = int(torch.randint(2**31, (1,), generator=rng))
    states = random.getstate(), np.random.get_state()
    try:
        with (
            own_random_state(device, seed),
            torch.inference_mode(False),
            torch.enable_grad(),
            contextlib.redirect_stdout(io.StringIO()),
            warnings.catch_warnings(),
            patch.object(nn, "CrossEntropyLoss", partial(nn.CrossEntropyLoss, reduction="sum")),
        ):
            warnings.simplefilter("ignore")
            np.random.seed(seed)
            random.seed(seed)
            yield seed
    except UserError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        reason = str(error).split("\n", 1)[0] or "no reason given"
        raise UserError(
            f"{name} failed on this network ({type(error).__name__}: {reason}); leave it out or "
            f"change its options."
        ) from error
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


def undo_rounding(found: Tensor, images: Tensor, ball: ThreatModel | None) -> Tensor:
    """Put back images that rounding took out of [0, 1] or the ball; leave those far outside.

    An image with NaN or infinite pixels, on which the attack broke down, becomes the clean image.
    """
    found = torch.where(found.isfinite().flatten(1).all(1)[:, None, None, None], found, images)
    if ball is not None and ball.norm in ("linf", "l2"):
        norm: Any = ball.norm
        sizes = norms(found - images, norm)
        near = (sizes > ball.eps) & (sizes <= ball.eps + _ROUNDING)
        # Slightly inside, because the sum of image and perturbation is rounded once more.
        inside = images + project(found - images, norm, ball.eps * (1 - 1e-6))
        found = torch.where(near[:, None, None, None], inside, found)
    clamped = found.clamp(0, 1)
    return torch.where((clamped - found).abs() <= _ROUNDING, clamped, found)


def parameters_of(target: Callable[..., Any], drop: Sequence[str] = ()) -> dict[str, Any]:
    """Return the options of a constructor with their defaults, ``...`` for required ones."""
    empty = inspect.Parameter.empty
    return {
        name: ... if parameter.default is empty else parameter.default
        for name, parameter in inspect.signature(target).parameters.items()
        if name not in ("self", *drop) and parameter.kind is not parameter.VAR_KEYWORD
    }


def checked(name: str, options: Mapping[str, Any], valid: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options, checked against the parameters ``valid`` and their defaults.

    Raises:
        UserError: if a value is not of the kind of the default, or a required one is missing.
    """
    values = dict(options)
    for option, default in valid.items():
        if option not in values:
            if default is ...:
                raise UserError(f"{name} needs the option '{option}': {name}({option}=...).")
            continue
        value = values[option]
        number = isinstance(default, (int, float)) and not isinstance(default, bool)
        if number and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise UserError(f"{name}: {option} = {value!r}: give a number such as {default:g}.")
        if isinstance(default, bool) and not isinstance(value, bool):
            raise UserError(f"{name}: {option} = {value!r}: give true or false.")
        if isinstance(default, str) and not isinstance(value, str):
            raise UserError(f"{name}: {option} = {value!r}: give a string such as '{default}'.")
    return values


def with_signature(
    build: Callable[..., Attack],
    valid: Sequence[str],
    summary: str,
    *,
    radius_options: RadiusOptions,
    norm: str | None,
) -> Callable[..., Attack]:
    """Return ``build`` as a function whose signature lists these options.

    Args:
        build: what builds the attack.
        valid: the names of its options.
        summary: what it does, in a line.
        radius_options: its names for norm, radius and step size.
        norm: the norm that it works in; None if that is an option, or if it has no ball.
    """

    def entry(**options: Any) -> Attack:
        return build(**options)

    kind = inspect.Parameter.KEYWORD_ONLY
    parameters = [inspect.Parameter(name, kind, default=None) for name in dict.fromkeys(valid)]
    entry.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    entry.__doc__ = summary
    entry.radius_options = radius_options  # type: ignore[attr-defined]
    if norm is not None and "norm" not in valid:
        entry.absent_options = {"norm": f"it works in {norm} only."}  # type: ignore[attr-defined]
    return entry
