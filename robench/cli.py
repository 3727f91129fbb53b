"""The command line: parses, calls, prints. Heavy imports wait until a command needs them."""

import os
import sys
import warnings
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from robench.errors import Notice, UserError

if TYPE_CHECKING:
    import torch
    from rich.console import Console

app = typer.Typer(
    name="robench",
    help="Train, attack and rank normalization defenses of ConvNets.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
new = typer.Typer(help="Write the files of a new entry.", no_args_is_help=True)
app.add_typer(new, name="new")


INTERRUPTED = 130
"""Exit code that Typer gives to Ctrl-C."""


class Kind(StrEnum):
    """What `robench list` lists."""

    defenses = "defenses"
    attacks = "attacks"
    datasets = "datasets"
    models = "models"
    boards = "boards"


BoardName = Annotated[
    str, typer.Argument(metavar="BOARD", help="A shipped board, a folder or a TOML file.")
]
Defenses = Annotated[
    str | None, typer.Option("--defenses", help="Rows, separated by commas, or 'all'.")
]
Seeds = Annotated[str | None, typer.Option("--seeds", help="Seeds, separated by commas.")]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Where the data set is or is downloaded to.")
]
Out = Annotated[Path, typer.Option("--out", help="Folder of trained cells and leaderboards.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, ...")]
Plugin = Annotated[
    list[Path], typer.Option("--plugin", help="Python file that registers entries; repeatable.")
]
Changes = Annotated[
    list[str], typer.Option("--set", help="Change the board: table.key=value; repeatable.")
]


@app.command()
def run(
    board: BoardName = "quick",
    defenses: Defenses = None,
    seeds: Seeds = None,
    data_dir: DataDir = None,
    out: Out = Path("runs"),
    device: Device = "auto",
    plugin: Plugin = [],  # noqa: B006 - Typer copies defaults
    changes: Changes = [],  # noqa: B006
) -> None:
    """Train, attack and rank the defenses of a board; goes on where it was interrupted."""
    from robench.execution.run import run_board
    from robench.leaderboard.publish import write_leaderboard
    from robench.leaderboard.table import compare_rows, leaderboard
    from robench.screen import ScreenWatcher, leaderboard_table
    from robench.selection import open_board

    console, chosen = _prepare(device, plugin)
    name, spec = open_board(board, rows=defenses, seeds=seeds, changes=changes)
    with ScreenWatcher(console, len(spec.rows()) * len(spec.seeds)) as watcher:
        result = run_board(spec, out=out, data_dir=data_dir, device=chosen, watcher=watcher)
    comparison = compare_rows(result)
    table = leaderboard(result, comparison)
    path = write_leaderboard(result, table, comparison, out / name)
    console.print(leaderboard_table(spec, table, spec.title))
    console.print(f"Leaderboard: {path}", markup=False, highlight=False, soft_wrap=True)


@app.command()
def train(
    defense: Annotated[str, typer.Argument(help="A defense, e.g. 'convnorm(bn=false)'.")],
    board: Annotated[str, typer.Option("--board", help="Whose recipe.")] = "quick",
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
    data_dir: DataDir = None,
    out: Out = Path("runs"),
    device: Device = "auto",
    plugin: Plugin = [],  # noqa: B006
    changes: Changes = [],  # noqa: B006
) -> None:
    """Train one network by a board's recipe and print where its weights are."""
    from robench.execution.run import train_row
    from robench.screen import ScreenWatcher
    from robench.selection import open_board

    console, chosen = _prepare(device, plugin)
    _, spec = open_board(board, rows=defense, seeds=str(seed), changes=changes)
    with ScreenWatcher(console, 1) as watcher:
        folder = train_row(spec, out=out, data_dir=data_dir, device=chosen, watcher=watcher)
    if folder.diverged.exists():
        raise UserError(f"the training of '{defense}' diverged: its loss is no longer finite.")
    console.print(f"Weights: {folder.weights}", markup=False, highlight=False, soft_wrap=True)


@app.command()
def attack(
    checkpoint: Annotated[
        Path | None,
        typer.Argument(help="weights.safetensors that robench trained, or its folder."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            help="Your own instead: package.module:build, FILE.py:build, timm:NAME or "
            "torchvision:NAME.",
        ),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option("--checkpoint", help="Weights of --model.")
    ] = None,
    attacks: Annotated[
        str, typer.Option("--attacks", help="Attacks, separated by commas.")
    ] = "fgsm,pgd-10,pgd-20",
    eps: Annotated[str, typer.Option("--eps", help="Radius of the ball, e.g. 8/255.")] = "8/255",
    step_size: Annotated[str, typer.Option("--step-size", help="e.g. 2/255.")] = "2/255",
    norm: Annotated[str, typer.Option("--norm", help="linf or l2.")] = "linf",
    data: Annotated[
        str | None, typer.Option("--data", help="Data set; that of the training if left out.")
    ] = None,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Test images.")] = 1000,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1)] = 256,
    without: Annotated[
        str, typer.Option("--without", help="Shortcuts of the engine to leave out, e.g. bf16.")
    ] = "",
    cross_check: Annotated[
        bool, typer.Option("--cross-check", help="Compare with torchattacks and foolbox.")
    ] = False,
    data_dir: DataDir = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="CSV file for the table; others go beside it.")
    ] = None,
    device: Device = "auto",
    plugin: Plugin = [],  # noqa: B006
) -> None:
    """Attack a network, one of robench's or your own, and print its robust accuracies."""
    from robench.calls import split_calls, typed_number
    from robench.execution.attack import (
        attack_subject,
        cross_check_subject,
        external_subject,
        trained_subject,
    )
    from robench.execution.reports import write_attack, write_cross_check
    from robench.screen import ScreenWatcher, cross_check_table, evaluation_table

    console, chosen = _prepare(device, plugin)
    if (checkpoint is None) == (model is None):
        raise UserError("name either a checkpoint that robench trained, or a --model of your own.")
    if weights is not None and model is None:
        raise UserError("--checkpoint holds the weights of --model; give robench's own by itself.")
    where: dict[str, Any] = {"data_dir": data_dir, "samples": samples}
    if model is not None:
        subject = external_subject(model, data, weights=weights, **where)
    else:
        assert checkpoint is not None
        subject = trained_subject(checkpoint, data=data, **where)
    ball = {"eps": typed_number(eps), "step_size": typed_number(step_size), "norm": norm}
    how: dict[str, Any] = {"seed": seed, "batch_size": batch_size, "device": chosen}
    with ScreenWatcher(console, 1) as watcher:
        result = attack_subject(
            subject, split_calls(attacks), defaults=ball, without=split_calls(without),
            watcher=watcher, **how,
        )  # fmt: skip
    console.print(evaluation_table(result.table(), subject.title))
    written = write_attack(result, subject.title, out) if out else []
    if cross_check:
        with ScreenWatcher(console, 1) as watcher:
            compared = cross_check_subject(subject, defaults=ball, watcher=watcher, **how)
        console.print(cross_check_table(compared, subject.title))
        written += [write_cross_check(compared, out)] if out else []
    for path in written:
        console.print(f"wrote {path}", markup=False, highlight=False, soft_wrap=True)


@app.command()
def spectra(
    checkpoints: Annotated[
        list[Path], typer.Argument(help="weights.safetensors or their folders.")
    ],
    against: Annotated[
        Path | None,
        typer.Option("--against", help="Checkpoint to compare with, e.g. one of vanilla."),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", help="Folder for spectra.csv and spectra.svg.")
    ] = Path("spectra"),
    plugin: Plugin = [],  # noqa: B006
) -> None:
    """Show norms and condition numbers of each layer of trained networks."""
    from robench.execution.spectra import checkpoint_spectra
    from robench.screen import ScreenWatcher, ratios_table, spectra_table

    console, _ = _prepare("cpu", plugin)
    with ScreenWatcher(console, len(checkpoints)) as watcher:
        result = checkpoint_spectra(checkpoints, against=against, watcher=watcher)
    written = result.save(out)
    for name, table in result.table.groupby("network", sort=False):
        console.print(spectra_table(table, str(name), result.caption))
    if not result.ratios.empty:
        console.print(ratios_table(result.ratios))
    for path in written:
        console.print(f"wrote {path}", markup=False, highlight=False, soft_wrap=True)


@app.command()
def plan(
    difference: Annotated[
        float, typer.Option("--difference", help="Of two accuracies, in points: 0.5 is half a one.")
    ],
    board: Annotated[
        Path | None,
        typer.Option("--board", help="Folder of a leaderboard like the one that is planned."),
    ] = None,
    power: Annotated[
        float, typer.Option("--power", min=0.5, max=0.99, help="Chance to find it.")
    ] = 0.8,
) -> None:
    """Say how many test images and seeds it takes to tell two defenses apart."""
    from robench.leaderboard.planning import planned
    from robench.screen import plan_tables

    console, _ = _prepare("cpu", [])
    for table in plan_tables(*planned(difference / 100, power, board), difference, power):
        console.print(table)


@app.command(name="list")
def list_entries(
    kind: Annotated[Kind, typer.Argument(help="What to list.")],
    plugin: Plugin = [],  # noqa: B006
) -> None:
    """List what is registered, with one line on each."""
    from robench import registry
    from robench.board import read_board
    from robench.registry import Entry
    from robench.screen import defenses_table, entries_table
    from robench.selection import shipped_boards

    console, _ = _prepare("cpu", plugin)
    if kind is Kind.defenses:
        console.print(defenses_table(registry.defenses.get(name) for name in registry.defenses))
        return
    if kind is Kind.boards:
        boards = {name: read_board(path) for name, path in shipped_boards().items()}
        entries = [Entry(name, Entry, board.title, "", "") for name, board in boards.items()]
    else:
        shelves: dict[Kind, registry.Registry[Any]] = {
            Kind.attacks: registry.attacks,
            Kind.datasets: registry.datasets,
            Kind.models: registry.backbones,
        }
        shelf = shelves[kind]
        entries = [shelf.get(name) for name in [*shelf, *shelf.library_names()]]
    console.print(entries_table(entries, str(kind)))


@new.command(name="defense")
def new_defense(
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits, _.")],
) -> None:
    """Write defenses/NAME.py, a commented working entry, and its test."""
    from robench.scaffold import write_entry

    for path in write_entry("defense", name):
        typer.echo(f"wrote {path}")
    typer.echo(f"try it: robench run --plugin defenses/{name}.py --defenses {name}")


@new.command(name="attack")
def new_attack(name: Annotated[str, typer.Argument(help="Lower-case letters, digits, _.")]) -> None:
    """Write attacks/NAME.py, a commented working entry, and its test."""
    from robench.scaffold import write_entry

    for path in write_entry("attack", name):
        typer.echo(f"wrote {path}")
    typer.echo(f"try it: robench attack CHECKPOINT --plugin attacks/{name}.py --attacks {name}")


def _prepare(device: str, plugins: list[Path]) -> "tuple[Console, torch.device]":
    from rich.console import Console

    from robench.devices import choose_device
    from robench.memory import keep_freed_memory
    from robench.processes import this_part
    from robench.registry import load_plugin

    keep_freed_memory()
    for plugin in plugins:
        load_plugin(plugin)
    console = Console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = 120  # a file has no width; Rich would take 80
    chosen = choose_device(device)
    if this_part().count > 1:
        from robench.execution.helpers import help_out, join

        if not join(chosen):
            help_out(chosen)
            raise typer.Exit
    return console, chosen


def main() -> None:
    """Run the command line; a user's mistake is one sentence on stderr and exit code 2."""
    shown = warnings.showwarning

    def show(message: Warning | str, *where: Any, **more: Any) -> None:
        if isinstance(message, Notice):
            print(f"robench: {message}", file=sys.stderr)
        else:
            shown(message, *where, **more)

    warnings.showwarning = show
    try:
        app()
    except UserError as error:
        print(f"robench: {error}", file=sys.stderr)
        sys.exit(2)
    except SystemExit as stop:
        if stop.code == INTERRUPTED:
            print("robench: interrupted; the same command goes on where it stood.", file=sys.stderr)
        raise
    finally:
        _let_go()


def _let_go() -> None:
    """Tell the processes that help this one, where there are any, that nothing more is to do."""
    if "robench.execution.helpers" in sys.modules:
        from robench.execution.helpers import let_go

        let_go()
