"""Commands on leaderboards: plan, verify, page, reproduce and export."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from robench.cli.inputs import Published, leaderboard_folders
from robench.cli.options import (
    BAD_INPUT,
    UNCONFIRMED,
    WRONG,
    AsJson,
    DataDir,
    Device,
    FreshSeed,
    Inception,
    Plugin,
    Quiet,
    TrustCode,
    app,
    prepare,
    print_json,
    print_lines,
    say,
)
from robench.cli.outputs import folder_for_output, page_for_output
from robench.errors import UserError

if TYPE_CHECKING:
    from robench.commands.gan_board import GanVerification
    from robench.commands.verify import Verification


@app.command()
def plan(
    difference: Annotated[
        float,
        typer.Option("--difference", help="Accuracy difference to detect, in percentage points."),
    ],
    board: Annotated[
        Path | None,
        typer.Option("--board", help="Folder of a leaderboard similar to the planned one."),
    ] = None,
    power: Annotated[
        float, typer.Option("--power", min=0.5, max=0.99, help="Probability of detecting it.")
    ] = 0.8,
    as_json: AsJson = False,
) -> None:
    """Print how many test images and seeds it takes to distinguish two defenses."""
    from robench.cli.tables.boards import plan_tables
    from robench.leaderboard.power import ALONE, corrected, planned

    console, _ = prepare("cpu", [])
    samples, seeds = planned(difference / 100, power, board)
    if as_json:
        print_json({"samples": samples, "seeds": seeds})
        return
    for table in plan_tables(samples, seeds, difference, power):
        console.print(table)
    if note := corrected(difference / 100, power, board):
        say(console, note)
    say(console, ALONE)


@app.command()
def verify(
    leaderboards: Annotated[
        list[Path],
        typer.Argument(
            metavar="LEADERBOARD...",
            help="Folders of published leaderboards; of several, those without one are skipped.",
            callback=leaderboard_folders,
        ),
    ],
    rows: Annotated[
        str | None,
        typer.Option(
            "--rows",
            help="How many rows to rerun, drawn at random with --seed, or 'all'; one by default, "
            "if its weights are here.",
        ),
    ] = None,
    retrain: Annotated[
        bool, typer.Option("--retrain", help="Retrain the rows instead of only attacking them.")
    ] = False,
    store: Annotated[
        list[Path], typer.Option("--store", help="Folder of trained cells; repeatable.")
    ] = [Path("runs")],  # noqa: B006
    seed: Annotated[
        int | None,
        typer.Option("--seed", min=0, help="Seed for drawing the rows; drawn now by default."),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Attack once more, with a seed drawn now.")
    ] = False,
    fresh_seed: FreshSeed = None,
    data: Annotated[
        str | None, typer.Option("--data", help="Data set, if it cannot be loaded by its name.")
    ] = None,
    data_dir: DataDir = None,
    inception: Inception = None,
    trust_code: TrustCode = False,
    device: Device = "auto",
    quiet: Quiet = False,
    plugin: Plugin = [],  # noqa: B006
) -> None:
    """Check leaderboards against their artifacts and rerun rows.

    The exit code is 1 if one is wrong, 2 if one of several cannot be read or checked, and 3 if rows
    were asked for by --rows, --fresh or --retrain and a board had none that could be rerun, or
    --retrain gave other weights.
    """
    from robench.cli.gan_boards import refuse_of_classifiers, verify_of_gans
    from robench.cli.progress_bar import progress
    from robench.cli.tables.verification import trusted_lines, verification_lines
    from robench.commands.verify import leaderboards_among
    from robench.commands.verify import verify as verify_board
    from robench.leaderboard.gans.published import holds_gans
    from robench.leaderboard.published import Leaderboard
    from robench.leaderboard.rerun import draw_fresh_seed

    console, chosen = prepare(device, plugin)
    if fresh and fresh_seed is None:
        fresh_seed = draw_fresh_seed()
    for folder in store:
        if folder != Path("runs") and not folder.is_dir():
            raise UserError(f"--store {folder}: no such folder; give a folder of trained cells.")
    code = 0
    among = leaderboards_among(leaderboards)
    if inception is not None and not any(holds_gans(f) for f, there in among.items() if there):
        raise UserError("--inception goes with a board of GANs; leave it out.")
    alone = sum(among.values()) < 2
    kinds: set[bool] = set()
    for folder, published in among.items():
        if not published:
            say(console, f"{folder} holds no leaderboard.")
            continue
        found: Verification | GanVerification
        try:
            if holds_gans(folder):
                refuse_of_classifiers({"--retrain": retrain, "--fresh": fresh_seed is not None})
                found, lines = verify_of_gans(
                    console, folder, rows=rows, seed=seed, stores=tuple(store), data=data,
                    data_dir=data_dir, device=chosen, inception=inception, trust_code=trust_code,
                    quiet=quiet, alone=alone,
                )  # fmt: skip
            else:
                board = Leaderboard.read(folder)
                with progress(console, None, quiet=quiet) as reporter:
                    found = verify_board(
                        board, rows=rows, seed=seed, stores=store, retrain=retrain, data=data,
                        data_dir=data_dir, device=chosen, reporter=reporter,
                        trust_code=trust_code, fresh_seed=fresh_seed,
                    )  # fmt: skip
                lines = verification_lines(found, retrain=retrain, alone=alone)
        except UserError as error:
            if len(leaderboards) == 1:
                raise
            say(console, f"{folder.name}: {error}")
            code = code if code == WRONG else BAD_INPUT
            continue
        kinds.add(holds_gans(folder))
        print_lines(console, lines)
        if not found.sound:
            code = WRONG
        elif found.unconfirmed and not code:
            code = UNCONFIRMED
    if not alone:
        print_lines(console, trusted_lines(classifiers=False in kinds, gans=True in kinds))
    if code:
        raise typer.Exit(code)


@app.command()
def page(
    leaderboard: Published,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="HTML file; by default page.html in the leaderboard's folder.",
            callback=page_for_output,
        ),
    ] = None,
    trust_code: TrustCode = False,
    plugin: Plugin = [],  # noqa: B006
) -> None:
    """Write a leaderboard as one self-contained HTML file."""
    from robench.leaderboard.audit.lengths import check_lengths
    from robench.leaderboard.evidence import changed_notice
    from robench.leaderboard.gans.page import write_gan_page
    from robench.leaderboard.gans.published import GanLeaderboard, holds_gans
    from robench.leaderboard.page.write import write_page
    from robench.leaderboard.published import Leaderboard
    from robench.leaderboard.trust import trusted_code

    console, _ = prepare("cpu", plugin)
    file = out or leaderboard / "page.html"
    if holds_gans(leaderboard):
        say(console, f"wrote {write_gan_page(GanLeaderboard.read(leaderboard), file)}")
        return
    board = Leaderboard.read(leaderboard)
    with trusted_code(board, trust=trust_code) as note:
        check_lengths(board)
        path = write_page(board, file)
    for line in filter(None, (note, changed_notice(leaderboard))):
        say(console, line)
    say(console, f"wrote {path}")


@app.command()
def reproduce(
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            help="Folder of your own runs, searched for boards.",
            callback=folder_for_output,
        ),
    ] = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """List the papers' tables and figures that boards reproduce, and the state of each."""
    from robench.cli.tables.boards import states_table
    from robench.commands.reproduce import states

    console, _ = prepare("cpu", [])
    found = states(out)
    if as_json:
        print_json([asdict(state) for state in found])
        return
    console.print(states_table(found))
