"""Commit files to a repository of the Hugging Face hub."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import RepositoryNotFoundError

from robench.system.hub import LIBRARY, HubName, explained

_OF_THE_HUB = ".gitattributes"
"""The file that the hub itself puts into each new repository."""


@dataclass(frozen=True)
class HubState:
    """What a repository holds before it is pushed to.

    Attributes:
        name: the repository, with its newest commit.
        files: the names of its files, without the hub's own.
    """

    name: HubName
    files: tuple[str, ...]


def state_of(name: HubName) -> HubState | None:
    """Return what a repository holds; None if there is none that this machine's token may see.

    Raises:
        UserError: if the hub cannot be reached, or refuses.
    """
    with explained(name):
        try:
            found = HfApi(library_name=LIBRARY).model_info(name.repo)
        except RepositoryNotFoundError:
            return None
    files = [sibling.rfilename for sibling in found.siblings or ()]
    kept = tuple(sorted(file for file in files if file != _OF_THE_HUB))
    return HubState(replace(name, revision=found.sha), kept)


def commit_files(
    before: HubState | HubName,
    contents: Mapping[str, bytes | Path],
    message: str,
    *,
    private: bool = False,
) -> HubName:
    """Commit files to the main branch of a repository, which is created if it is new.

    All of them are in one commit, or none is; earlier commits stay as they are.

    Args:
        before: what the repository holds, or the name of a new one.
        contents: name in the repository -> content, or a file that has it.
        message: the first line of the commit's message.
        private: whether a new repository is private.

    Returns:
        The repository, with the hash of its newest commit: the one before if nothing changed.

    Raises:
        UserError: if the hub refuses the token, cannot be reached, or has a newer commit by now.
    """
    name, parent = before if isinstance(before, HubName) else before.name, None
    if isinstance(before, HubState):
        parent = before.name.revision
    operations = [
        CommitOperationAdd(path, str(content) if isinstance(content, Path) else content)
        for path, content in contents.items()
    ]
    api = HfApi(library_name=LIBRARY)
    with explained(replace(name, revision=None)):
        if isinstance(before, HubName):
            api.create_repo(name.repo, private=private, exist_ok=True)
        made = api.create_commit(
            name.repo, operations, commit_message=message, parent_commit=parent
        )
    return replace(name, revision=str(made.oid))
