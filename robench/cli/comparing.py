"""``robench compare``: boards held against one another."""

from pathlib import Path
from typing import Annotated

import typer

from robench.cli.inputs import leaderboard_folders
from robench.cli.options import AsJson, app, prepare, print_json, say
from robench.cli.outputs import file_for_csv, page_for_output


@app.command()
def compare(
    leaderboards: Annotated[
        list[Path],
        typer.Argument(
            metavar="LEADERBOARD LEADERBOARD...",
            help="Folders of published leaderboards; each is compared with the first.",
            callback=leaderboard_folders,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="HTML file: the comparison as a page.", callback=page_for_output
        ),
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", help="CSV file: a line per row and column.", callback=file_for_csv),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare leaderboards: their settings, the rows that they share, and the order of these."""
    from robench.cli.tables.compared import comparison_parts
    from robench.commands.compare import compare as compare_folders
    from robench.leaderboard.across import write_comparison
    from robench.leaderboard.table import to_csv
    from robench.system.files import write_text

    console, _ = prepare("cpu", [], as_json=as_json)
    found = compare_folders(leaderboards)
    if csv is not None:
        write_text(csv, to_csv(found.figures))
    if out is not None:
        write_comparison(found, out)
    if as_json:
        print_json(found.to_json())
    else:
        for part in comparison_parts(found):
            if isinstance(part, str):
                say(console, part)
            else:
                console.print(part)
    for path in (csv, out):
        if path is not None:
            say(console, f"wrote {path}")
