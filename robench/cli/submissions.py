"""Exchange rows between leaderboards: submit rows, check submissions, merge boards."""

from pathlib import Path
from typing import Annotated, Any

import typer

from robench.cli.options import DataDir, Device, Plugin, TrustCode, app, prepare, say
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
        list[Path], typer.Option("--store", help="Folder of trained cells; repeatable.")
    ] = [Path("runs")],  # noqa: B006 - Typer copies defaults
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
    plugin: Plugin = [],  # noqa: B006
) -> None:
    """Write a submission: rows with their weights and artifacts, for others to check and merge."""
    from robench.board.overrides import open_board
    from robench.cli.progress_bar import ProgressBar
    from robench.cli.tables import flag_lines, leaderboard_table
    from robench.expressions import split_titles
    from robench.leaderboard.published import Leaderboard
    from robench.leaderboard.submission import external_submission, write_submission

    console, chosen = prepare(device, plugin)
    external = third_party_options(model, normalize, mean, std, which)
    if model is None:
        board = Leaderboard.read(leaderboard)
        titles = [row.title for row in board.result.rows]
        if rows is not None:
            titles = split_titles(rows, titles)
        write_submission(board, titles, out, store)
    elif name is None:
        raise UserError("--model needs a name for its row; give --name 'my network'.")
    else:
        _, spec = open_board(leaderboard)
        with ProgressBar(console, 1) as reporter:
            notes = external_submission(
                name, model, weights, spec, out, external, data=data, data_dir=data_dir,
                device=chosen, reporter=reporter,
            )  # fmt: skip
        written = Leaderboard.read(out)
        console.print(leaderboard_table(written.board, written.table, written.board.title))
        for line in (*notes, *flag_lines(written.result)):
            say(console, line)
    say(console, f"wrote {out}; check it as reviewers will: robench check-submission {out}")


@app.command(name="check-submission")
def check_submission(
    folder: Annotated[Path, typer.Argument(help="Folder that 'robench submit' wrote.")],
    rows: Annotated[str, typer.Option("--rows", help="How many rows to rerun, or 'all'.")] = "all",
    trust_code: TrustCode = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed for drawing the rows.")] = 0,
    data: Data = None,
    data_dir: DataDir = None,
    device: Device = "auto",
    plugin: Plugin = [],  # noqa: B006
) -> None:
    """Check a submission: its files, figures and weights; exit code 1 if something is wrong."""
    from robench.cli.progress_bar import ProgressBar
    from robench.cli.tables import rerun_table
    from robench.leaderboard import submission

    console, chosen = prepare(device, plugin)
    how: dict[str, Any] = {"data": data, "data_dir": data_dir, "device": chosen}
    with ProgressBar(console, None) as reporter:
        checked = submission.check_submission(
            folder, trust_code=trust_code, rows=rows, seed=seed, reporter=reporter, **how
        )
    lines = [*(f"wrong: {problem}" for problem in checked.problems), *checked.notes]
    for line in lines:
        say(console, line)
    if len(checked.figures):
        console.print(rerun_table(checked.figures, "attacked again"))
    if not checked.sound:
        raise typer.Exit(1)
    unread = " in what was checked" if checked.notes else ""
    console.print(f"Nothing wrong was found{unread}.")


@app.command()
def merge(
    leaderboards: Annotated[
        list[Path], typer.Argument(help="Folders of published leaderboards and submissions.")
    ],
    out: NewFolder = Path("merged"),
    trust_code: TrustCode = False,
    plugin: Plugin = [],  # noqa: B006
) -> None:
    """Merge leaderboards that were evaluated in the same way."""
    from contextlib import ExitStack

    from robench.cli.tables import leaderboard_table
    from robench.leaderboard.merge import copy_networks, merge_boards, merged_bundle
    from robench.leaderboard.publish import publish, published_alone
    from robench.leaderboard.published import Leaderboard
    from robench.leaderboard.trust import trusted_code

    console, _ = prepare("cpu", plugin)
    boards = [Leaderboard.read(folder) for folder in leaderboards]
    with ExitStack() as loaded:
        notes = [loaded.enter_context(trusted_code(b, trust=trust_code)) for b in boards]
        result, bundle = merge_boards(boards), merged_bundle(boards)
        loaded.enter_context(published_alone(out))
        table = publish(result, out, bundle)
        copy_networks(boards, out)
    for note in dict.fromkeys(filter(None, notes)):
        say(console, note)
    console.print(leaderboard_table(result.board, table, result.board.title, result=result))
    say(console, f"Leaderboard: {out / 'leaderboard.csv'}")
