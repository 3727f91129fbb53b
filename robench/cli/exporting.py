"""``robench export``: a leaderboard as a table for a paper, as data, or for verifiers."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from robench.cli.inputs import Published
from robench.cli.options import DataDir, Plugin, app, prepare
from robench.cli.outputs import check_ending, file_for_output, folder_for_output
from robench.errors import UserError
from robench.system.files import behind_link

if TYPE_CHECKING:
    from robench.leaderboard.published import Leaderboard


class Format(StrEnum):
    """The formats that `robench export` writes."""

    markdown = "markdown"
    latex = "latex"
    long_csv = "long-csv"
    parquet = "parquet"
    vnnlib = "vnnlib"


LONG = (Format.long_csv, Format.parquet)
"""The formats with a line per image."""

ENDINGS = {
    Format.markdown: (".md", ".markdown", ".txt"),
    Format.latex: (".tex", ".txt"),
    Format.long_csv: (".csv",),
    Format.parquet: (".parquet",),
}
"""How the files of each format end."""


@app.command()
def export(
    leaderboard: Published,
    form: Annotated[
        Format,
        typer.Option(
            "--format",
            help="A table for a paper; one line per row, seed, column and test image; or a row's "
            "network and images for verifiers.",
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
        typer.Option("--out", help="Output file, printed by default; with vnnlib, a new folder."),
    ] = None,
    row: Annotated[
        str | None, typer.Option("--row", help="With vnnlib: the row that is exported.")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", min=0, help="With vnnlib: a seed of it; its first by default."),
    ] = None,
    eps: Annotated[
        str | None,
        typer.Option("--eps", help="With vnnlib: Linf radius; that of the board by default."),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option("--samples", min=1, help="With vnnlib: number of images.", show_default="100"),
    ] = None,
    timeout: Annotated[
        int | None,
        typer.Option(
            "--timeout", min=1, help="With vnnlib: seconds per image.", show_default="300"
        ),
    ] = None,
    store: Annotated[
        list[Path],
        typer.Option("--store", help="With vnnlib: folder of trained cells; repeatable."),
    ] = [],  # noqa: B006
    plugin: Plugin = [],  # noqa: B006 - Typer copies defaults
) -> None:
    """Print a leaderboard as Markdown or LaTeX, the outcome of every image, or write VNN-LIB."""
    from robench.leaderboard.audit.lengths import check_lengths
    from robench.leaderboard.evidence import changed_notice
    from robench.leaderboard.published import Leaderboard
    from robench.system.files import write_bytes

    prepare("cpu", plugin)
    wanted = {"row": row, "seed": seed, "eps": eps, "samples": samples, "timeout": timeout}
    given = {name: value for name, value in wanted.items() if value is not None}
    _check(form, beside, labels, data is not None or data_dir is not None, out)
    out = behind_link(out) if out is not None and form is not Format.vnnlib else out
    if form is Format.vnnlib:
        _write_vnnlib(leaderboard, out, given, store, data, data_dir)
        return
    if given or store:
        name = next(iter([*given, "store"]))
        raise UserError(f"--{name} goes with --format vnnlib; add it, or leave --{name} out.")
    board = Leaderboard.read(leaderboard)
    check_lengths(board)
    if notice := changed_notice(leaderboard):
        typer.echo(notice, err=True)
    if form in LONG:
        content = _outcomes(board, form, labels=labels, data=data, data_dir=data_dir)
    else:
        content = _paper_table(board, form, beside=beside).encode()
    if out is None:
        typer.echo(content.decode(), nl=False)
        return
    write_bytes(out, content)
    typer.echo(f"wrote {out}")


def _check(form: Format, beside: bool, labels: bool, data: bool, out: Path | None) -> None:
    """Check that the options go together, before anything is read.

    Raises:
        UserError: if they do not.
    """
    from robench.leaderboard.long_table import check_parquet

    if form in (*LONG, Format.vnnlib) and beside:
        raise UserError(f"--beside-paper compares accuracies; leave it out with --format {form}.")
    if data and not labels and form is not Format.vnnlib:
        raise UserError("--data and --data-dir say where --labels are read; add it, or leave both.")
    if labels and form not in LONG:
        raise UserError("--labels adds a column to the tables of --format long-csv and parquet.")
    if form is Format.vnnlib:
        return
    if out is not None:
        file_for_output(out)
        check_ending(out, "--out", ENDINGS[form])
    if form is Format.parquet:
        if out is None:
            raise UserError("--format parquet is not text; name the file with --out FILE.parquet.")
        check_parquet()


def _write_vnnlib(
    leaderboard: Path,
    out: Path | None,
    given: dict[str, Any],
    store: list[Path],
    data: str | None,
    data_dir: Path | None,
) -> None:
    from robench.commands.export_vnnlib import export_vnnlib, radius_of
    from robench.leaderboard.named import find_leaderboard, published_network
    from robench.leaderboard.rerun.run import board_images

    if out is None:
        raise UserError("--format vnnlib writes many files; name their folder with --out.")
    folder_for_output(out)
    row, seed, eps = (given.pop(name, None) for name in ("row", "seed", "eps"))
    radius = None if eps is None else radius_of(eps)
    board = find_leaderboard(str(leaderboard), store)
    if row is None:
        names = ", ".join(f"'{title}'" for title in board.board.titles)
        raise UserError(f"--format vnnlib exports one network: name its row with --row; {names}.")
    network = published_network(board, row, seed, store)
    dataset = board_images(board, data, data_dir)
    made = export_vnnlib(network, dataset, out, eps=radius, **given)
    typer.echo(f"wrote {out}: {made.sentence}")


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
