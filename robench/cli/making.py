"""``robench run``, ``robench status`` and ``robench train``."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from robench.cli.options import (
    BoardName,
    Changes,
    DataDir,
    Defenses,
    Device,
    Inception,
    Log,
    Out,
    Plugin,
    Quiet,
    Seed,
    Seeds,
    app,
    prepare,
    print_json,
    say,
)
from robench.errors import UserError

if TYPE_CHECKING:
    import torch
    from rich.console import Console

    from robench.board.board import Board
    from robench.runs.placement import Placement


@app.command()
def run(
    board: BoardName = "quick",
    defenses: Defenses = None,
    seeds: Seeds = None,
    data_dir: DataDir = None,
    out: Out = Path("runs"),
    device: Device = "auto",
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            min=1,
            help="Trainings and attacks that run at the same time; by default what suits the "
            "machine. Results do not depend on it.",
        ),
    ] = None,
    executor: Annotated[
        str,
        typer.Option(
            "--executor",
            help="Where they run: local, ray, ray:ADDRESS or slurm. Results do not depend on it.",
        ),
    ] = "local",
    resources: Annotated[
        Path | None,
        typer.Option(
            "--resources",
            help="With ray or slurm: a TOML file of the resources each piece requests.",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Print what is left to compute, and roughly how long it takes.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --dry-run: print JSON.")] = False,
    log: Log = [],  # noqa: B006 - Typer copies defaults
    inception: Inception = None,
    quiet: Quiet = False,
    plugin: Plugin = [],  # noqa: B006 - Typer copies defaults
    changes: Changes = [],  # noqa: B006
) -> None:
    """Train, attack and rank the defenses of a board; resumes if it was interrupted."""
    from robench.board.loading import is_gan_board
    from robench.board.overrides import find_board, open_board
    from robench.cli.gan_boards import forecast_of_gans, run_gans
    from robench.cli.progress_bar import progress
    from robench.cli.tables.boards import flag_lines, leaderboard_table
    from robench.cli.tables.speedruns import speedrun_table
    from robench.commands.run import run_and_publish
    from robench.runs.placement import Placement
    from robench.tracking.trackers import trackers_for

    placement = Placement(executor, jobs, resources)
    console, chosen = prepare(device, plugin, here=placement.is_local)
    if as_json and not dry_run:
        raise UserError("--json belongs to --dry-run; the results of a run are its CSV files.")
    if dry_run:
        trackers_for(log, out / "logs")  # refuses what the run would refuse, and makes no file
    if is_gan_board(find_board(board)[1]):
        if dry_run:
            forecast_of_gans(
                console, board, out, chosen, rows=defenses, seeds=seeds, changes=changes,
                data_dir=data_dir, inception=inception, placement=placement, as_json=as_json,
            )  # fmt: skip
            return
        run_gans(
            console, board, out, chosen, rows=defenses, seeds=seeds, changes=changes,
            data_dir=data_dir, inception=inception, placement=placement, log=log, quiet=quiet,
        )  # fmt: skip
        return
    if inception is not None:
        raise UserError("--inception goes with a board of GANs; leave it out.")
    name, spec = open_board(board, rows=defenses, seeds=seeds, changes=changes)
    if dry_run:
        _print_forecast(console, spec, out, data_dir, chosen, placement, as_json=as_json)
        return
    cells = len(spec.row_specs) * len(spec.seeds)
    with progress(console, cells, quiet=quiet) as reporter:
        published = run_and_publish(
            spec,
            out,
            name,
            data_dir=data_dir,
            device=chosen,
            reporter=reporter,
            placement=placement,
            log=log,
        )
    console.print(leaderboard_table(spec, published.table, spec.title, result=published.result))
    if race := speedrun_table(published.result, published.table):
        console.print(race)
    for line in flag_lines(published.result):
        say(console, line)
    say(console, f"Leaderboard: {out / name / 'leaderboard.csv'}")
    if log:
        say(console, f"Logs: {out / 'logs'}")


def _print_forecast(
    console: "Console",
    board: "Board",
    out: Path,
    data_dir: Path | None,
    device: "torch.device",
    placement: "Placement",
    *,
    as_json: bool,
) -> None:
    from robench.cli.tables.progress import forecast_table
    from robench.commands.forecast import forecast

    found = forecast(board, out=out, data_dir=data_dir, device=device, placement=placement)
    if as_json:
        print_json(asdict(found) | {"seconds": found.seconds})
        return
    console.print(forecast_table(found, board.title))


@app.command()
def status(
    board: BoardName = "quick",
    defenses: Defenses = None,
    seeds: Seeds = None,
    data_dir: DataDir = None,
    out: Out = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of objects.")] = False,
    plugin: Plugin = [],  # noqa: B006
    changes: Changes = [],  # noqa: B006
) -> None:
    """Print how far each cell of a board is; works beside a run."""
    from robench.cli.tables.progress import status_table
    from robench.commands.status import named_board_status

    console, _ = prepare("cpu", plugin)
    title, cells = named_board_status(
        board, out=out, data_dir=data_dir, rows=defenses, seeds=seeds, changes=changes
    )
    if as_json:
        print_json([asdict(cell) for cell in cells])
        return
    console.print(status_table(cells, title))


@app.command()
def train(
    defense: Annotated[str, typer.Argument(help="A defense, e.g. 'convnorm(bn=false)'.")],
    board: Annotated[str, typer.Option("--board", help="Board whose recipe is used.")] = "quick",
    seed: Seed = 0,
    data_dir: DataDir = None,
    out: Out = Path("runs"),
    device: Device = "auto",
    log: Log = [],  # noqa: B006
    quiet: Quiet = False,
    plugin: Plugin = [],  # noqa: B006
    changes: Changes = [],  # noqa: B006
) -> None:
    """Train one network with a board's recipe and print the path of its weights."""
    from robench.board.overrides import open_board
    from robench.cli.progress_bar import progress
    from robench.runs.run import train_row
    from robench.system.json_files import read_json
    from robench.tracking.follow import followed

    console, chosen = prepare(device, plugin)
    name, spec = open_board(board, rows=defense, seeds=str(seed), changes=changes)
    bar = progress(console, 1, quiet=quiet)
    with bar as reporter, followed(log, name, out, reporter) as run:
        folder = train_row(
            spec, out=out, data_dir=data_dir, device=chosen, reporter=run, observer=run
        )
    if folder.diverged.exists():
        reason = read_json(folder.diverged)["reason"]
        raise UserError(f"the training of '{defense}' diverged: {reason}; try a lower training.lr.")
    say(console, f"Weights: {folder.weights}")
    if log:
        say(console, f"Logs: {out / 'logs'}")
