"""Files of weights of strangers: refused in one sentence before they allocate or execute."""

import json
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from robench.errors import UserError
from robench.models.checkpoint import Network, load_checkpoint, read_network, save_weights
from robench.models.state_dicts import find_state_dicts
from robench.models.third_party_weights import load_third_party_weights
from robench.models.weight_files import read_weights

NETWORK = Network("resnet18", 4, "cifar", "batchnorm", 10, 1, (8, 8), (0.5,), (0.5,))


def refused(path: Path, match: str) -> None:
    with pytest.raises(UserError, match=match) as caught:
        load_third_party_weights(path, nn.Linear(2, 2))
    assert len(str(caught.value)) < 600


class Calls:
    """Is pickled as a call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.function, self.arguments


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("size", [10, 10**12])
def test_bytes_that_are_not_in_the_file(tmp_path: Path, size: int, zipped: bool) -> None:
    path = tmp_path / "a.pt"
    content = {"w": Calls(bytearray, size)}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    refused(path, "it asks for bytes that are not in it")


def test_bytes_that_double_with_each_call(tmp_path: Path) -> None:
    import _codecs

    torch.save({"w": Calls(_codecs.encode, b"x" * 9, "hex")}, tmp_path / "a.pt")
    refused(tmp_path / "a.pt", "it asks for bytes that are not in it")


def test_an_archive_that_unpacks_to_far_more_than_its_size(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(10**7)}, tmp_path / "a.pt")
    with (
        zipfile.ZipFile(tmp_path / "a.pt") as old,
        zipfile.ZipFile(tmp_path / "b.pt", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    refused(tmp_path / "b.pt", "unpacks to")


def test_an_exploit_is_not_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"w": Calls(os.mkdir, "owned")}, tmp_path / "a.pt")
    (tmp_path / "b.pt").write_bytes(pickle.dumps(Calls(os.mkdir, "owned")))
    refused(tmp_path / "a.pt", "holds Python objects other than tensors")
    refused(tmp_path / "b.pt", "holds Python objects|not a complete file")
    assert not (tmp_path / "owned").exists()


def test_keys_that_are_no_text(tmp_path: Path) -> None:
    state = nn.Linear(2, 2).state_dict()
    torch.save({**state, ("a",): torch.ones(1)}, tmp_path / "a.pt")
    refused(tmp_path / "a.pt", "not a state dict")


def test_one_mapping_in_many_places_is_looked_at_once() -> None:
    inner: Any = OrderedDict(w=torch.ones(1))
    for _ in range(4):
        inner = {f"k{number}": inner for number in range(2000)}
    assert len(find_state_dicts(inner)) == 1


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_plain_file(tmp_path: Path, make: Any) -> None:
    for name in ("a.pt", "a.safetensors"):
        make(tmp_path / name)
        with pytest.raises(UserError, match="is not a plain file"):
            read_weights(tmp_path / name)


def tensors(path: Path, header: object, rest: bytes) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + rest)
    return path


def entry(first: int, last: int) -> dict[str, object]:
    return {"dtype": "U8", "shape": [last - first], "data_offsets": [first, last]}


@pytest.mark.parametrize(
    ("header", "rest"),
    [
        ({"a": entry(0, 8), "b": entry(4, 12)}, bytes(12)),
        ({"a": entry(0, 4), "b": entry(8, 12)}, bytes(12)),
        ({"a": entry(0, 4)}, bytes(4) + b"PK\x03\x04 another file"),
        ({"a": entry(0, 2**40)}, bytes(9)),
        (b'{"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}, "a": {"dtype": "U8", '
         b'"shape": [4], "data_offsets": [0, 4]}}', bytes(4)),
        (b"[" * 100_000, b""),
        ({"a": 1}, b""),
        ([], b""),
    ],
)  # fmt: skip
def test_safetensors_that_overlap_leave_gaps_or_hold_another_file(
    tmp_path: Path, header: object, rest: bytes
) -> None:
    refused(tensors(tmp_path / "a.safetensors", header, rest), "not a complete safetensors file")


def test_a_header_of_a_gigabyte(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 2**30) + b"{")
        file.truncate(2**31)
    refused(path, "not a complete safetensors file")


@pytest.mark.parametrize(
    "change",
    [
        {"image_size": ["x", 8]}, {"image_size": [8]}, {"image_size": [0, 8]}, {"mean": ["x"]},
        {"width": "a"}, {"width": True}, {"width": 10**9}, {"width": -1}, {"backbone": {}},
        {"stem": "x"}, {"num_classes": 1.5}, {"defense": None}, {"std": [[1]]}, {"width": 90_000},
    ],
)  # fmt: skip
def test_a_description_of_other_types_or_of_an_impossible_network(
    tmp_path: Path, change: dict[str, object]
) -> None:
    path = tmp_path / "a.safetensors"
    save_weights(path, NETWORK.build(), NETWORK)
    assert read_network(path)[0] == NETWORK
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        values = json.loads(file.metadata()["robench"])
    save_file(state, path, {"robench": json.dumps({**values, **change})})
    with pytest.raises(UserError) as caught:
        load_checkpoint(path)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("start", [b"", b"\x80\x02c", b"\x80\x02X"])
def test_a_long_text_is_refused_before_torch_searches_its_own_message(
    tmp_path: Path, start: bytes
) -> None:
    (tmp_path / "a.pt").write_bytes(start + b"A" * 129_000)
    refused(tmp_path / "a.pt", "it was cut off, or another program wrote it")


def test_a_class_of_an_endless_name(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(b"\x80\x02c" + b"A" * 129_000 + b"\nb\n.")
    refused(tmp_path / "a.pt", "it names a class of 129002 characters")


def test_a_reason_is_not_said_twice(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"x" * 100)
    with pytest.raises(UserError) as caught:
        read_weights(tmp_path / "a.safetensors")
    assert str(caught.value).count("safetensors file") == 1
