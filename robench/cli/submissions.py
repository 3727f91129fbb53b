"""Exchange rows between leaderboards: submit rows, check submissions, merge boards."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from robench.cli.inputs import leaderboard_folders
from robench.cli.options import (
    UNCONFIRMED,
    WRONG,
    DataDir,
    Device,
    FreshSeed,
    Plugin,
    Quiet,
    TrustCode,
    app,
    prepare,
    print_lines,
    say,
)
from robench.cli.third_party import (
    MeanOption,
    NormalizeOption,
    StdOption,
    WeightsOption,
    third_party_options,
)
from robench.errors import UserError

NewFolder = Annotated[Path, typer.Option("--out", help="A new folder.")]
Data = Annotated[
    str | None, typer.Option("--data", help="Data set, if it cannot be loaded by its name.")
]


@app.command()
def submit(
    leaderboard: Annotated[
        str, typer.Argument(help="Folder of a published leaderboard; for --model: a board.")
    ],
    out: NewFolder = Path("submission"),
    rows: Annotated[
        str | None, typer.Option("--rows", help="Its rows, separated by commas; all by default.")
    ] = None,
    store: Annotated[
        list[Path],
        typer.Option("--store", help="Folder of trained cells; repeatable.", show_default="runs"),
    ] = [],  # noqa: B006 - Typer copies defaults
    model: Annotated[
        str | None,
        typer.Option("--model", help="Your own network instead; see 'robench attack --help'."),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option("--checkpoint", help="Weights of --model.")
    ] = None,
    which: WeightsOption = None,
    normalize: NormalizeOption = None,
    mean: MeanOption = None,
    std: StdOption = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the row of --model.")] = None,
    data: Data = None,
    data_dir: DataDir = None,
    device: Device = "auto",
    quiet: Quiet = False,
    plugin: Plugin = [],  # noqa: B006
) -> None:
    """Write a submission: rows with their weights and artifacts, for others to check and merge."""
    from robench.board.overrides import open_board
    from robench.cli.progress_bar import progress
    from robench.cli.tables.boards import flag_lines, leaderboard_table
    from robench.expressions import split_titles
    from robench.leaderboard.published import Leaderboard
    from robench.leaderboard.submission import external_submission, write_submission

    console, chosen = prepare(device, plugin)
    external = third_party_options(model, normalize, mean, std, which)
    own = {"--name": name, "--checkpoint": weights, "--data": data, "--data-dir": data_dir}
    _check(model, own, {"--rows": rows, "--store": store or None})
    if model is None:
        board = Leaderboard.read(leaderboard)
        titles = [row.title for row in board.result.rows]
        if rows is not None:
            titles = split_titles(rows, titles)
        write_submission(board, titles, out, store or [Path("runs")])
    elif name is None:
        raise UserError("--model needs a name for its row; give --name 'my network'.")
    else:
        _, spec = open_board(leaderboard)
        with progress(console, 1, quiet=quiet) as reporter:
            notes = external_submission(
                name, model, weights, spec, out, external, data=data, data_dir=data_dir,
                device=chosen, reporter=reporter,
            )  # fmt: skip
        written = Leaderboard.read(out)
        console.print(leaderboard_table(written.board, written.table, written.board.title))
        for line in (*notes, *flag_lines(written.result)):
            say(console, line)
    say(console, f"wrote {out}; check it as reviewers will: robench check-submission {out}")


def _check(model: str | None, own: Mapping[str, object], rows: Mapping[str, object]) -> None:
    """Check that each option that is given has an effect.

    Args:
        model: the network that is submitted; None for rows of a leaderboard.
        own: the options of a network, None where left out.
        rows: those of rows, likewise.

    Raises:
        UserError: if one has none.
    """
    for name, value in (own if model is None else rows).items():
        if value is None:
            continue
        if model is None:
            raise UserError(f"{name} goes with --model; add it, or leave {name} out.")
        raise UserError(
            f"{name} goes with the rows of a leaderboard; leave it out, or leave --model out."
        )


@app.command(name="check-submission")
def check_submission(
    folder: Annotated[Path, typer.Argument(help="Folder that 'robench submit' wrote.")],
    rows: Annotated[str, typer.Option("--rows", help="How many rows to rerun, or 'all'.")] = "all",
    attacks_of: Annotated[
        str | None,
        typer.Option(
            "--attacks-of",
            metavar="BOARD",
            help="The board that it is for: its attacks must be those of this board. Without, "
            "attacks that take very long are refused.",
        ),
    ] = None,
    trust_code: TrustCode = False,
    seed: Annotated[
        int | None,
        typer.Option("--seed", min=0, help="Seed for drawing the rows; drawn now by default."),
    ] = None,
    fresh_seed: FreshSeed = None,
    data: Data = None,
    data_dir: DataDir = None,
    device: Device = "auto",
    quiet: Quiet = False,
    plugin: Plugin = [],  # noqa: B006
) -> None:
    """Check a submission: its files, figures and weights, also with a seed drawn now.

    The exit code is 1 if something is wrong, and 3 if no row could be attacked again.
    """
    from robench.board.overrides import open_board
    from robench.cli.progress_bar import progress
    from robench.cli.tables.verification import checked_lines
    from robench.leaderboard import submission

    console, chosen = prepare(device, plugin)
    how: dict[str, Any] = {"data": data, "data_dir": data_dir, "device": chosen}
    how["attacks_of"] = None if attacks_of is None else open_board(attacks_of)[1]
    how["fresh_seed"] = fresh_seed
    with progress(console, None, quiet=quiet) as reporter:
        checked = submission.check_submission(
            folder, trust_code=trust_code, rows=rows, seed=seed, reporter=reporter, **how
        )
    print_lines(console, checked_lines(checked))
    if not checked.sound:
        raise typer.Exit(WRONG)
    if checked.checked_nothing:
        raise typer.Exit(UNCONFIRMED)


@app.command()
def merge(
    leaderboards: Annotated[
        list[Path],
        typer.Argument(
            help="Folders of published leaderboards and submissions.",
            callback=leaderboard_folders,
        ),
    ],
    out: NewFolder = Path("merged"),
    trust_code: TrustCode = False,
    plugin: Plugin = [],  # noqa: B006
) -> None:
    """Merge leaderboards that were evaluated in the same way."""
    from contextlib import ExitStack

    from robench.cli.tables.boards import leaderboard_table
    from robench.cli.tables.speedruns import speedrun_table
    from robench.leaderboard.merged_folder import write_merged
    from robench.leaderboard.published import Leaderboard
    from robench.leaderboard.trust import trusted_code

    console, _ = prepare("cpu", plugin)
    boards = [Leaderboard.read(folder) for folder in leaderboards]
    with ExitStack() as loaded:
        notes = [loaded.enter_context(trusted_code(b, trust=trust_code)) for b in boards]
        result, table = write_merged(boards, out)
    for note in dict.fromkeys(filter(None, notes)):
        say(console, note)
    console.print(leaderboard_table(result.board, table, result.board.title, result=result))
    if race := speedrun_table(result, table):
        console.print(race)
    say(console, f"Leaderboard: {out / 'leaderboard.csv'}")
