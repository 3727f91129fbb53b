"""``robench attack``."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    print_lines,
    say,
)
from robench.cli.outputs import file_for_curve, table_for_output
from robench.cli.targets import (
    Checkpoints,
    Data,
    Eps,
    Indices,
    Model,
    Norm,
    SamplesOrIndices,
    StepSize,
    Weights,
    chosen_images,
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
from robench.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console


@app.command()
def attack(
    checkpoints: Checkpoints = [],  # noqa: B006 - Typer copies defaults
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
        bool,
        typer.Option(
            "--cross-check", help="Compare with torchattacks, foolbox and, if installed, adv-lib."
        ),
    ] = False,
    checks: Annotated[
        bool | None,
        typer.Option(
            "--checks/--no-checks",
            help="Check whether the accuracies can be trusted; by default for --model.",
            show_default=False,
        ),
    ] = None,
    data_dir: DataDir = None,
    curve: Annotated[
        Path | None,
        typer.Option(
            "--curve",
            help="CSV file for accuracy at every radius, from attacks that minimize sizes, such as "
            "fab(minimal=true); a plot goes next to it.",
            callback=file_for_curve,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="CSV file for the table; related files, including partial results, go next to it.",
            callback=table_for_output,
        ),
    ] = None,
    device: Device = "auto",
    quiet: Quiet = False,
    as_json: AsJson = False,
    plugin: Plugin = [],  # noqa: B006
) -> None:
    """Attack networks, trained by robench or your own, and print their robust accuracies."""
    from robench.cli.progress_bar import progress
    from robench.cli.tables.checks import check_lines
    from robench.cli.tables.networks import cross_check_table, evaluation_table, sizes_table
    from robench.commands.attack import (
        accuracy_hint,
        adaptive_hint,
        cross_check_target,
        requested,
    )
    from robench.commands.attack_checks import attack_timed, check_attacked
    from robench.commands.attack_curves import curves_of, write_curves
    from robench.commands.reports import write_attack, write_cross_check, write_selection
    from robench.evaluation.options import EvaluationOptions
    from robench.evaluation.partial import remove
    from robench.expressions import split_expressions

    console, chosen = prepare(device, plugin, as_json=as_json)
    names = requested(attacks, split_expressions(without))
    defaults = defaults_of(console, names, eps, step_size, norm, compared=cross_check)
    if curve:
        _check_curve(console, curve, out, names, defaults.values)
    external = third_party_options(model, normalize, mean, std, which)
    options = EvaluationOptions(seed, batch_size, split_expressions(without), chosen)
    images = chosen_images(samples, indices)
    how: dict[str, Any] = {"data": data, "data_dir": data_dir, "samples": images}
    if len(checkpoints) > 1:
        _refuse_with_several(
            model=model, weights=weights, cross_check=cross_check, curve=curve is not None
        )
        how |= {"defaults": defaults.values, "options": options, "checks": bool(checks)}
        shown = {"quiet": quiet, "as_json": as_json}
        _attack_several(checkpoints, names, console, out, **shown, **how)
        return
    checkpoint = checkpoints[0] if checkpoints else None
    target = target_of(console, checkpoint, model, weights, external, **how)
    asked = (model, weights, external, checkpoint, names, defaults.values, how, seed, without)
    resume = _kept(out, asked) if out else None
    with progress(console, 1, quiet=quiet) as reporter:
        options = replace(options, progress=reporter.update)
        attacked = attack_timed(
            target, names, defaults=defaults.values, options=replace(options, resume=resume)
        )
    result, table = attacked.result, attacked.result.table()
    if not as_json:
        console.print(evaluation_table(table, target.title, gradients=result.gradients))
    for hint in (accuracy_hint(target, result), adaptive_hint(result)):
        if hint:
            say(console, hint)
    if checks or (checks is None and model is not None):
        with progress(console, 1, quiet=quiet) as reporter:
            checked = check_attacked(attacked, replace(options, progress=reporter.update))
        print_lines(console, check_lines(checked))
        table = checked.beside(table)
    curves: list[Path] = []
    if curve:
        points, sizes = curves_of(attacked.attacks, result.attacks)
        console.print(sizes_table(sizes, target.title))
        table = table.merge(sizes, "left", on="attack")
        curves = write_curves(points, target.title, curve)
    written = curves + (write_attack(result, table, target.title, out) if out else [])
    if out and target.selection is not None:
        written.append(write_selection(target.selection, target.sample.labels, out))
    if cross_check:
        with progress(console, 1, quiet=quiet) as reporter:
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
    if as_json:
        print_json(table)
    for path in written:
        say(console, f"wrote {path}")


def _kept(out: Path, asked: object) -> Path:
    """Return the file that keeps what is done: another one for another request."""
    key = hashlib.sha256(repr(asked).encode()).hexdigest()[:8]
    return out.with_suffix(f".{key}.partial.npz")


def _check_curve(
    console: "Console", curve: Path, out: Path | None, attacks: list[str], defaults: dict[str, Any]
) -> None:
    """Check what ``--curve`` asks for, and say which of the attacks have none."""
    from robench.commands.attack_curves import check_curve

    if out is not None and curve.with_suffix(".csv").resolve() == out.resolve():
        raise UserError(f"--curve and --out would both write {out}; name another file.")
    if notice := check_curve(attacks, defaults):
        say(console, notice)


def _refuse_with_several(
    *, model: str | None, weights: Path | None, cross_check: bool, curve: bool
) -> None:
    if model is not None or weights is not None:
        raise UserError("several checkpoints are of robench's own networks; leave out --model.")
    if cross_check:
        raise UserError("--cross-check compares libraries on one network; name one checkpoint.")
    if curve:
        raise UserError("--curve compares attacks on one network; name one checkpoint.")


def _attack_several(
    checkpoints: list[Path],
    attacks: list[str],
    console: "Console",
    out: Path | None,
    *,
    quiet: bool,
    as_json: bool,
    **how: Any,
) -> None:
    """Attack several networks and print one table with a row for each."""
    from robench.cli.progress_bar import progress
    from robench.cli.tables.checks import check_lines
    from robench.cli.tables.networks import networks_table
    from robench.commands.attack_several import attack_several, trained_among
    from robench.system.files import write_text

    trained, diverged = trained_among(checkpoints)
    for path in diverged:
        say(console, f"{path} was left out: its training diverged.")
    if not trained:
        raise UserError("there is no network to attack: the training of all of them diverged.")
    options, checks = how.pop("options"), how.pop("checks")
    asked = (checkpoints, attacks, how, options.seed, options.without)
    kept = _kept(out, asked).with_suffix("") if out else None
    with progress(console, len(trained), quiet=quiet) as reporter:
        options = replace(options, progress=reporter.update)
        table, checked = attack_several(
            trained, attacks, options=options, kept=kept, checks=checks, **how
        )
    if as_json:
        print_json(table)
    else:
        console.print(networks_table(table))
    for name, found in checked.items():
        print_lines(console, check_lines(found, name))
    if out is not None:
        write_text(out, table.to_csv(index=False))
        say(console, f"wrote {out}")
    if kept is not None:
        shutil.rmtree(kept, ignore_errors=True)
