"""Changes of files: of any bytes, and of what the bytes mean in JSON, TOML, CSV and archives."""

import io
import json
import random
import struct
import zipfile
from typing import Any

NASTY = (
    "null", "true", "[]", "{}", '""', "0", "-1", "1.5", "1e308", "-1e308", "1e999", "NaN",
    "Infinity", "1" + "0" * 400, "9" * 5000, "9223372036854775807", "9223372036854775808",
    "18446744073709551616", "5e-324", '"\\ud800"', '"\\u0000"', '"<script>alert(1)</script>"',
    '"=cmd()"', '"../../../etc/passwd"', '"\\u202egnp"', '"p\\u0430ypal"', '"8/0"', '"8/255"',
    '"pgd(steps=' + "-" * 400 + '1)"', '"pgd-99999999999999999999"', '"pgd(eps=1e999)"',
    '"' + "x" * 300 + '"', '"' + "x" * 100_000 + '"', "[" * 10 + "]" * 10,
    "[" * 3000 + "]" * 3000, '{"a": ' * 12 + "1" + "}" * 12, '{"a": 1, "a": 2}',
    "[" + "0, " * 5000 + "0]", '["clean", "clean"]', '"clean"', '"linf"', '["linf", 0.1]',
    '["linf", 1e308]', '["l2", -1.0]', "{" + ", ".join(f'"k{i}": {i}' for i in range(3000)) + "}",
)  # fmt: skip
"""JSON that is put in the place of a value."""

FIELDS = (
    "", "nan", "inf", "-inf", "1e308", "1e999", "9" * 5000, "-1", "0", "x", "True", "=cmd()", "'",
    '"', "\0", "\u202e", "1_000", "1e-400", " ", "9223372036854775808", "x" * 200_000,
)  # fmt: skip
"""Text that is put in the place of a field of a table."""

_HOLE = "hole-7f3a"


def change_bytes(rng: random.Random, content: bytes) -> bytes:
    """Flip, cut, repeat, exchange or insert bytes, once or several times."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(7):
            case 0 if data:
                data[at % len(data)] ^= 1 << rng.randrange(8)
            case 1:
                del data[at:]
            case 2:
                del data[at : at + rng.randrange(1, 64)]
            case 3:
                piece = data[at : at + rng.randrange(1, 256)]
                data[at:at] = piece * rng.choice((1, 2, 50))
            case 4:
                data[at:at] = rng.randbytes(rng.randrange(1, 16))
            case 5:
                size = rng.choice((1, 2, 4, 8))
                data[at : at + size] = rng.choice((b"\0", b"\xff", b"\x7f", b"\x80")) * size
            case _:
                other = rng.randrange(len(data) + 1)
                data[at : at + 32] = data[other : other + 32]
    return bytes(data)


def change_json(rng: random.Random, content: bytes) -> bytes:
    """Exchange, remove, copy or rename values of a JSON text."""
    value = json.loads(content)
    texts: list[str] = []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        places = list(_places(value))
        if not places:
            break
        inner, key = rng.choice(places)
        match rng.randrange(6):
            case 0 if isinstance(inner, dict):
                inner[rng.choice(("x", "", "__class__", "k" * 500, "\x1b[2J"))] = inner.pop(key)
            case 1:
                del inner[key]
            case 2:
                other, name = rng.choice(places)
                if name in other if isinstance(other, dict) else name < len(other):
                    inner[key] = json.loads(json.dumps(other[name]))
            case 3 if isinstance(inner, list):
                inner *= rng.choice((2, 3, 300)) if len(inner) < 300 else 1
            case _:
                before, inner[key] = inner[key], f"{_HOLE}{len(texts)}"
                texts.append(_nasty_for(rng, before))
    text = json.dumps(value)
    for number, nasty in enumerate(texts):
        text = text.replace(f'"{_HOLE}{number}"', nasty)
    return text.encode(errors="surrogatepass")


def _nasty_for(rng: random.Random, value: Any) -> str:
    """Return JSON for the place of a value; mostly of its type, which validation lets through."""
    if rng.random() < 0.4:
        return rng.choice(NASTY)
    if isinstance(value, bool):
        return rng.choice(("true", "false", "null"))
    if isinstance(value, int):
        return rng.choice(("0", "1", "2", "-1", "255", "1000000", "4294967295", str(2**63 - 1)))
    if isinstance(value, float):
        return rng.choice(("0", "1", "-1", "0.5", "-0.0", "1e308", "-1e308", "1e-320", "1e15"))
    if isinstance(value, str):
        return json.dumps(rng.choice(("", " ", "x", "clean", "linf", "fgsm", "pgd-20", "free", "0",
                                      "batchnorm", "-1", "\x1b[2J", "\u202e", "a\nb", "{}", "%s",
                                      "\\", value * 2, value[:-1], value.upper())))  # fmt: skip
    return rng.choice(("[]", "{}", "null"))


def _places(value: Any) -> Any:
    """Yield each list or dictionary with each of its keys."""
    keys = (
        value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    )
    for key in list(keys):
        yield value, key
        yield from _places(value[key])


def change_toml(rng: random.Random, content: bytes) -> bytes:
    """Exchange, repeat or remove lines of a TOML text, or the values in them."""
    lines = content.decode().splitlines()
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(lines))
        key = lines[at].split("=")[0]
        match rng.randrange(5):
            case 0:
                lines.insert(at, rng.choice(lines))
            case 1:
                del lines[at]
            case 2:
                lines[at] = "a." * rng.choice((3, 20, 5000)) + "b = 1"
            case _:
                lines[at] = f"{key}= {rng.choice((*NASTY, 'inf', '1979-05-27', '0x' + 'f' * 999))}"
    return "\n".join(lines).encode(errors="surrogatepass")


def change_csv(rng: random.Random, content: bytes) -> bytes:
    """Exchange fields, columns and lines of a table."""
    lines = [line.split(",") for line in content.decode().splitlines()]
    for _ in range(rng.choice((1, 1, 2, 3))):
        row = rng.randrange(len(lines))
        at = rng.randrange(len(lines[row]) or 1)
        match rng.randrange(7):
            case 0:
                lines.insert(row, list(lines[row]))
            case 1:
                del lines[row]
                lines = lines or [[""]]
            case 2:
                lines = [line[:at] + line[at + 1 :] for line in lines]
            case 3:
                lines = [line + [f"{n}"] * rng.choice((1, 2, 6000)) for n, line in enumerate(lines)]
            case _:
                lines[row][at : at + 1] = [rng.choice(FIELDS)]
    return "\n".join(",".join(line) for line in lines).encode(errors="surrogatepass")


def change_sums(rng: random.Random, content: bytes) -> bytes:
    """Exchange names and digests of a list of checksums."""
    lines = content.decode().splitlines()
    for _ in range(rng.choice((1, 1, 2))):
        at = rng.randrange(len(lines))
        names = ("../x", "/etc/passwd", "a\0b", "board.json", "x" * 5000, "manifests/x.json", ".",
                 "", "link", "pipe", "zero", "sources/x.py", "manifests/pipe.json")  # fmt: skip
        digest = rng.choice((lines[at][:64], "0" * 64, "Z" * 64, "0" * 63))
        lines[at] = f"{digest}{rng.choice(('  ', ' *', ' '))}{rng.choice(names)}"
        if rng.random() < 0.2:
            lines *= rng.choice((2, 50))
    return "\n".join(lines).encode(errors="surrogatepass") + b"\n"


def change_archive(rng: random.Random, content: bytes) -> bytes:
    """Change the directory of an archive, or a member of it: its name, header or size."""
    if rng.random() < 0.4:
        return _change_directory(rng, content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    names = list(members)
    name = rng.choice(names)
    match rng.randrange(6):
        case 0:
            members[rng.choice(("../x.npy", "x" * 300, "robust.npy/", *names))] = members.pop(name)
        case 1:
            members[name] = change_bytes(rng, members[name])
        case 2:
            members[name] += b"\0" * rng.choice((1, 1000, 50_000_000))
        case 3:
            members[name] = members[rng.choice(names)]
        case _:
            members[name] = change_header(rng, members[name])
    kind = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA))
    return _archive(members, name, kind)


def _archive(members: dict[str, bytes], name: str, kind: int) -> bytes:
    """Return an archive whose member ``name`` is compressed in a way, and the others quickly."""
    buffer = io.BytesIO()
    plain = zipfile.ZIP_STORED if kind == zipfile.ZIP_STORED else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(buffer, "w", plain, compresslevel=1) as archive:
        for key, value in members.items():
            slow = key != name or len(value) > 2**20  # LZMA takes seconds for 50 MB of zeros
            archive.writestr(key, value, plain if slow else kind)
    return buffer.getvalue()


def change_header(rng: random.Random, content: bytes) -> bytes:
    """Change the header of an array: its type, shape or length."""
    end = content.find(b"\n") + 1
    if not content.startswith(b"\x93NUMPY") or not end:
        return change_bytes(rng, content)
    descr = rng.choice(("|b1", "<i8", "<f4", "<f8", ">i4", "|O", "<U5", "<U100000000", "|S0", "<c8",
                        "<M8[s]", "|V8", "<f2", "|u1", "x"))  # fmt: skip
    shape = rng.choice(("(60,)", "(0,)", "()", "(-1,)", "(1000000000000,)", "(60, 1)", "(2, 2, 2)",
                        "(True,)", "(1,) * 99", "('x',)", "(" * 90 + ")" * 90,
                        "(99999999999999999999,)", "(1000,)"))  # fmt: skip
    order = rng.choice(("False", "True", "1", "None"))
    header = f"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    header += b" " * rng.randrange(64) + b"\n"
    version = rng.choice((1, 1, 1, 2, 3, 9))
    size = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes((version, 0)) + size + header + content[end:]


def _change_directory(rng: random.Random, content: bytes) -> bytes:
    """Overwrite a field of an entry of the directory, or of its end."""
    data = bytearray(content)
    marks = (b"PK\x01\x02", b"PK\x05\x06", b"PK\x03\x04")
    mark = rng.choice(marks)
    starts = [i for i in range(len(data)) if data[i : i + 4] == mark]
    if not starts:
        return change_bytes(rng, content)
    at, size = rng.choice(starts) + rng.randrange(4, 46), rng.choice((1, 2, 4))
    value = rng.choice((0, 1, 9, 14, 2**31 - 1, 2**32 - 1, rng.getrandbits(32)))
    data[at : at + size] = value.to_bytes(4, "little")[:size]
    return bytes(data)


def change_tensors(rng: random.Random, content: bytes) -> bytes:
    """Change the header of a safetensors file: places, types, shapes, metadata or its length."""
    length = int.from_bytes(content[:8], "little")
    header, rest = json.loads(content[8 : 8 + length]), content[8 + length :]
    if rng.random() < 0.3 and "robench" in header.get("__metadata__", {}):
        own = change_json(rng, header["__metadata__"]["robench"].encode())
        header["__metadata__"]["robench"] = own.decode(errors="replace")
        text = json.dumps(header).encode()
    elif rng.random() < 0.5:
        name = rng.choice([key for key in header if key != "__metadata__"])
        entry = header[name]
        match rng.randrange(4):
            case 0:
                entry["dtype"] = rng.choice(("F32", "F16", "BF16", "I64", "U8", "BOOL", "X", ""))
            case 1:
                entry["shape"] = rng.choice(([], [0], [-1], [2**40], [2**63], [1] * 99, ["x"], 1))
            case 2:
                places = ([0, 0], [0, 2**40], [8, 0], [0, len(rest)], [-1, 3], [1], "x", None)
                entry["data_offsets"] = rng.choice(places)
            case _:
                header["x" * rng.choice((1, 1000))] = header.pop(name)
        text = json.dumps(header).encode()
    else:
        text = change_json(rng, json.dumps(header).encode())
    size = len(text) if rng.random() < 0.9 else rng.choice((0, 2**31, 2**62, len(text) + 9))
    tail = rest if rng.random() < 0.9 else rest + b"PK\x03\x04" * rng.randrange(1, 99)
    return struct.pack("<Q", size) + text + tail
