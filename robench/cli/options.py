"""The application, shared options, and the setup of every command."""

import os
import sys
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer
from typer.core import TyperGroup

from robench.board.shipped import all_shipped_boards
from robench.cli.outputs import folder_for_output
from robench.errors import UserError
from robench.expressions import LARGEST_SEED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import torch
    from rich.console import Console

    from robench.cli.tables.fitted import FittedTable

ORDER = (
    "run", "status", "train", "attack", "certify", "show", "spectra", "plan", "verify", "page",
    "compare", "export", "reproduce", "submit", "check-submission", "merge", "challenge", "push",
    "gan", "list", "info", "new", "schema", "doctor",
)  # fmt: skip
"""Order of the commands in the help: as a user comes to need them."""


WRONG, BAD_INPUT, UNCONFIRMED = 1, 2, 3
"""Exit codes of a verification: something is wrong; something cannot be read or checked, as for all
bad input; nothing of what was asked for could be rerun,
or training gave other weights."""

UNBOUNDED = 100_000
"""The width of a console that is no terminal: a file or a pipe has none, so nothing is cut."""


_UsageError: Any = typer.BadParameter.__base__  # of click, or of the copy that Typer comes with


class InOrder(TyperGroup):
    """A command group that lists its commands in :data:`ORDER`.

    What is wrong with a command line is said as all bad input is: in a sentence, without the usage.
    """

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Parse the options before the command.

        Raises:
            UserError: if one is not known.
        """
        with _in_a_sentence():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        """Parse the rest and run the command.

        Raises:
            UserError: if the command, an argument or an option is unknown, missing or wrong.
        """
        with _in_a_sentence(ctx), _stdout_restored():
            return super().invoke(ctx)

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands, in order."""
        return sorted(super().list_commands(ctx), key=ORDER.index)


@contextmanager
def _in_a_sentence(group: Any = None) -> "Iterator[None]":
    """Raise a :class:`UserError` for a wrong command line; help is printed as it is.

    Args:
        group: the context of the group of commands, if one of them is already chosen.
    """
    try:
        yield
    except _UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            raise
        _reword(error)
        said = " ".join(error.format_message().split()).rstrip(".")
        path = error.ctx.command_path if error.ctx else _path_of(group)
        raise UserError(f"{said[:1].lower()}{said[1:]}; see '{path} --help'.") from error


def _path_of(group: Any) -> str:
    """Return the command that a group is about to run, for an error that does not name its own."""
    if group is None:
        return "robench"
    return " ".join(filter(None, (group.command_path, group.invoked_subcommand)))


_stdout: "ContextVar[TextIO]" = ContextVar("stdout")
"""Standard output as it was when the command began."""


@contextmanager
def _stdout_restored() -> "Iterator[None]":
    """Remember standard output, which :func:`prepare` may keep for JSON, and restore it."""
    token = _stdout.set(sys.stdout)
    try:
        yield
    finally:
        sys.stdout = _stdout.get()
        _stdout.reset(token)


def _reword(error: Any) -> None:
    """Put plain words in place of those of pydantic, which converts what was typed."""
    from pydantic import ValidationError

    from robench.wrong_values import quoted, what_to_write

    if isinstance(error.__cause__, ValidationError):
        first = error.__cause__.errors(include_url=False)[0]
        value, said = quoted(first["input"]), what_to_write(first)
        error.message = said if said.startswith(value) else f"{value}: {said}"


app = typer.Typer(
    name="robench",
    cls=InOrder,
    help="Train, attack and rank normalization defenses for ConvNets.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _completed(incomplete: str) -> list[str]:
    """Return the shipped boards whose names begin with what was typed."""
    return [name for name in all_shipped_boards() if name.startswith(incomplete)]


BoardName = Annotated[
    str,
    typer.Argument(
        metavar="BOARD",
        help="A shipped board, a folder or a TOML file.",
        autocompletion=_completed,
    ),
]
Defenses = Annotated[
    str | None, typer.Option("--defenses", help="Rows, separated by commas, or 'all'.")
]
Seeds = Annotated[str | None, typer.Option("--seeds", help="Seeds, separated by commas.")]
Seed = Annotated[int, typer.Option("--seed", min=0, max=LARGEST_SEED)]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Folder where the data set is, or is downloaded to."),
]
Out = Annotated[
    Path,
    typer.Option(
        "--out", help="Folder of trained cells and leaderboards.", callback=folder_for_output
    ),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, ...")]
Plugin = Annotated[
    list[Path], typer.Option("--plugin", help="Python file that registers entries; repeatable.")
]
Inception = Annotated[
    Path | None,
    typer.Option(
        "--inception",
        help="With a board of GANs: file of Inception's weights; else they are downloaded.",
    ),
]
TrustCode = Annotated[
    bool,
    typer.Option(
        "--trust-code",
        help="Run the Python files that came with the board or submission; read them first.",
    ),
]
FreshSeed = Annotated[
    int | None,
    typer.Option(
        "--fresh-seed",
        min=0,
        max=LARGEST_SEED,
        help="Attack once more, with this seed, such as one that was drawn before.",
    ),
]
Changes = Annotated[
    list[str], typer.Option("--set", help="Change the board: table.key=value; repeatable.")
]
Quiet = Annotated[
    bool, typer.Option("--quiet", help="Print no progress, only the result and warnings.")
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print JSON to stdout; all other messages go to stderr.")
]
Log = Annotated[
    list[str],
    typer.Option(
        "--log",
        help="Log to tensorboard, wandb, mlflow or csv, below logs/ in the folder of "
        "--out; repeatable. Results do not depend on it.",
    ),
]


def prepare(
    device: str, plugins: list[Path], *, here: bool = True, as_json: bool = False
) -> "tuple[Console, torch.device]":
    """Load plugins, join the other processes, and return the console and the device.

    Args:
        device: what ``--device`` says.
        plugins: files that register entries.
        here: whether the device has to be one of this machine.
        as_json: whether standard output is for JSON alone: the console is standard error then, and
            so is what a user's own code prints.
    """
    from rich.console import Console

    from robench.plugins import load_plugin
    from robench.system.devices import choose_device
    from robench.system.memory import keep_freed_memory
    from robench.system.processes import this_shard

    keep_freed_memory()
    if as_json:
        sys.stdout = sys.stderr
    for plugin in plugins:
        load_plugin(plugin)
    console = Console(stderr=as_json)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = UNBOUNDED  # a file has no width; Rich would take 80
    chosen = choose_device(device, here=here)
    if this_shard().count > 1:
        from robench.runs.workers import join, worker_loop

        if not join(chosen):
            worker_loop(chosen)
            raise typer.Exit
    return console, chosen


def print_json(value: Any) -> None:
    """Print a value, in which a data frame is a list of objects, as JSON; NaN becomes null."""
    import json

    from robench.leaderboard.page.embedding import finite

    def plain(part: Any) -> Any:
        return json.loads(part.to_json(orient="records"))

    text = json.dumps(finite(value), indent=2, default=plain, allow_nan=False)
    typer.echo(text, file=_stdout.get())


def say(console: "Console", text: str) -> None:
    """Print text verbatim: without markup, highlighting or wrapping."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def print_lines(console: "Console", lines: "Iterable[str | FittedTable]") -> None:
    """Print sentences verbatim, and tables as Rich draws them."""
    for line in lines:
        if isinstance(line, str):
            say(console, line)
        else:
            console.print(line)
