"""The files of the repository that a published network is pushed to."""

from collections.abc import Mapping
from pathlib import Path

from robench.board.cells import Cell
from robench.errors import UserError
from robench.leaderboard.bundle import published_bundle
from robench.leaderboard.evidence import SOURCES, WEIGHTS_BYTES
from robench.leaderboard.model_card import model_card
from robench.leaderboard.named import PublishedNetwork
from robench.models.checkpoint import read_network
from robench.models.hub_networks import DESCRIPTION, WEIGHTS, HubDescription
from robench.system.files import json_text, write_bytes
from robench.system.reading import read_bytes
from robench.system.staging import check_empty, new_folder

CARD, MANIFEST = "README.md", "manifest.json"


def repository_files(network: PublishedNetwork, repo: str) -> dict[str, bytes | Path]:
    """Return the files of the repository of a published network: name -> content, or a file.

    Args:
        network: the network, of a leaderboard.
        repo: ``ORG/NAME`` on the hub, which the model card names.

    Raises:
        UserError: if others could not load the network without running code of its author.
    """
    said = description_of(network)
    spec = network.cell.file.cell
    files: dict[str, bytes | Path] = {
        CARD: model_card(network, repo).encode(),
        DESCRIPTION: json_text(said.model_dump(mode="json")).encode(),
        MANIFEST: json_text(network.cell.file.model_dump(mode="json")).encode(),
        WEIGHTS: network.weights,
    }
    if isinstance(spec, Cell):
        code = published_bundle(network.board, [spec]).files
        files |= {f"{SOURCES}/{name}": content for name, content in code.items()}
    return files


def description_of(network: PublishedNetwork) -> HubDescription:
    """Return what ``robench.json`` says of a published network.

    Raises:
        UserError: if code of its author builds it.
    """
    board, spec, manifest = network.board, network.cell.file.cell, network.cell.file.manifest
    assert manifest is not None
    if not isinstance(spec, Cell) and not spec.of_library:
        raise UserError(
            f"'{network.cell.row}' is built by code of its author ({spec.architecture}), which "
            f"nobody's robench would run from the hub; push it with that code's own library."
        )
    return HubDescription(
        board=board.name,
        row=network.cell.row,
        dataset=board.dataset,
        cell=spec,
        weights_hash=manifest.weights_hash,
        network=read_network(network.weights)[0] if isinstance(spec, Cell) else None,
    )


def write_repository(files: Mapping[str, bytes | Path], folder: Path) -> None:
    """Write the files of a repository to a new folder, all of them or none.

    Raises:
        UserError: if the folder is not empty or cannot be written.
    """
    check_empty(folder)
    with new_folder(folder) as stage:
        for name, content in files.items():
            if isinstance(content, Path):
                content = read_bytes(content, longest=WEIGHTS_BYTES)
            write_bytes(stage / name, content)
