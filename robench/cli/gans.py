"""``robench gan``: train, sample and measure GANs whose discriminator carries a defense."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from robench.cli.options import (
    AsJson,
    DataDir,
    Device,
    Out,
    Plugin,
    Quiet,
    Seed,
    app,
    prepare,
    print_json,
    say,
)
from robench.cli.outputs import file_for_csv, file_for_output
from robench.errors import UserError

gan = typer.Typer(
    help="Train GANs whose discriminator carries a defense, sample and measure them.",
    no_args_is_help=True,
)
app.add_typer(gan, name="gan")


class Which(StrEnum):
    """The weights of a generator."""

    last = "last"
    ema = "ema"


class Part(StrEnum):
    """The images that samples are compared with."""

    train = "train"
    test = "test"


Weights = Annotated[
    Which, typer.Option("--weights", help="The last weights, or their moving average.")
]


@gan.command("train")
def train_command(
    defense: Annotated[str, typer.Argument(help="A defense, e.g. 'spectral_norm'.")],
    data: Annotated[
        str, typer.Option("--data", help="Data set of 32x32 images in color, or image_folder:DIR.")
    ] = "cifar10",
    seed: Seed = 0,
    data_dir: DataDir = None,
    out: Out = Path("runs"),
    device: Device = "auto",
    quiet: Quiet = False,
    plugin: Plugin = [],  # noqa: B006 - Typer copies defaults
    changes: Annotated[
        list[str],
        typer.Option(
            "--set",
            help="Change the recipe, SNGAN's: key=value, e.g. steps=2000, width=16; repeatable.",
        ),
    ] = [],  # noqa: B006
) -> None:
    """Train a GAN and print the folder of its weights; goes on if it was interrupted."""
    from robench.cli.progress_bar import progress
    from robench.commands.gan import Source, spec_of, train_gan
    from robench.gan.folder import read_divergence, read_manifest

    console, chosen = prepare(device, plugin)
    spec = spec_of(changes)
    with progress(console, 1, quiet=quiet) as reporter:
        folder = train_gan(
            defense, Source(data, data_dir), spec, seed=seed, out=out, device=chosen,
            progress=reporter.update,
        )  # fmt: skip
    if folder.diverged.exists():
        reason = read_divergence(folder)[0]
        raise UserError(f"the training of '{defense}' diverged: {reason}; try a lower lr.")
    for sentence in read_manifest(folder).symptoms.values():
        say(console, f"Warning: {sentence}.")
    say(console, f"GAN: {folder.path}")
    say(console, f"Samples: {folder.picture('last')}")


@gan.command("sample")
def sample_command(
    cell: Annotated[Path, typer.Argument(metavar="CELL", help="Folder of a trained GAN.")],
    count: Annotated[int, typer.Option("--count", min=1, help="Number of samples.")] = 64,
    seed: Seed = 0,
    weights: Weights = Which.last,
    out: Annotated[
        Path, typer.Option("--out", help="A .png file for a grid, or a folder of PNG files.")
    ] = Path("samples.png"),
    device: Device = "auto",
) -> None:
    """Draw samples of a trained GAN, as one picture or as files."""
    from robench.cli.outputs import folder_for_output
    from robench.commands.gan import sample_gan

    console, chosen = prepare(device, [])
    out = (file_for_output(out) or out) if out.suffix == ".png" else folder_for_output(out)
    sample_gan(cell, count, out, seed=seed, which=weights.value, device=chosen)
    say(console, f"wrote {out}")


@gan.command("measure")
def measure_command(
    cells: Annotated[
        list[Path], typer.Argument(metavar="CELL...", help="Folders of trained GANs.")
    ],
    extractor: Annotated[
        str,
        typer.Option(
            "--extractor",
            help="Network of the features: inception (FID, KID, inception score), "
            "efficientnet_lite0, or a classifier trained by robench.",
        ),
    ] = "inception",
    inception: Annotated[
        Path | None,
        typer.Option("--inception", help="File of Inception's weights; else they are downloaded."),
    ] = None,
    samples: Annotated[int, typer.Option("--samples", min=2, help="Number of samples.")] = 50_000,
    against: Annotated[
        Part, typer.Option("--against", help="Images that samples are compared with.")
    ] = Part.train,
    images: Annotated[
        int | None,
        typer.Option("--images", min=2, help="Number of them; all by default."),
    ] = None,
    seed: Seed = 0,
    weights: Weights = Which.last,
    snapshots: Annotated[
        bool,
        typer.Option("--snapshots", help="Also the generators kept on the way (snapshots=N)."),
    ] = False,
    data: Annotated[
        str | None, typer.Option("--data", help="Data set; by default the one used in training.")
    ] = None,
    data_dir: DataDir = None,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", help="CSV file for the table.", callback=file_for_csv),
    ] = None,
    device: Device = "auto",
    quiet: Quiet = False,
    as_json: AsJson = False,
    plugin: Plugin = [],  # noqa: B006
) -> None:
    """Measure how far samples of GANs are from images."""
    from robench.cli.progress_bar import progress
    from robench.cli.tables.gans import measured_table
    from robench.commands.gan import Protocol, Source, measure_gans
    from robench.system.files import write_text

    console, chosen = prepare(device, plugin, as_json=as_json)
    protocol = Protocol(samples, against.value, images, seed, weights.value, snapshots)
    with progress(console, 1, quiet=quiet) as reporter:
        table = measure_gans(
            cells, extractor, protocol, Source(data, data_dir), inception=inception,
            device=chosen, progress=reporter.update,
        )  # fmt: skip
    if as_json:
        print_json(table)
    else:
        console.print(measured_table(table))
    if csv is not None:
        write_text(csv, table.to_csv(index=False))
        say(console, f"wrote {csv}")
