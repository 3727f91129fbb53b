"""Commands that look into networks: ``robench show`` and ``robench spectra``."""

from pathlib import Path
from typing import Annotated

import typer

from robench.cli.options import (
    AsJson,
    DataDir,
    Device,
    Plugin,
    Quiet,
    Seed,
    app,
    prepare,
    print_json,
    say,
)
from robench.cli.outputs import file_for_output, folder_for_output
from robench.cli.targets import (
    Checkpoint,
    Data,
    Eps,
    Model,
    Norm,
    Samples,
    StepSize,
    Weights,
    defaults_of,
    target_of,
)
from robench.cli.third_party import (
    MeanOption,
    NormalizeOption,
    StdOption,
    WeightsOption,
    third_party_options,
)


@app.command()
def show(
    checkpoint: Checkpoint = None,
    model: Model = None,
    weights: Weights = None,
    which: WeightsOption = None,
    normalize: NormalizeOption = None,
    mean: MeanOption = None,
    std: StdOption = None,
    attack: Annotated[
        list[str], typer.Option("--attack", help="An attack to show; repeatable.")
    ] = ["pgd-20"],  # noqa: B006 - Typer copies defaults
    images: Annotated[int, typer.Option("--images", min=1, help="Number of images to draw.")] = 8,
    eps: Eps = None,
    step_size: StepSize = None,
    norm: Norm = None,
    data: Data = None,
    samples: Samples = 100,
    seed: Seed = 0,
    data_dir: DataDir = None,
    out: Annotated[
        Path,
        typer.Option("--out", help="A .png, .svg or .pdf file.", callback=file_for_output),
    ] = Path("show.png"),
    device: Device = "auto",
    quiet: Quiet = False,
    plugin: Plugin = [],  # noqa: B006
) -> None:
    """Draw clean and adversarial images, the perturbations, and the network's predictions."""
    from robench.cli.progress_bar import progress
    from robench.commands.attack import requested
    from robench.commands.show import show_attacks
    from robench.diagnostics.gallery import check_ending
    from robench.evaluation.options import EvaluationOptions

    console, chosen = prepare(device, plugin)
    check_ending(out)
    names = requested(",".join(attack))
    defaults = defaults_of(console, names, eps, step_size, norm)
    target = target_of(
        console, checkpoint, model, weights,
        third_party_options(model, normalize, mean, std, which),
        data=data, data_dir=data_dir, samples=samples,
    )  # fmt: skip
    with progress(console, 1, quiet=quiet) as reporter:
        gallery = show_attacks(
            target, names, out, classes=target.classes, images=images, defaults=defaults.values,
            options=EvaluationOptions(seed=seed, device=chosen, progress=reporter.update),
        )  # fmt: skip
    console.print(gallery.caption, markup=False, highlight=False)
    say(console, f"wrote {out}")


@app.command()
def spectra(
    checkpoints: Annotated[
        list[Path],
        typer.Argument(help="weights.safetensors, their folders, or BOARD/ROW of leaderboards."),
    ],
    against: Annotated[
        Path | None,
        typer.Option("--against", help="Checkpoint to compare with, e.g. of vanilla."),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(
            "--out", help="Folder for spectra.csv and spectra.svg.", callback=folder_for_output
        ),
    ] = Path("spectra"),
    quiet: Quiet = False,
    as_json: AsJson = False,
    plugin: Plugin = [],  # noqa: B006
) -> None:
    """Print the norm and condition number of each layer of trained networks."""
    from robench.cli.progress_bar import progress
    from robench.cli.tables.networks import ratios_table, spectra_table
    from robench.commands.checkpoints import checkpoint_file
    from robench.commands.spectra import checkpoint_spectra

    console, _ = prepare("cpu", plugin, as_json=as_json)
    networks = len(checkpoints) + (against is not None)
    with progress(console, networks, quiet=quiet) as reporter:
        result = checkpoint_spectra(
            [checkpoint_file(path) for path in checkpoints],
            against=against and checkpoint_file(against),
            reporter=reporter,
        )
    written = result.save(out)
    if as_json:
        print_json({"spectra": result.table, "ratios": result.ratios})
        return
    for name, table in result.table.groupby("network", sort=False):
        console.print(spectra_table(table, str(name), result.caption))
    if not result.ratios.empty:
        console.print(ratios_table(result.ratios))
    for path in written:
        say(console, f"wrote {path}")
