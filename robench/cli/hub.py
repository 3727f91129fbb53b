"""The command that puts a published network on the Hugging Face hub."""

from pathlib import Path
from typing import Annotated

import typer

from robench.cli.options import Plugin, app, prepare, say
from robench.errors import UserError


@app.command()
def push(
    leaderboard: Annotated[
        str, typer.Argument(help="Folder of a published leaderboard, or a shipped one's name.")
    ],
    row: Annotated[str, typer.Option("--row", help="The row to push.")],
    to: Annotated[
        str, typer.Option("--to", metavar="hf:ORG/NAME", help="The repository; created if new.")
    ],
    seed: Annotated[
        int | None,
        typer.Option("--seed", min=0, help="The row's network of this seed; its first by default."),
    ] = None,
    store: Annotated[
        list[Path], typer.Option("--store", help="Folder of trained cells; repeatable.")
    ] = [Path("runs")],  # noqa: B006 - Typer copies defaults
    private: Annotated[
        bool, typer.Option("--private", help="Make the repository private, if it is new.")
    ] = False,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace",
            help="Commit on top of a repository that holds something else; its earlier commits "
            "stay.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only write the files, to the folder NAME.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="Only write the files, to this new folder.")
    ] = None,
    plugin: Plugin = [],  # noqa: B006
) -> None:
    """Push a row's network to the Hugging Face hub.

    Its repository gets the weights, what loads them, and a model card with the figures.
    """
    from robench.commands.push import destination, write
    from robench.commands.push import push as push_network
    from robench.leaderboard.named import find_leaderboard, published_network

    console, _ = prepare("cpu", plugin)
    name = destination(to)
    board = find_leaderboard(leaderboard, store)
    network = published_network(board, row, seed, store)
    what = f"'{row}', seed {network.cell.seed}, of {board.name}"
    if dry_run or out is not None:
        if private or replace:
            raise UserError("with --dry-run or --out nothing is sent; leave out --private and "
                            "--replace.")  # fmt: skip
        folder = out or Path(name.repo.partition("/")[2])
        files = write(network, name, folder)
        say(console, f"wrote {folder}: {', '.join(files)}; nothing was sent.")
        return
    pushed = push_network(network, name, private=private, replace=replace)
    if not pushed.changed:
        say(console, f"{pushed.name} has {what} already; nothing changed.")
        return
    say(console, f"pushed {what}: {pushed.name}")
    if pushed.before is not None:
        say(console, f"It is a new commit; what was there before stays at {pushed.before}.")
