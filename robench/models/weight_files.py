"""Read files of third-party weights: only data is read, and nothing in a file is executed."""

import os
import re
import warnings
from collections import OrderedDict
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from robench.errors import UserError, shortened
from robench.models.weight_archives import check_torch_file
from robench.system.out_of_memory import is_out_of_memory
from robench.system.reading import Refused, open_plain
from robench.system.tensor_files import check_safetensors

_INERT = re.compile(
    r"argparse\.Namespace|pathlib\.\w+|datetime\.\w+|collections\.defaultdict|typing\.\w+|enum\.\w+"
    r"|(builtins\.)?(int|float|str|bool|list|dict|tuple|type|slice|range|frozenset|object)"
    r"|(numpy|omegaconf|easydict|addict|yacs|ml_collections|lightning|pytorch_lightning"
    r"|lightning_fabric|lightning_utilities)\.[\w.]+"
)
"""Objects that training scripts store beside their weights: arguments, metrics, counters."""

_GLOBAL = re.compile(r"Unsupported (?:global: )?(?:GLOBAL )([\w.]+)|GLOBAL ([\w.]+) was not")
_MOST_KINDS = 100


def read_weights(path: Path) -> Any:
    """Return the content of a file of weights: a state dict, or what it is nested in.

    Args:
        path: ``.safetensors``, or a file of ``torch.save``.

    Raises:
        UserError: if the file is missing, damaged, or holds more than tensors and plain values.
    """
    if not path.is_file():
        if os.path.lexists(path):
            what = "a folder" if path.is_dir() else "not a plain file"
            raise UserError(f"{path} is {what}; name the file of the weights.")
        raise UserError(f"no weights file found at {path}.")
    _refuse_other_files(path)
    if path.suffix == ".safetensors" or _begins_as_safetensors(path):
        return read_safetensors(path)
    try:
        check_torch_file(path)
    except Refused as error:
        raise UserError(f"{path} is not a complete file of torch.save ({error.reason}).") from error
    return _read_torch(path)


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file.

    Raises:
        UserError: if the file is missing or damaged.
    """
    try:
        check_safetensors(path)
        return safetensors.torch.load_file(path)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        reason = error.reason if isinstance(error, Refused) else shortened(error, 200)
        raise UserError(f"{path} is not a complete safetensors file ({reason}).") from error


def _begins_as_safetensors(path: Path) -> bool:
    """Return whether a file begins with the size of a table, and the table, as safetensors do."""
    with open_plain(path) as file:
        start = file.read(9)
    size = int.from_bytes(start[:8], "little")
    return start[8:] == b"{" and size < path.stat().st_size


def _refuse_other_files(path: Path) -> None:
    """Refuse what a download often leaves in the place of weights."""
    with open_plain(path) as file:
        start = file.read(256).lstrip(b"\xef\xbb\xbf \t\r\n")
    if not start:
        raise UserError(f"{path} is empty; download or save the weights again.")
    if start.lower().startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise UserError(
            f"{path} is a web page and not a file of weights: its link led to a page; open it in a "
            f"browser and download the file itself."
        )
    if start.startswith(b"version https://git-lfs"):
        raise UserError(
            f"{path} is a pointer of Git LFS and not the weights themselves; run 'git lfs pull' in "
            f"its repository."
        )


def _read_torch(path: Path) -> Any:
    """Read a file of ``torch.save``; harmless objects beside the tensors become placeholders."""
    inert: dict[str, Any] = {}
    while True:
        try:
            with _placeholders(inert), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch's remarks on the format; refusals are ours
                return torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            # A file of another format makes torch's reader stumble: that is no reason to repeat.
            text = "" if isinstance(error, LookupError) else str(error)
        match = _GLOBAL.search(text)
        name = next(filter(None, match.groups()), "") if match else ""
        if not _INERT.fullmatch(name) or name in inert or len(inert) >= _MOST_KINDS:
            raise UserError(f"{path} {_refusal(text)}")
        inert[name] = _placeholder(name)


def _placeholder(name: str) -> Any:
    """Return what takes the place of the class or function ``name`` and does nothing."""
    if name == "collections.defaultdict":
        return _mapping
    if "dict" in name.rpartition(".")[2].lower():
        return OrderedDict  # torch fills no other mapping
    module, _, last = name.rpartition(".")
    return type(last, (_Inert,), {"__module__": module or "builtins", "__qualname__": last})


def _mapping(*_: Any) -> OrderedDict[Any, Any]:
    return OrderedDict()


class _Inert:
    """An object that was stored beside the weights and is not needed."""

    def __new__(cls, *_: Any, **__: Any) -> "_Inert":
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, _: Any) -> None:
        pass


def _placeholders(inert: dict[str, Any]) -> AbstractContextManager[Any]:
    if not inert:
        return nullcontext()
    named: list[Any] = [
        (kind, f"builtins.{name}" if "." not in name else name) for name, kind in inert.items()
    ]
    return torch.serialization.safe_globals(named)


def _refusal(text: str) -> str:
    """Return why torch does not read a file, without its advice to read it unsafely."""
    if "TorchScript" in text:
        return (
            "is a TorchScript archive and not a state dict; give --model FILE.py:build with a "
            "function that returns torch.jit.load(file)."
        )
    if re.search(r"Unsupported (global|class)|GLOBAL", text):
        return (
            "holds Python objects other than tensors, and loading it would execute their code: "
            "open it only if you trust it, and save just the tensors with "
            "torch.save(model.state_dict(), file)."
        )
    first = text.split("\n", 1)[0].split(". ", 1)[0]
    if not first or "weights_only" in first or "Weights only" in first:
        first = "it was cut off, or another program wrote it"
    return f"is not a complete file of torch.save ({shortened(first, 200).rstrip('.')})."
