"""The command that lowers a row by adversarial images that somebody found elsewhere."""

from pathlib import Path
from typing import Annotated

import typer

from robench.cli.inputs import Published
from robench.cli.options import (
    WRONG,
    DataDir,
    Device,
    Plugin,
    TrustCode,
    app,
    prepare,
    say,
)
from robench.cli.outputs import check_file
from robench.errors import UserError


@app.command()
def challenge(
    leaderboard: Published,
    row: Annotated[str | None, typer.Option("--row", help="The row to lower.")] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            "--images",
            help="A .npz or .safetensors file: 'images' (N, C, H, W), uint8 or float in [0, 1], "
            "and 'indices' (N,) among the images that the board evaluates.",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", min=0, help="The row's network of this seed; all by default."),
    ] = None,
    source: Annotated[
        str, typer.Option("--source", help="Where the images come from: an attack, paper, person.")
    ] = "",
    clean: Annotated[
        Path | None,
        typer.Option(
            "--clean",
            help="Instead, write the images that the board evaluates to this .npz file, with "
            "labels and indices, to attack them elsewhere.",
        ),
    ] = None,
    store: Annotated[
        list[Path], typer.Option("--store", help="Folder of trained cells; repeatable.")
    ] = [Path("runs")],  # noqa: B006 - Typer copies defaults
    data: Annotated[
        str | None, typer.Option("--data", help="Data set, if it cannot be loaded by its name.")
    ] = None,
    data_dir: DataDir = None,
    trust_code: TrustCode = False,
    device: Device = "auto",
    plugin: Plugin = [],  # noqa: B006
) -> None:
    """Lower a row by adversarial images that you found elsewhere.

    The exit code is 1 if no image lowers it; nothing is recorded then.
    """
    from robench.cli.tables.challenges import challenge_lines
    from robench.commands.challenge import challenge as challenge_row
    from robench.commands.challenge import write_clean

    console, chosen = prepare(device, plugin)
    if clean is not None:
        if row is not None or images is not None or seed is not None or source:
            raise UserError(
                "--clean only writes images; leave out --row, --images, --seed and --source."
            )
        check_file(clean, "--clean")
        count = write_clean(leaderboard, clean, data, data_dir)
        say(console, f"wrote {clean}: {count} images with labels and indices")
        return
    if row is None or images is None:
        raise UserError("name the row with --row and the file of images with --images.")
    found = challenge_row(
        leaderboard, row, images, seed=seed, source=source, stores=store, data=data,
        data_dir=data_dir, trust_code=trust_code, device=chosen,
    )  # fmt: skip
    for line in challenge_lines(found):
        say(console, line)
    if not found.lowers:
        raise typer.Exit(WRONG)
