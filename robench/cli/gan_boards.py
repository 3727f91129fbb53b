"""What commands on boards do if the board is one of GANs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from robench.cli.options import print_json, print_lines, say
from robench.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from rich.console import Console

    from robench.cli.tables.fitted import FittedTable
    from robench.commands.gan_board import GanVerification
    from robench.runs.placement import Placement


def refuse_of_classifiers(given: Mapping[str, bool]) -> None:
    """Refuse options that boards of GANs do not have.

    Args:
        given: option -> whether it was given.

    Raises:
        UserError: if one was.
    """
    for option, is_given in given.items():
        if is_given:
            raise UserError(
                f"{option} is for boards of classifiers, and this is a board of GANs; leave it out."
            )


# More parameters than usual: they are the options of the command.
def run_gans(
    console: "Console",
    board: str,
    out: Path,
    device: "torch.device",
    *,
    rows: str | None,
    seeds: str | None,
    changes: Sequence[str],
    data_dir: Path | None,
    inception: Path | None,
    placement: "Placement",
    log: "Sequence[str]",
    quiet: bool,
) -> None:
    """Run a board of GANs, publish it and print its table."""
    from robench.cli.progress_bar import progress
    from robench.cli.tables.gan_boards import gan_board_lines
    from robench.commands.gan_board import run_and_publish_gans
    from robench.gan.board import open_gan_board

    name, spec = open_gan_board(board, rows=rows, seeds=seeds, changes=changes)
    with progress(console, spec.networks * len(spec.seeds), quiet=quiet) as reporter:
        published = run_and_publish_gans(
            spec, out, name, data_dir=data_dir, device=device, inception=inception,
            reporter=reporter, placement=placement, log=log,
        )  # fmt: skip
    print_lines(console, gan_board_lines(published))

    say(console, f"Leaderboard: {out / name / 'leaderboard.csv'}")
    if log:
        say(console, f"Logs: {out / 'logs'}")


# More parameters than usual: they are the options of the command.
def forecast_of_gans(
    console: "Console",
    board: str,
    out: Path,
    device: "torch.device",
    *,
    rows: str | None,
    seeds: str | None,
    changes: Sequence[str],
    data_dir: Path | None,
    inception: Path | None,
    placement: "Placement",
    as_json: bool,
) -> None:
    """Print what a run of a board of GANs would take."""
    from robench.cli.tables.progress import gan_forecast_table
    from robench.commands.gan_forecast import gan_forecast
    from robench.gan.board import open_gan_board

    _, spec = open_gan_board(board, rows=rows, seeds=seeds, changes=changes)
    found = gan_forecast(
        spec, out=out, data_dir=data_dir, device=device, placement=placement, inception=inception
    )
    if as_json:
        print_json(asdict(found) | {"seconds": found.seconds})
        return
    console.print(gan_forecast_table(found, spec.title))


# More parameters than usual: they are the options of the command.
def verify_of_gans(
    console: "Console",
    folder: Path,
    *,
    rows: str | None,
    seed: int | None,
    stores: tuple[Path, ...],
    data: str | None,
    data_dir: Path | None,
    device: "torch.device",
    inception: Path | None,
    trust_code: bool,
    quiet: bool,
    alone: bool,
) -> "tuple[GanVerification, Iterator[str | FittedTable]]":
    """Verify a board of GANs, and return the result with what is printed of it."""
    from robench.cli.progress_bar import progress
    from robench.cli.tables.gan_boards import gan_verification_lines
    from robench.commands.gan_board import verify_gans

    with progress(console, None, quiet=quiet) as reporter:
        found = verify_gans(
            folder, rows=rows, seed=seed, stores=stores, data=data, data_dir=data_dir,
            device=device, inception=inception, reporter=reporter, trust_code=trust_code,
        )  # fmt: skip
    return found, gan_verification_lines(found, alone=alone)
