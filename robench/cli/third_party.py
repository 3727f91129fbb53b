"""Options of a third-party model: what is put before it, and which of its weights are taken."""

from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from robench.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from robench.models.external import ExternalOptions
    from robench.models.state_dicts import Kind

NormalizeOption = Annotated[
    str | None,
    typer.Option(
        "--normalize",
        help="Mean and std put before --model: none, or of a data set: cifar10, imagenet, ...",
    ),
]
MeanOption = Annotated[
    str | None,
    typer.Option("--mean", help="Mean of each channel put before --model, e.g. 0.49,0.48,0.45."),
]
StdOption = Annotated[
    str | None, typer.Option("--std", help="Standard deviation per channel, in the same format.")
]
WeightsOption = Annotated[
    str | None,
    typer.Option(
        "--weights", help="Weights of --checkpoint: ema (the default where it has both) or raw."
    ),
]


def third_party_options(
    model: str | None, normalize: str | None, mean: str | None, std: str | None, weights: str | None
) -> "ExternalOptions":
    """Return how ``model`` is loaded, as the options of a command say.

    Raises:
        UserError: if an option is given without a model, or a value is not one of its own.
    """
    from robench.models.external import ExternalOptions
    from robench.models.normalization import choose_normalization
    from robench.models.state_dicts import Kind

    given = {"--normalize": normalize, "--mean": mean, "--std": std, "--weights": weights}
    if model is None and (unused := [name for name, value in given.items() if value is not None]):
        raise UserError(f"{unused[0]} is an option of --model; name your own model with it.")
    if weights is not None and weights not in get_args(Kind):
        raise UserError(f"--weights {weights}: {did_you_mean(weights, get_args(Kind))}")
    return ExternalOptions(choose_normalization(normalize, mean, std), cast("Kind | None", weights))
