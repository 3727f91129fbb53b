"""Commands on a trained network: ``robench attack``, ``show`` and ``spectra``."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from robench.cli.options import DataDir, Device, Plugin, Seed, app, prepare, say
from robench.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from robench.commands.attack import Target

Checkpoint = Annotated[
    Path | None,
    typer.Argument(help="weights.safetensors of a network trained by robench, or its folder."),
]
Checkpoints = Annotated[
    list[Path],
    typer.Argument(
        metavar="[CHECKPOINT]...",
        help="weights.safetensors of networks trained by robench, or their folders.",
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="Your own model: package.module:build, FILE.py:build, timm:NAME or torchvision:NAME.",
    ),
]
Weights = Annotated[Path | None, typer.Option("--checkpoint", help="Weights of --model.")]
Eps = Annotated[str, typer.Option("--eps", help="Radius of the threat model, e.g. 8/255.")]
StepSize = Annotated[
    str | None, typer.Option("--step-size", help="e.g. 2/255; a quarter of eps by default.")
]
Norm = Annotated[str, typer.Option("--norm", help="linf or l2.")]
Data = Annotated[
    str | None, typer.Option("--data", help="Data set; by default the one used in training.")
]
Samples = Annotated[int, typer.Option("--samples", min=1, help="Number of test images.")]


@app.command()
def attack(
    checkpoints: Checkpoints = [],  # noqa: B006 - Typer copies defaults
    model: Model = None,
    weights: Weights = None,
    attacks: Annotated[
        str, typer.Option("--attacks", help="Attacks, separated by commas.")
    ] = "fgsm,pgd-10,pgd-20",
    eps: Eps = "8/255",
    step_size: StepSize = None,
    norm: Norm = "linf",
    data: Data = None,
    samples: Samples = 1000,
    seed: Seed = 0,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1)] = 256,
    without: Annotated[
        str, typer.Option("--without", help="Shortcuts of the engine to disable, e.g. bf16.")
    ] = "",
    cross_check: Annotated[
        bool, typer.Option("--cross-check", help="Compare with torchattacks and foolbox.")
    ] = False,
    data_dir: DataDir = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="CSV file for the table; other files go next to it."),
    ] = None,
    device: Device = "auto",
    plugin: Plugin = [],  # noqa: B006
) -> None:
    """Attack networks, trained by robench or your own, and print their robust accuracies."""
    from robench.base import ThreatModel
    from robench.cli.progress_bar import ProgressBar
    from robench.cli.tables import cross_check_table, evaluation_table
    from robench.commands.attack import attack_target, cross_check_target
    from robench.commands.reports import write_attack, write_cross_check
    from robench.evaluation.options import EvaluationOptions
    from robench.expressions import split_expressions

    console, chosen = prepare(device, plugin)
    defaults = _defaults(eps, step_size, norm)
    if len(checkpoints) > 1:
        options = EvaluationOptions(seed, batch_size, split_expressions(without), chosen)
        _refuse_with_several(model=model, weights=weights, cross_check=cross_check)
        _attack_several(
            checkpoints, split_expressions(attacks), console, out, defaults=defaults,
            options=options, data=data, data_dir=data_dir, samples=samples,
        )  # fmt: skip
        return
    checkpoint = checkpoints[0] if checkpoints else None
    target = _target(checkpoint, model, weights, data=data, data_dir=data_dir, samples=samples)
    with ProgressBar(console, 1) as reporter:
        options = EvaluationOptions(
            seed, batch_size, split_expressions(without), chosen, reporter.update
        )
        result = attack_target(
            target, split_expressions(attacks), defaults=defaults, options=options
        )
    console.print(evaluation_table(result.table(), target.title))
    written = write_attack(result, target.title, out) if out else []
    if cross_check:
        with ProgressBar(console, 1) as reporter:
            compared = cross_check_target(
                target,
                ThreatModel(norm, defaults["eps"]),
                step_size=defaults.get("step_size"),
                options=replace(options, progress=reporter.update),
            )
        console.print(cross_check_table(compared, target.title))
        written += [write_cross_check(compared, out)] if out else []
    for path in written:
        say(console, f"wrote {path}")


@app.command()
def show(
    checkpoint: Checkpoint = None,
    model: Model = None,
    weights: Weights = None,
    attack: Annotated[
        list[str], typer.Option("--attack", help="An attack to show; repeatable.")
    ] = ["pgd-20"],  # noqa: B006 - Typer copies defaults
    images: Annotated[int, typer.Option("--images", min=1, help="Number of images to draw.")] = 8,
    eps: Eps = "8/255",
    step_size: StepSize = None,
    norm: Norm = "linf",
    data: Data = None,
    samples: Samples = 100,
    seed: Seed = 0,
    data_dir: DataDir = None,
    out: Annotated[Path, typer.Option("--out", help="A .png, .svg or .pdf file.")] = Path(
        "show.png"
    ),
    device: Device = "auto",
    plugin: Plugin = [],  # noqa: B006
) -> None:
    """Draw clean and adversarial images, the perturbations, and the network's predictions."""
    from robench.cli.progress_bar import ProgressBar
    from robench.commands.show import show_attacks
    from robench.diagnostics.gallery import check_ending
    from robench.evaluation.options import EvaluationOptions
    from robench.expressions import split_expressions

    console, chosen = prepare(device, plugin)
    check_ending(out)
    target = _target(checkpoint, model, weights, data=data, data_dir=data_dir, samples=samples)
    defaults = _defaults(eps, step_size, norm)
    with ProgressBar(console, 1) as reporter:
        gallery = show_attacks(
            target, split_expressions(",".join(attack)), out, classes=target.classes, images=images,
            defaults=defaults,
            options=EvaluationOptions(seed=seed, device=chosen, progress=reporter.update),
        )  # fmt: skip
    console.print(gallery.caption, markup=False, highlight=False)
    say(console, f"wrote {out}")


@app.command()
def spectra(
    checkpoints: Annotated[
        list[Path], typer.Argument(help="weights.safetensors or their folders.")
    ],
    against: Annotated[
        Path | None,
        typer.Option("--against", help="Checkpoint to compare with, e.g. of vanilla."),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", help="Folder for spectra.csv and spectra.svg.")
    ] = Path("spectra"),
    plugin: Plugin = [],  # noqa: B006
) -> None:
    """Print the norm and condition number of each layer of trained networks."""
    from robench.cli.progress_bar import ProgressBar
    from robench.cli.tables import ratios_table, spectra_table
    from robench.commands.spectra import checkpoint_spectra

    console, _ = prepare("cpu", plugin)
    with ProgressBar(console, len(checkpoints) + (against is not None)) as reporter:
        result = checkpoint_spectra(checkpoints, against=against, reporter=reporter)
    written = result.save(out)
    for name, table in result.table.groupby("network", sort=False):
        console.print(spectra_table(table, str(name), result.caption))
    if not result.ratios.empty:
        console.print(ratios_table(result.ratios))
    for path in written:
        say(console, f"wrote {path}")


def _defaults(eps: str, step_size: str | None, norm: str) -> dict[str, Any]:
    from robench.expressions import typed_number

    values = {"eps": typed_number(eps), "norm": norm}
    return values if step_size is None else {**values, "step_size": typed_number(step_size)}


def _refuse_with_several(*, model: str | None, weights: Path | None, cross_check: bool) -> None:
    if model is not None or weights is not None:
        raise UserError("several checkpoints are of robench's own networks; leave out --model.")
    if cross_check:
        raise UserError("--cross-check compares libraries on one network; name one checkpoint.")


def _attack_several(
    checkpoints: list[Path], attacks: list[str], console: "Console", out: Path | None, **how: Any
) -> None:
    """Attack several networks and print one table with a row for each."""
    from robench.cli.progress_bar import ProgressBar
    from robench.cli.tables import networks_table
    from robench.commands.attack_several import attack_several, trained_among
    from robench.system.files import write_text

    trained, diverged = trained_among(checkpoints)
    for path in diverged:
        say(console, f"{path} was left out: its training diverged.")
    if not trained:
        raise UserError("there is no network to attack: the training of all of them diverged.")
    options = how.pop("options")
    with ProgressBar(console, len(trained)) as reporter:
        table = attack_several(
            trained, attacks, options=replace(options, progress=reporter.update), **how
        )
    console.print(networks_table(table))
    if out is not None:
        write_text(out, table.to_csv(index=False))
        say(console, f"wrote {out}")


def _target(
    checkpoint: Path | None, model: str | None, weights: Path | None, **how: Any
) -> "Target":
    from robench.commands.attack import external_target, trained_target

    if (checkpoint is None) == (model is None):
        raise UserError("give either a checkpoint trained by robench or a --model of your own.")
    if weights is not None and model is None:
        raise UserError(
            "--checkpoint holds the weights of --model; pass a checkpoint trained by robench as "
            "the argument."
        )
    if checkpoint is not None:
        return trained_target(checkpoint, **how)
    assert model is not None
    return external_target(model, how.pop("data"), weights=weights, **how)
