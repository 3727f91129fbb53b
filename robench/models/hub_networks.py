"""Networks in repositories of the Hugging Face hub: robench's own layout, and timm's.

robench's, which ``robench push`` writes::

    robench.json          which row of which board it is, and what the weights are of
    weights.safetensors   the weights, as the board published them

timm's::

    config.json           architecture, its options, mean and std
    model.safetensors     the weights

Nothing else of a repository is read, and nothing in it is executed: no pickle, no code.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from robench.board.cells import HASH, AnyCell, Cell
from robench.board.explain import explain
from robench.board.specs import PUBLISHED, Spec
from robench.errors import UserError, shortened
from robench.expressions import Expression
from robench.models.checkpoint import Network, read_network
from robench.models.library_options import check_library_options, check_repository_options
from robench.models.normalization import Normalization, recorded
from robench.system.hub import HubFile, HubName, files_of, first_file
from robench.system.json_files import read_json
from robench.system.provenance import file_hash

DESCRIPTION, WEIGHTS = "robench.json", "weights.safetensors"
_CONFIG, _TIMM_WEIGHTS = "config.json", "model.safetensors"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".tar")


class HubDescription(Spec):
    """``robench.json``: the row of a board that a repository has the network of.

    Attributes:
        board: the name of the board.
        row: the title of the row.
        dataset: the data set that the network is evaluated on, as boards name it.
        cell: the specification of the network, as it was published.
        weights_hash: sha256 of the file of its weights.
        network: what rebuilds a network that robench trained; None for a library's architecture.
    """

    schema_version: Literal[1] = 1
    board: str = Field(max_length=200)
    row: str = Field(max_length=200)
    dataset: str = Field(max_length=200)
    cell: AnyCell
    weights_hash: str = Field(pattern=HASH)
    network: Network | None = None


@dataclass(frozen=True)
class HubNetwork:
    """A network of the hub: its weights, fetched, and what they are of.

    Attributes:
        origin: ``hf:ORG/NAME@COMMIT``.
        weights: the file of its weights.
        words: what it is, as part of a sentence.
        architecture: ``timm:NAME(options)`` or ``torchvision:NAME(options)``; None if robench
            trained it, and the file of its weights says what rebuilds it.
        normalization: what is put before an architecture; None: the default of its library.
        dataset: the data set that it was trained or evaluated on; "" if that is not known.
        published: whether it is the network of a published row, whose weights robench wrote.
    """

    origin: str
    weights: Path
    words: str
    architecture: str | None = None
    normalization: Normalization | None = None
    dataset: str = ""
    published: bool = False


def fetch_network(name: str) -> HubNetwork:
    """Fetch a network from the hub, or find it among what was fetched before.

    Args:
        name: ``hf:ORG/NAME``, or ``hf:ORG/NAME@REVISION`` with a branch, tag or commit.

    Raises:
        UserError: if the repository is missing, of neither layout or damaged, or has no weights in
            safetensors; if the weights are not those that ``robench.json`` describes; or if the hub
            cannot be reached.
    """
    asked = HubName.read(name)
    found = first_file(asked, (DESCRIPTION, _CONFIG))
    if found is None:
        raise UserError(
            f"{asked} has neither {DESCRIPTION}, which 'robench push' writes, nor the {_CONFIG} of "
            f"a timm model."
        )
    values = read_json(found.path)
    return _pushed(found, values) if found.path.name == DESCRIPTION else _of_timm(found, values)


def read_description(file: HubFile) -> HubDescription:
    """Read the ``robench.json`` of a repository.

    Raises:
        UserError: if it is damaged; the message names the key.
    """
    return _description(file, read_json(file.path))


def _description(file: HubFile, values: Any) -> HubDescription:
    try:
        return HubDescription.model_validate(values, context=PUBLISHED)
    except ValidationError as error:
        raise UserError(f"{DESCRIPTION} of {file.name}: {explain(error, HubDescription)}") from None


def _pushed(file: HubFile, values: Any) -> HubNetwork:
    """Return a network that ``robench push`` wrote, its weights compared with the description."""
    said = _description(file, values)
    cell = said.cell
    if not isinstance(cell, Cell):
        if not cell.of_library:
            raise UserError(f"{file.name} is built by code of its author, which is not run.")
        check_library_options(cell.architecture)
    weights = _weights(file.name, WEIGHTS)
    if file_hash(weights) != said.weights_hash:
        raise UserError(
            f"{WEIGHTS} of {file.name} is not the file that its {DESCRIPTION} describes (another "
            f"sha256): it was changed after it was pushed, or damaged in the cache."
        )
    words = f"the row '{shortened(said.row)}', seed {cell.seed}, of {shortened(said.board)}"
    if isinstance(cell, Cell):
        _check_header(file.name, weights, said)
        return HubNetwork(str(file.name), weights, words, dataset=said.dataset, published=True)
    given = recorded(cell, f"{DESCRIPTION} of the repository")
    return HubNetwork(
        str(file.name), weights, words, cell.architecture, given, said.dataset, published=True
    )


def _check_header(name: HubName, weights: Path, said: HubDescription) -> None:
    """Check that the header of the weights describes the network that the description does."""
    network, facts = read_network(weights)
    if said.network != network or facts.get("cell") != said.cell.key:
        raise UserError(
            f"{DESCRIPTION} of {name} describes another network than the header of its {WEIGHTS}."
        )


def _of_timm(file: HubFile, values: Any) -> HubNetwork:
    """Return a network in timm's layout, named as ``timm:NAME(options)`` with its own weights."""
    where = f"{_CONFIG} of {file.name}"
    top = values if isinstance(values, dict) else {}
    name = top.get("architecture")
    if not isinstance(name, str) or not name.replace("_", "").isalnum():
        raise UserError(
            f"{file.name} is not a timm model: its {_CONFIG} names no architecture of timm. Other "
            f"repositories are loaded with a function of your own, FILE.py:function."
        )
    try:
        import timm  # noqa: F401 - before its weights are fetched
    except ImportError:
        raise UserError(
            f"{file.name} is a timm model, and timm is not installed: pip install timm."
        ) from None
    # Older files have the values of 'pretrained_cfg' at the top.
    config = _table(top, "pretrained_cfg", where) if "pretrained_cfg" in top else top
    options = _table(top, "model_args", where)
    size = config.get("input_size")
    if isinstance(size, list) and size and size[0] != 3:
        options.setdefault("in_chans", size[0])
    classes = top.get("num_classes", config.get("num_classes"))
    if classes is not None:
        options["num_classes"] = classes
    check_repository_options(options, where)
    given = _normalization(config, where)
    if given is not None and isinstance(options.get("in_chans"), int):
        given = given.of_channels(options["in_chans"])
    return HubNetwork(
        str(file.name),
        _weights(file.name, _TIMM_WEIGHTS),
        f"a timm model, {name}",
        architecture=f"timm:{Expression(name, options)}",
        normalization=given,
    )


def _table(values: dict[str, Any], key: str, where: str) -> dict[str, Any]:
    found = values.get(key) or {}
    if not isinstance(found, dict):
        raise UserError(f"{where}: '{key}' is not a table of values.")
    return dict(found)


def _normalization(config: dict[str, Any], where: str) -> Normalization | None:
    given = [config.get(key) for key in ("mean", "std")]
    if given == [None, None]:
        return None
    mean, std = (
        tuple(float(v) for v in values if isinstance(v, (int, float)))
        if isinstance(values, list)
        else ()
        for values in given
    )
    return Normalization(mean, std, where)


def _weights(name: HubName, file: str) -> Path:
    """Fetch the weights of a repository, which must be safetensors."""
    found = first_file(name, (file,))
    if found is not None:
        return found.path
    pickles = [other for other in files_of(name) if other.endswith(_PICKLES)]
    if pickles:
        raise UserError(
            f"{name} has its weights only as a pickle ({shortened(pickles[0])}), which can execute "
            f"code; ask its author for {file}, or download it and name it with --checkpoint."
        )
    raise UserError(f"{name} has no {file}.")
