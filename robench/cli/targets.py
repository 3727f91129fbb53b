"""What commands on a network share: how it, its images and its threat model are named."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from robench.cli.options import say
from robench.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from robench.commands.attack import Target
    from robench.commands.attack_defaults import AttackDefaults
    from robench.data.selection import Selection
    from robench.models.external import ExternalOptions

Checkpoint = Annotated[
    Path | None,
    typer.Argument(
        help="weights.safetensors of a network trained by robench, its folder, or BOARD/ROW of a "
        "leaderboard."
    ),
]
Checkpoints = Annotated[
    list[Path],
    typer.Argument(
        metavar="[CHECKPOINT]...",
        help="weights.safetensors of networks trained by robench, their folders, or BOARD/ROW of "
        "leaderboards.",
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="Your own model: package.module:build, FILE.py:build, timm:NAME, torchvision:NAME or "
        "hf:ORG/NAME or robustbench:DATASET/THREAT/NAME.",
    ),
]
Weights = Annotated[Path | None, typer.Option("--checkpoint", help="Weights of --model.")]
Eps = Annotated[
    str | None,
    typer.Option("--eps", help="Radius of the threat model, e.g. 4/255.", show_default="8/255"),
]
StepSize = Annotated[
    str | None, typer.Option("--step-size", help="e.g. 2/255; a quarter of eps by default.")
]
Norm = Annotated[str | None, typer.Option("--norm", help="linf or l2.", show_default="linf")]
Data = Annotated[
    str | None,
    typer.Option(
        "--data",
        help="Data set, image_folder:DIR, FILE.npz or hf:ORG/NAME; by default the one used in "
        "training.",
    ),
]
Samples = Annotated[int, typer.Option("--samples", min=1, help="Number of test images.")]
SamplesOrIndices = Annotated[
    int | None,
    typer.Option("--samples", min=1, show_default="1000", help="Number of test images."),
]
Indices = Annotated[
    str | None,
    typer.Option(
        "--indices",
        help="Exactly these test images, in this order: first:N, range:A:B or a file of indices.",
    ),
]


def chosen_images(samples: int | None, indices: str | None) -> "int | Selection":
    """Return the number of images to attack, or exactly which ones.

    Raises:
        UserError: if both are given, or the indices cannot be read.
    """
    from robench.data.selection import read_selection

    if indices is None:
        return 1000 if samples is None else samples
    if samples is not None:
        raise UserError("--indices says which images are attacked; leave out --samples.")
    return read_selection(indices)


def defaults_of(
    console: "Console",
    attacks: list[str],
    eps: str | None,
    step_size: str | None,
    norm: str | None,
    compared: bool = False,
) -> "AttackDefaults":
    """Return what the attacks inherit, after saying which of it does not reach which attack.

    Raises:
        UserError: if an option reaches no attack, or a value is not one of its own.
    """
    from robench.commands.attack_defaults import attack_defaults

    found = attack_defaults(attacks, eps=eps, step_size=step_size, norm=norm, compared=compared)
    for notice in found.notices:
        say(console, notice)
    return found


def target_of(
    console: "Console",
    checkpoint: Path | None,
    model: str | None,
    weights: Path | None,
    options: "ExternalOptions",
    **how: Any,
) -> "Target":
    """Return the network that a command names, with its images, after saying how it is loaded.

    Raises:
        UserError: if not exactly one network is named, or it cannot be loaded.
    """
    from robench.commands.attack import external_target, trained_target
    from robench.commands.checkpoints import checkpoint_file

    if checkpoint is not None and model is not None and weights is None:
        raise UserError(
            f"give either a checkpoint trained by robench or a --model of your own; "
            f"if {checkpoint} holds the weights of --model, pass it as --checkpoint {checkpoint}."
        )
    if (checkpoint is None) == (model is None):
        raise UserError("give either a checkpoint trained by robench or a --model of your own.")
    if weights is not None and model is None:
        raise UserError(
            "--checkpoint holds the weights of --model; pass a checkpoint trained by robench as "
            "the argument."
        )
    if checkpoint is not None:
        return trained_target(checkpoint_file(checkpoint), **how)
    assert model is not None
    target = external_target(model, how.pop("data"), weights=weights, options=options, **how)
    for note in target.notes:
        say(console, note)
    return target
