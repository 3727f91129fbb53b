"""``robench certify``: what is proved of a network, beside what an attack finds."""

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
from robench.cli.outputs import file_for_csv
from robench.cli.targets import Checkpoint, Data, Model, Samples, Weights, target_of
from robench.cli.third_party import (
    MeanOption,
    NormalizeOption,
    StdOption,
    WeightsOption,
    third_party_options,
)


@app.command("certify")
def certify_command(
    checkpoint: Checkpoint = None,
    model: Model = None,
    weights: Weights = None,
    which: WeightsOption = None,
    normalize: NormalizeOption = None,
    mean: MeanOption = None,
    std: StdOption = None,
    radii: Annotated[
        str, typer.Option("--radii", help="Radii in L2, separated by commas.")
    ] = "36/255,72/255,108/255,255/255",
    attack: Annotated[
        str, typer.Option("--attack", help="Attack to run within each radius.")
    ] = "pgd-20",
    data: Data = None,
    samples: Samples = 1000,
    seed: Seed = 0,
    data_dir: DataDir = None,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", help="Write the radius of each image there.", callback=file_for_csv),
    ] = None,
    device: Device = "auto",
    quiet: Quiet = False,
    as_json: AsJson = False,
    plugin: Plugin = [],  # noqa: B006
) -> None:
    """Certify the L2 radius within which each prediction cannot change, and attack within it."""
    from robench.cli.progress_bar import progress
    from robench.cli.tables.networks import certified_table
    from robench.commands.certify import certify_target, radii_of
    from robench.evaluation.options import EvaluationOptions
    from robench.system.files import write_text

    console, chosen = prepare(device, plugin, as_json=as_json)
    wanted = radii_of(radii)
    target = target_of(
        console, checkpoint, model, weights,
        third_party_options(model, normalize, mean, std, which),
        data=data, data_dir=data_dir, samples=samples,
    )  # fmt: skip
    with progress(console, len(wanted), quiet=quiet) as reporter:
        options = EvaluationOptions(seed=seed, device=chosen, progress=reporter.update)
        found = certify_target(target, wanted, attack, options=options)
    if csv is not None:
        write_text(csv, found.images().to_csv(index=False))
        say(console, f"wrote {csv}")
    if as_json:
        print_json({**found.facts(), "radii": found.table, "layers": found.layers})
    else:
        console.print(certified_table(found, target.title, attack))
    if found.unsound:
        raise typer.Exit(1)
