"""The Hugging Face hub: what is called ``hf:ORG/NAME@REVISION``, and files of it by its own client.

The client keeps what it fetched in its cache, where it is found again without a connection.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from robench.errors import UserError, shortened

try:
    from huggingface_hub import HfApi, constants, hf_hub_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )
except ImportError as error:
    raise UserError("hf:ORG/NAME needs huggingface_hub: pip install 'robench[hub]'.") from error

LIBRARY = "robench"
"""What the client tells the hub it works for."""

_NAME = re.compile(r"hf:(?P<repo>[\w-][\w.-]*/[\w-][\w.-]*)(@(?P<revision>[\w-][\w./-]{0,199}))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_ALWAYS_THERE = ("README.md", ".gitattributes")
"""Files of which nearly every repository has one; the hub itself writes the latter."""
_REFUSED, _OVERTAKEN = (401, 403), 412

_UNREACHABLE: tuple[type[Exception], ...] = (OSError, *HfHubHTTPError.__bases__)
"""What a client raises that gets no answer. Its versions stand on requests, httpx or httpx2, whose
errors have a base that is the one of the hub's own, too."""


@dataclass(frozen=True)
class HubName:
    """A repository of the hub.

    Attributes:
        repo: ``ORG/NAME``.
        revision: a branch, tag or commit; None: the newest commit of the main branch.
        kind: what it holds.
    """

    repo: str
    revision: str | None = None
    kind: Literal["model", "dataset"] = "model"

    @classmethod
    def read(cls, text: str, kind: Literal["model", "dataset"] = "model") -> "HubName":
        """Return the repository that ``hf:ORG/NAME`` or ``hf:ORG/NAME@REVISION`` names.

        Raises:
            UserError: if the text is of another form.
        """
        found = _NAME.fullmatch(text)
        if found is None or ".." in text:
            raise UserError(
                f"'{shortened(text)}' is not a repository of the hub: write hf:ORG/NAME or "
                f"hf:ORG/NAME@REVISION."
            )
        return cls(found["repo"], found["revision"], kind)

    @property
    def is_pinned(self) -> bool:
        """Whether its revision is the hash of a commit, whose files never change."""
        return self.revision is not None and _COMMIT.fullmatch(self.revision) is not None

    def __str__(self) -> str:
        """Return the name as users write it."""
        return f"hf:{self.repo}" + (f"@{self.revision}" if self.revision else "")


@dataclass(frozen=True)
class HubFile:
    """A file of a repository, fetched.

    Attributes:
        name: the repository, with the hash of the commit that the file is of.
        path: the file in the client's cache.
    """

    name: HubName
    path: Path


def first_file(name: HubName, files: Sequence[str]) -> HubFile | None:
    """Fetch the first of several files that a repository has; None if it has none of them.

    Without a connection, what was fetched before is taken.

    Args:
        name: the repository.
        files: names of files, the preferred one first.

    Raises:
        UserError: if the repository or revision is missing, or the hub cannot be reached.
    """
    absent: LocalEntryNotFoundError | None = None
    with explained(name):
        for file in files:
            known_away = absent is not None  # one wait for a hub out of reach is enough
            try:
                found = hf_hub_download(
                    name.repo,
                    file,
                    repo_type=name.kind,
                    revision=name.revision,
                    library_name=LIBRARY,
                    local_files_only=known_away,
                )
            except LocalEntryNotFoundError as error:
                absent = absent or error
                continue
            except EntryNotFoundError:
                continue
            path = Path(found)
            commit = _commit_of(path, file)
            return HubFile(replace(name, revision=commit), path)
        if absent is not None:  # whether the repository has them, only the hub knows
            raise absent
    return None


def files_of(name: HubName) -> list[str]:
    """Return the names of all files of a repository.

    Raises:
        UserError: as :func:`first_file`.
    """
    with explained(name):
        api = HfApi(library_name=LIBRARY)
        files = api.list_repo_files(name.repo, repo_type=name.kind, revision=name.revision)
        return [str(file) for file in files]


def pinned(name: HubName) -> HubName:
    """Return a repository at the commit that its revision names now, or named when last asked.

    Raises:
        UserError: as :func:`first_file`.
    """
    if name.is_pinned:
        return name
    # Fetched with the name of the revision, so that the cache knows its commit without the hub.
    if (found := first_file(name, _ALWAYS_THERE)) is not None:
        return found.name
    with explained(name):
        api = HfApi(library_name=LIBRARY)
        known = api.repo_info(name.repo, repo_type=name.kind, revision=name.revision)
    return replace(name, revision=known.sha)


@contextmanager
def explained(name: HubName) -> Iterator[None]:
    """Raise what the client raises as a sentence for the user.

    Raises:
        UserError: if the client raises anything.
    """
    try:
        yield
    except UserError:
        raise
    except GatedRepoError as error:
        raise UserError(
            f"{name} is gated: accept its terms at {constants.ENDPOINT}/{_page(name)}, and log in "
            f"with 'hf auth login'."
        ) from error
    except RepositoryNotFoundError as error:
        raise UserError(
            f"the hub has no {_WORDS[name.kind]} {name.repo}, or it is private and needs a token: "
            f"check the name, or log in with 'hf auth login'."
        ) from error
    except RevisionNotFoundError as error:
        raise UserError(
            f"{name.repo} has no branch, tag or commit '{name.revision}' on the hub."
        ) from error
    except HFValidationError as error:
        raise UserError(f"the hub takes no such name: {_line(error)}") from error
    except HfHubHTTPError as error:
        raise UserError(_answer(name, error)) from error
    except _UNREACHABLE as error:
        raise UserError(_no_answer(name, error)) from error


_WORDS = {"model": "model repository", "dataset": "data set"}


def _page(name: HubName) -> str:
    return f"datasets/{name.repo}" if name.kind == "dataset" else name.repo


def _no_answer(name: HubName, error: Exception) -> str:
    """Return the sentence on a hub that was not asked, or did not answer."""
    cause = error.__cause__ or error
    cached = isinstance(error, LocalEntryNotFoundError)
    missing = f", and {name} is not in the cache of this machine" if cached else ""
    if isinstance(cause, OfflineModeIsEnabled):
        return f"HF_HUB_OFFLINE is set, so the hub is not asked for {name}{missing}."
    return f"the hub at {constants.ENDPOINT} cannot be reached ({type(cause).__name__}){missing}."


def _answer(name: HubName, error: HfHubHTTPError) -> str:
    """Return the sentence on an answer of the hub that is no file."""
    status = error.response.status_code if error.response is not None else None
    if status in _REFUSED:
        return (
            f"the hub refuses {name.repo} to this machine's token, or there is none: log in with "
            f"'hf auth login', or set HF_TOKEN; a push needs a token that may write to it."
        )
    if status == _OVERTAKEN:
        return f"{name.repo} has a newer commit than a moment ago; nothing was sent: push again."
    return f"the hub answers {status or 'with an error'} for {name}: {_line(error)}"


def _line(error: Exception) -> str:
    """Return the first line of a message, as the end of a sentence."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{shortened(lines[0] if lines else type(error).__name__, 200).rstrip('.')}."


def _commit_of(path: Path, file: str) -> str:
    """Return the commit that a file of a repository was fetched from.

    The cache has a folder per commit, named by its hash: ``snapshots/COMMIT/FILE``.

    Args:
        path: where it is.
        file: its name in the repository.
    """
    commit = path.parents[file.count("/")].name
    if not _COMMIT.fullmatch(commit):
        raise UserError(f"{path} is not where huggingface_hub keeps files; update the package.")
    return commit
