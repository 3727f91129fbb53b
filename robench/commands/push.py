"""``robench push``: a published network as a repository of the Hugging Face hub."""

from dataclasses import dataclass
from pathlib import Path

from robench.errors import UserError, shortened
from robench.leaderboard.hub_folder import repository_files, write_repository
from robench.leaderboard.named import PublishedNetwork
from robench.models.hub_networks import DESCRIPTION, read_description
from robench.system.hub import HubName, first_file
from robench.system.hub_push import HubState, commit_files, state_of

_LISTED = 5


@dataclass(frozen=True)
class Pushed:
    """What a push did.

    Attributes:
        name: the repository, with the hash of its newest commit.
        before: the repository with the commit that was its newest before; None if it is new.
        files: the names of the files that were committed, or are the same already.
    """

    name: HubName
    before: HubName | None
    files: tuple[str, ...]

    @property
    def changed(self) -> bool:
        """Whether there is a new commit."""
        return self.before is None or self.before.revision != self.name.revision


def push(
    network: PublishedNetwork, to: HubName, *, private: bool = False, replace: bool = False
) -> Pushed:
    """Push a network with its model card: one commit on the main branch.

    A repository that holds something else is left alone unless ``replace`` says otherwise; its
    earlier commits stay in any case.

    Args:
        network: the network, of a leaderboard.
        to: the repository, created if it is new.
        private: whether a new repository is private.
        replace: whether files of a repository that holds something else may be replaced.

    Raises:
        UserError: if the repository holds something else, the token may not write to it, or the
            hub cannot be reached; nothing is committed then.
    """
    files = repository_files(network, to.repo)
    state = state_of(to)
    if state is not None and not replace:
        _check_same_network(state, network)
    message = f"{network.cell.row}, seed {network.cell.seed}, of {network.board.name}"
    made = commit_files(state or to, files, shortened(f"robench push: {message}", 200),
                        private=private)  # fmt: skip
    return Pushed(made, state.name if state else None, tuple(files))


def write(network: PublishedNetwork, to: HubName, folder: Path) -> tuple[str, ...]:
    """Write what :func:`push` would commit to a new folder, and send nothing.

    Returns:
        The names of the files.

    Raises:
        UserError: if the folder is not empty or cannot be written.
    """
    files = repository_files(network, to.repo)
    write_repository(files, folder)
    return tuple(files)


def destination(to: str) -> HubName:
    """Return the repository that ``--to`` names.

    Raises:
        UserError: if it is of another form, or names a revision.
    """
    name = HubName.read(to)
    if name.revision is not None:
        raise UserError(f"--to {to}: a push goes to the main branch; leave out @{name.revision}.")
    return name


def _check_same_network(state: HubState, network: PublishedNetwork) -> None:
    """Refuse a repository that holds something else than an earlier push of the same weights."""
    if not state.files:
        return
    held = "files of something else"
    if DESCRIPTION in state.files and (file := first_file(state.name, (DESCRIPTION,))):
        said = read_description(file)
        manifest = network.cell.file.manifest
        if manifest is not None and said.weights_hash == manifest.weights_hash:
            return
        held = f"other weights: '{said.row}', seed {said.cell.seed}, of {said.board}"
    more = ", ..." if len(state.files) > _LISTED else ""
    names = ", ".join(shortened(name) for name in state.files[:_LISTED])
    raise UserError(
        f"hf:{state.name.repo} holds {held} ({names}{more}): name a new repository, or add "
        f"--replace for a new commit on top; what it holds now stays at {state.name}."
    )
