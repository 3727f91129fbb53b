"""``robench export``: a leaderboard as a table for a paper, or as data."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from robench.cli.options import DataDir, Plugin, app, prepare
from robench.cli.outputs import file_for_output
from robench.errors import UserError

if TYPE_CHECKING:
    from robench.leaderboard.published import Leaderboard


class Format(StrEnum):
    """The formats that `robench export` writes."""

    markdown = "markdown"
    latex = "latex"
    long_csv = "long-csv"
    parquet = "parquet"


LONG = (Format.long_csv, Format.parquet)
"""The formats with a line per image."""


@app.command()
def export(
    leaderboard: Annotated[Path, typer.Argument(help="Folder of a published leaderboard.")],
    form: Annotated[
        Format,
        typer.Option(
            "--format",
            help="A table for a paper, or one line per row, seed, column and test image.",
        ),
    ] = Format.markdown,
    beside: Annotated[
        bool,
        typer.Option("--beside-paper", help="Print the paper's figures and ours side by side."),
    ] = False,
    labels: Annotated[
        bool,
        typer.Option(
            "--labels", help="With long-csv or parquet: add the true class, which needs the data."
        ),
    ] = False,
    data: Annotated[
        str | None, typer.Option("--data", help="Data set, if it cannot be loaded by its name.")
    ] = None,
    data_dir: DataDir = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Output file; printed by default.", callback=file_for_output),
    ] = None,
    plugin: Plugin = [],  # noqa: B006 - Typer copies defaults
) -> None:
    """Print a leaderboard as Markdown or LaTeX, or the outcome of every image as a long table."""
    from robench.leaderboard.audit.lengths import check_lengths
    from robench.leaderboard.long_table import check_parquet
    from robench.leaderboard.published import Leaderboard
    from robench.system.files import write_bytes

    prepare("cpu", plugin)
    if form in LONG and beside:
        raise UserError(f"--beside-paper compares accuracies; leave it out with --format {form}.")
    if not labels and (data is not None or data_dir is not None):
        raise UserError("--data and --data-dir say where --labels are read; add it, or leave both.")
    if labels and form not in LONG:
        raise UserError("--labels adds a column to the tables of --format long-csv and parquet.")
    if form is Format.parquet:
        if out is None:
            raise UserError("--format parquet is not text; name the file with --out FILE.parquet.")
        check_parquet()
    board = Leaderboard.read(leaderboard)
    check_lengths(board)
    if form in LONG:
        content = _outcomes(board, form, labels=labels, data=data, data_dir=data_dir)
    else:
        content = _paper_table(board, form, beside=beside).encode()
    if out is None:
        typer.echo(content.decode(), nl=False)
        return
    write_bytes(out, content)
    typer.echo(f"wrote {out}")


def _outcomes(
    board: "Leaderboard", form: Format, *, labels: bool, data: str | None, data_dir: Path | None
) -> bytes:
    from robench.leaderboard.long_table import long_table, to_parquet, true_classes
    from robench.leaderboard.table import to_csv

    classes = true_classes(board, data, data_dir) if labels else None
    table = long_table(board, classes)
    return to_parquet(table) if form is Format.parquet else to_csv(table).encode()


def _paper_table(board: "Leaderboard", form: Format, *, beside: bool) -> str:
    from robench.leaderboard.export import to_latex, to_markdown
    from robench.leaderboard.export_paper import paper_to_latex, paper_to_markdown
    from robench.leaderboard.usable import check_tables, usable_table

    if beside:
        check_tables(board)
        return (paper_to_markdown if form is Format.markdown else paper_to_latex)(board)
    write = to_markdown if form is Format.markdown else to_latex
    return write(usable_table(board), board.board, board.columns)
