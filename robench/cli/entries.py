"""Registered entries: ``robench list``, ``robench info`` and ``robench new``."""

import json
from enum import StrEnum
from typing import Annotated, Any

import typer

from robench.cli.options import AsJson, Plugin, app, prepare, print_json
from robench.commands.kinds import NEW_KINDS, NewKind

new = typer.Typer(help="Write a commented, working entry and its test.", no_args_is_help=True)
app.add_typer(new, name="new")


class Kind(StrEnum):
    """The kinds of entries that `robench list` lists."""

    defenses = "defenses"
    attacks = "attacks"
    datasets = "datasets"
    models = "models"
    checks = "checks"
    training_methods = "training-methods"
    boards = "boards"


@app.command(name="list")
def list_entries(
    kind: Annotated[Kind, typer.Argument(help="What to list.")],
    as_json: AsJson = False,
    plugin: Plugin = [],  # noqa: B006
) -> None:
    """List the registered entries, one line each."""
    from robench import registry
    from robench.board.loading import read_board
    from robench.board.shipped import shipped_boards, shipped_gan_boards
    from robench.cli.tables.entries import defenses_table, entries_table, entry_json
    from robench.entries import Entry
    from robench.gan.board import read_gan_board

    console, _ = prepare("cpu", plugin)
    if kind is Kind.defenses and not as_json:
        console.print(defenses_table(registry.defenses.get(name) for name in registry.defenses))
        return
    if kind is Kind.boards:
        titles = {name: read_board(path).title for name, path in shipped_boards().items()}
        gans = shipped_gan_boards().items()
        titles |= {name: read_gan_board(path).title for name, path in gans}
        entries = [Entry(name, Entry, title, "", "") for name, title in sorted(titles.items())]
    else:
        registries: dict[Kind, registry.Registry[Any]] = {
            Kind.defenses: registry.defenses,
            Kind.attacks: registry.attacks,
            Kind.datasets: registry.datasets,
            Kind.models: registry.backbones,
            Kind.checks: registry.checks,
            Kind.training_methods: registry.training_methods,
        }
        entries_of_kind = registries[kind]
        entries = [
            entries_of_kind.get(name)
            for name in [*entries_of_kind, *entries_of_kind.library_names()]
        ]
    if as_json:
        print_json([entry_json(entry) for entry in entries])
        return
    console.print(entries_table(entries, str(kind).replace("-", " ")))


@app.command()
def info(
    name: Annotated[str, typer.Argument(help="The name of an entry, of any kind.")],
    plugin: Plugin = [],  # noqa: B006
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print an entry's documentation: its math, options and source file."""
    from robench.cli.tables.entries import info_parts
    from robench.commands.info import describe

    console, _ = prepare("cpu", plugin)
    found = describe(name)
    if as_json:
        typer.echo(json.dumps([each.to_json() for each in found], indent=2))
        return
    for each in found:
        console.print(*info_parts(each), sep="\n", soft_wrap=True)


def _add_command(kind: NewKind) -> None:
    """Add ``robench new KIND NAME``."""

    file = f"{kind.folder}/NAME.py"
    if kind.folder != kind.plural:
        file = f"NAME.py (to {kind.folder}/ in a checkout, else to {kind.plural}/)"
    text = f"Write {file} and its test."

    @new.command(name=kind.name, help=text, short_help=text)
    def write(
        name: Annotated[str, typer.Argument(help="Lower-case letters, digits and _.")],
    ) -> None:
        from robench.commands.new import write_entry

        paths = write_entry(kind.name, name)
        for path in paths:
            typer.echo(f"wrote {path}")
        typer.echo(f"try it: robench {kind.try_it.format(file=paths[0].as_posix(), name=name)}")


for _kind in NEW_KINDS.values():
    _add_command(_kind)
