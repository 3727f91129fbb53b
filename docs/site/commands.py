"""Every command, its arguments and its options, from the command line's own declarations."""

from collections.abc import Iterator
from typing import Any

import typer

from docs.site.markdown import code, one_line, plain, table
from robench import cli  # noqa: F401 - it adds the commands to the application
from robench.cli.options import app


def commands() -> str:
    """Return a section for each command, in the order of ``robench --help``."""
    root = typer.main.get_command(app)
    return "\n".join(_sections(root, "robench"))


def _sections(command: Any, name: str) -> Iterator[str]:
    """Yield the section of a command, or those of the commands of a group."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield _section(command, name)
        return
    context = command.make_context(name, [], resilient_parsing=True)
    for each in command.list_commands(context):
        yield from _sections(inner[each], f"{name} {each}")


def _section(command: Any, name: str) -> str:
    context = command.make_context(name, [], resilient_parsing=True)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    parts = [f"## `{name}`", plain(one_line(command.help or "")), f"```text\n{usage}\n```"]
    for kind in ("argument", "option"):
        shown = [p for p in command.params if p.param_type_name == kind]
        # What --help prints: names with the type, then the meaning with the default and the range.
        records = [record for p in shown if (record := p.get_help_record(context))]
        if records:
            rows = [(code(one_line(names)), plain(one_line(text))) for names, text in records]
            parts.append(table((kind, "meaning"), rows))
    return "\n\n".join(parts) + "\n"
