"""Commands about robench itself: ``robench doctor``, ``schema`` and ``--version``."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from robench.cli.options import WRONG, app, say


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print versions, devices and what is missing; exit code 1 if something is wrong."""
    from rich.console import Console

    from robench.commands.doctor import diagnose

    found = diagnose()
    if as_json:
        typer.echo(json.dumps([asdict(each) for each in found], indent=2))
    else:
        console, width = Console(soft_wrap=True), max(len(each.topic) for each in found)
        for each in found:
            say(console, f"{each.topic:{width}}  {each.text}")
        for each in found:
            if each.problem:
                say(console, f"wrong: {each.topic}: {each.problem}")
    if any(each.problem for each in found):
        raise typer.Exit(WRONG)


@app.command()
def schema() -> None:
    """Print the JSON Schema of board.toml, for editors that complete and check it."""
    from robench.commands.schema import file_schema

    typer.echo(json.dumps(file_schema(), indent=2))


def _print_version(wanted: bool) -> None:
    if wanted:
        from robench.system.provenance import full_version

        typer.echo(f"robench {full_version()}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option(
        "--version",
        is_eager=True,
        callback=_print_version,
        help="Print the version and the commit.",
    ),
]


@app.callback()
def _options(version: Version = False) -> None:
    """Train, attack and rank normalization defenses for ConvNets."""
