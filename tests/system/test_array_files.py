"""Archives and arrays of strangers: sizes are known before anything is unpacked."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from robench.system.array_files import npz_headers, read_npy, read_npz
from robench.system.reading import Refused

MIB = 2**20


def header(shape: str, descr: str = "|u1") -> bytes:
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def archive(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def test_arrays_are_read_as_numpy_wrote_them(tmp_path: Path) -> None:
    arrays = {"a": np.arange(6.0).reshape(2, 3).T, "b": np.array(["x", "yz"]), "c": np.array(1)}
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    found = read_npz(tmp_path / "a.npz", unpacked=MIB)
    assert {k: v.tolist() for k, v in found.items()} == {k: v.tolist() for k, v in arrays.items()}
    assert set(read_npz(tmp_path / "a.npz", unpacked=MIB, names={"a", "z"})) == {"a"}
    assert npz_headers(tmp_path / "a.npz", unpacked=MIB)["a.npy"].shape == (3, 2)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (header("(1000000000000,)") + b"x", "does not have the size"),
        (header("(-1,)"), "impossible shape"),
        (header("(2,)", "|O") + b"xx", "Python objects"),
        (header("(1000000,)", "|S0"), "impossible shape or type"),
        (header("(1,)", "<U100000000") + b"xxxx", "does not have the size"),
        (header("(" * 2000 + ")" * 2000) + b"x", "."),
        (b"\x93NUMPY\x09\x00" + b"x" * 99, "unknown version"),
        (b"", "."),
    ],
)
def test_headers_that_lie(tmp_path: Path, content: bytes, reason: str) -> None:
    path = archive(tmp_path / "a.npz", {"a.npy": content})
    with pytest.raises(Refused, match=reason):
        read_npz(path, unpacked=MIB)
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(Refused, match=reason):
        read_npy(tmp_path / "a.npy")


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.npz", {"a.npy": header(f"({50 * MIB},)") + bytes(50 * MIB)})
    assert path.stat().st_size < MIB / 4
    with pytest.raises(Refused, match=r"it unpacks to 52428.* bytes, and at most 1048576"):
        read_npz(path, unpacked=MIB)


def test_members_are_few_distinct_and_plainly_compressed(tmp_path: Path) -> None:
    one = header("(1,)") + b"x"
    with pytest.raises(Refused, match="more than 1 members"):
        read_npz(archive(tmp_path / "a.npz", {"a.npy": one, "b.npy": one}), unpacked=MIB, members=1)
    with pytest.raises(Refused, match="another method than deflate"):
        read_npz(archive(tmp_path / "b.npz", {"a.npy": one}, zipfile.ZIP_LZMA), unpacked=MIB)
    content = archive(tmp_path / "c.npz", {"a.npy": one, "b.npy": one}).read_bytes()
    (tmp_path / "c.npz").write_bytes(content.replace(b"b.npy", b"a.npy"))
    with pytest.raises(Refused, match=r"2 members named 'a\.npy'"):
        read_npz(tmp_path / "c.npz", unpacked=MIB)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("code", [0xD800, 0x110000])
def test_text_is_unicode(tmp_path: Path, order: str, code: int) -> None:
    text = np.array([code, 0x42], dtype=f"{order}u4").view(f"{order}U1")
    np.savez(tmp_path / "a.npz", names=text)
    with pytest.raises(Refused, match="text that is not Unicode"):
        read_npz(tmp_path / "a.npz", unpacked=1000)


def test_a_flipped_bit_is_found(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.npz", {"a.npy": header("(99,)") + b"x" * 99}, zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    content[content.index(b"xxxx") + 9] ^= 1
    path.write_bytes(content)
    with pytest.raises(Refused, match="CRC"):
        read_npz(path, unpacked=MIB)


def test_a_single_array_is_no_archive(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.arange(3))
    (tmp_path / "a.npz").write_bytes(buffer.getvalue())
    with pytest.raises(Refused, match="not a zip file"):
        read_npz(tmp_path / "a.npz", unpacked=MIB)
