"""Commands on a trained network: ``robench attack``, ``show`` and ``spectra``."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from robench.cli.options import DataDir, Device, Plugin, Seed, app, prepare, say
from robench.cli.third_party import (
    MeanOption,
    NormalizeOption,
    StdOption,
    WeightsOption,
    third_party_options,
)
from robench.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from robench.commands.attack import Target
    from robench.commands.attack_defaults import AttackDefaults
    from robench.data.selection import Selection
    from robench.models.external import ExternalOptions

Checkpoint = Annotated[
    Path | None,
    typer.Argument(help="weights.safetensors of a network trained by robench, or its folder."),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="Your own model: package.module:build, FILE.py:build, timm:NAME or torchvision:NAME.",
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
        help="Data set, image_folder:DIR or FILE.npz; by default the one used in training.",
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


@app.command()
def attack(
    checkpoint: Checkpoint = None,
    model: Model = None,
    weights: Weights = None,
    which: WeightsOption = None,
    normalize: NormalizeOption = None,
    mean: MeanOption = None,
    std: StdOption = None,
    attacks: Annotated[
        str, typer.Option("--attacks", help="Attacks, separated by commas.")
    ] = "fgsm,pgd-10,pgd-20",
    eps: Eps = None,
    step_size: StepSize = None,
    norm: Norm = None,
    data: Data = None,
    samples: SamplesOrIndices = None,
    indices: Indices = None,
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
        typer.Option(
            "--out",
            help="CSV file for the table; other files go next to it, what is done so far, too.",
        ),
    ] = None,
    device: Device = "auto",
    plugin: Plugin = [],  # noqa: B006
) -> None:
    """Attack a network, trained by robench or your own, and print its robust accuracies."""
    from robench.cli.progress_bar import ProgressBar
    from robench.cli.tables import cross_check_table, evaluation_table
    from robench.commands.attack import (
        accuracy_hint,
        attack_target,
        check_requests,
        cross_check_target,
    )
    from robench.commands.reports import write_attack, write_cross_check, write_selection
    from robench.evaluation.options import EvaluationOptions
    from robench.evaluation.partial import remove
    from robench.expressions import split_expressions

    console, chosen = prepare(device, plugin)
    names = split_expressions(attacks)
    check_requests(names, split_expressions(without))
    defaults = _defaults(console, names, eps, step_size, norm, compared=cross_check)
    target = _target(
        checkpoint, model, weights, third_party_options(model, normalize, mean, std, which),
        data=data, data_dir=data_dir, samples=_chosen_images(samples, indices),
    )  # fmt: skip
    for note in target.notes:
        say(console, note)
    resume = out.with_suffix(".partial.npz") if out else None
    with ProgressBar(console, 1) as reporter:
        options = EvaluationOptions(
            seed, batch_size, split_expressions(without), chosen, reporter.update, resume=resume
        )
        result = attack_target(target, names, defaults=defaults.values, options=options)
    console.print(evaluation_table(result.table(), target.title, gradients=result.gradients))
    if hint := accuracy_hint(target, result):
        say(console, hint)
    written = write_attack(result, target.title, out) if out else []
    if out and target.selection is not None:
        written.append(write_selection(target.selection, target.sample.labels, out))
    if cross_check:
        with ProgressBar(console, 1) as reporter:
            compared = cross_check_target(
                target,
                defaults.threat_model,
                step_size=defaults.step_size,
                options=replace(options, progress=reporter.update),
            )
        console.print(cross_check_table(compared, target.title))
        written += [write_cross_check(compared, out)] if out else []
    if resume:
        remove(resume)
    for path in written:
        say(console, f"wrote {path}")


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
    out: Annotated[Path, typer.Option("--out", help="A .png, .svg or .pdf file.")] = Path(
        "show.png"
    ),
    device: Device = "auto",
    plugin: Plugin = [],  # noqa: B006
) -> None:
    """Draw clean and adversarial images, the perturbations, and the network's predictions."""
    from robench.cli.progress_bar import ProgressBar
    from robench.commands.attack import check_requests
    from robench.commands.show import show_attacks
    from robench.diagnostics.gallery import check_ending
    from robench.evaluation.options import EvaluationOptions
    from robench.expressions import split_expressions

    console, chosen = prepare(device, plugin)
    check_ending(out)
    names = split_expressions(",".join(attack))
    check_requests(names)
    defaults = _defaults(console, names, eps, step_size, norm)
    target = _target(
        checkpoint, model, weights, third_party_options(model, normalize, mean, std, which),
        data=data, data_dir=data_dir, samples=samples,
    )  # fmt: skip
    for note in target.notes:
        say(console, note)
    with ProgressBar(console, 1) as reporter:
        gallery = show_attacks(
            target, names, out, classes=target.classes, images=images, defaults=defaults.values,
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


def _chosen_images(samples: int | None, indices: str | None) -> "int | Selection":
    """Return the number of images to attack, or exactly which ones."""
    from robench.data.selection import read_selection

    if indices is None:
        return 1000 if samples is None else samples
    if samples is not None:
        raise UserError("--indices says which images are attacked; leave out --samples.")
    return read_selection(indices)


def _defaults(
    console: "Console",
    attacks: list[str],
    eps: str | None,
    step_size: str | None,
    norm: str | None,
    compared: bool = False,
) -> "AttackDefaults":
    """Return what the attacks inherit, after saying which of it does not reach which attack."""
    from robench.commands.attack_defaults import attack_defaults

    found = attack_defaults(attacks, eps=eps, step_size=step_size, norm=norm, compared=compared)
    for notice in found.notices:
        say(console, notice)
    return found


def _target(
    checkpoint: Path | None,
    model: str | None,
    weights: Path | None,
    options: "ExternalOptions",
    **how: Any,
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
    return external_target(model, how.pop("data"), weights=weights, options=options, **how)
