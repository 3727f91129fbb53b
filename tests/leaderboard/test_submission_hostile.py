"""Hostile submissions are refused in one sentence, and nothing in them is executed."""

import io
import json
import pickle
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from submitted import copied, only, sum_up

from robench.errors import UserError
from robench.leaderboard.evidence import read_sums
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.submission import check_submission
from robench.leaderboard.submission.inspection import inspect_submission
from robench.leaderboard.submission.limits import check_name

TRACE = "trace-of-an-exploit.txt"


class Exploit:
    """An object that writes a file when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return (Path.write_text, (Path(TRACE), "was here"))


@pytest.fixture
def folder(submission: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(Exploit()))
    Path(TRACE).unlink()  # proves that the exploit works
    return copied(submission, tmp_path / "submission")


def refused(folder: Path, message: str, *, sums: bool = True) -> None:
    """Assert that a submission is refused by a sentence and that nothing was executed."""
    if sums:
        sum_up(folder)
    with pytest.raises(UserError, match=message) as caught:
        check_submission(folder)
    message_shown = str(caught.value)
    assert message_shown.isprintable()
    assert len(message_shown) < 400
    assert not Path(TRACE).exists()
    assert not list(folder.parent.rglob(TRACE))


def test_a_pickle_in_place_of_weights(folder: Path) -> None:
    path = only(folder, "weights/*")
    path.write_bytes(pickle.dumps(Exploit()))
    refused(folder, "is not an intact safetensors file")
    torch.save({"weight": Exploit()}, path)
    refused(folder, "is not an intact safetensors file")


def test_a_pickle_in_place_of_outcomes_or_in_them(folder: Path) -> None:
    path = only(folder, "outcomes/*/*.npz")
    with np.load(path) as arrays:
        good = dict(arrays)
    path.write_bytes(pickle.dumps(Exploit()))
    refused(folder, "is not an intact archive of arrays")
    objects = np.array([Exploit()] * len(good["robust"]), dtype=object)
    np.savez(path, **{**good, "robust": objects}, allow_pickle=True)
    refused(folder, "other members|object")
    with zipfile.ZipFile(path, "w") as archive:
        for name in good:
            buffer = io.BytesIO()
            np.save(buffer, objects if name == "robust" else good[name], allow_pickle=True)
            archive.writestr(f"{name}.npy", buffer.getvalue())
    refused(folder, r"'robust\.npy' holds Python objects")


def test_paths_that_lead_outside(folder: Path) -> None:
    sums = folder / "SHA256SUMS"
    before = sums.read_text()
    sums.write_text(before + f"{'0' * 64}  ../../etc/passwd\n")
    refused(folder, "is not a checksum", sums=False)
    sums.write_text(before)
    manifest = only(folder, "manifests/*")
    text = manifest.read_text()
    key = next(iter(json.loads(text)["manifest"]["outcomes"]))
    manifest.write_text(text.replace(f'"{key}"', '"../../../outside"'))
    refused(folder, r"has the key '\.\./\.\./\.\./outside'")
    manifest.write_text(text)
    path = only(folder, "outcomes/*/*.npz")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../../outside.npy", b"")
    refused(folder, r"other members than outcomes have, such as '\.\./\.\./outside\.npy'")


def test_links(folder: Path) -> None:
    path = only(folder, "weights/*")
    target = path.rename(folder.parent / "elsewhere")
    path.symlink_to(target)
    refused(folder, "is a link", sums=False)
    path.unlink()
    (folder / "weights").rmdir()
    (folder / "weights").symlink_to(folder.parent)
    refused(folder, "is a link", sums=False)


@pytest.mark.parametrize("name", ["setup.sh", "model/evil.so", "outcomes/x.npz", ".git/config",
                                  "manifests/a.py"])  # fmt: skip
def test_files_that_do_not_belong_there(folder: Path, name: str) -> None:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("echo was here")
    path.chmod(0o755)
    refused(folder, "does not belong in a submission")


def test_code_of_no_cell(folder: Path) -> None:
    (folder / "model").mkdir()
    (folder / "model" / "evil.py").write_text(f"open({TRACE!r}, 'w')")
    refused(folder, "'model/evil.py' belongs to no cell")


def test_a_huge_tensor_that_a_header_declares(folder: Path) -> None:
    size = 2**40
    header = {"w": {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}}
    text = json.dumps(header).encode()
    only(folder, "weights/*").write_bytes(struct.pack("<Q", len(text)) + text + b"\0" * 64)
    refused(folder, "is not an intact safetensors file")
    only(folder, "weights/*").write_bytes(struct.pack("<Q", 2**62) + b"{}")
    refused(folder, "is not an intact safetensors file")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(folder: Path, value: float) -> None:
    path = only(folder, "weights/*")
    state = load_file(path)
    first = next(name for name, tensor in state.items() if tensor.is_floating_point())
    state[first].view(-1)[0] = value
    save_file(state, path)
    refused(folder, "holds values that are not finite")


def test_weights_of_another_network(folder: Path) -> None:
    save_file({"weight": torch.ones(3)}, only(folder, "weights/*"))
    refused(folder, "does not say which network")


def test_a_header_of_weights_that_is_nested_deeply(folder: Path) -> None:
    path = only(folder, "weights/*")
    save_file(load_file(path), path, {"robench": "[" * 900 + "]" * 90})
    refused(folder, "a header that robench does not write")


def test_checksums_with_control_characters(folder: Path) -> None:
    (folder / "SHA256SUMS").write_text("\x1b]0;owned\x07  board.json\n")
    refused(folder, r"'SHA256SUMS' has the invisible character U\+001B", sums=False)


def test_a_network_that_is_far_larger_than_its_file(folder: Path) -> None:
    for name in ("board.json", "manifests/*"):
        path = only(folder, name)
        path.write_text(path.read_text().replace('"width": 4', '"width": 90000'))
    sum_up(folder)
    cell = Leaderboard.read(folder).cells[0].file.cell
    for kind in ("outcomes/*", "weights/*"):
        path = only(folder, kind)
        path.rename(path.with_name(cell.key + path.suffix))
    weights = only(folder, "weights/*")
    state = load_file(weights)
    refused(folder, "names another network than its row")
    network = {"backbone": "resnet18", "width": 90000, "stem": "cifar", "defense": "convnorm",
               "num_classes": 10, "in_channels": 1, "image_size": [8, 8],
               "mean": [0.5], "std": [0.5]}  # fmt: skip
    save_file(state, weights, {"robench": json.dumps(network)})
    refused(folder, "holds far fewer weights than 'resnet18' has")


@pytest.mark.parametrize(
    ("title", "message"),
    [
        ("<script>alert(1)</script>", "markup"),
        ("a < b", "has a '<'"),
        ("=cmd()", "as formulas do"),
        ("@SUM(A1)", "as formulas do"),
        ("-1+2", "as formulas do"),
        ("..\\..\\x", "which names may not contain"),
        ("a" * 201, "201 characters|at most 200"),
        ("evil\u202egnp", "U[+]202E"),
        ("evil\x1b[2J", "U[+]001B"),
        ("", "is empty"),
    ],
)
def test_titles_with_markup_formulas_or_hidden_characters(
    folder: Path, title: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        check_name(title, "the title")
    board = folder / "board.json"
    text = json.loads(board.read_text())
    text["board"]["title"] = title
    board.write_text(json.dumps(text))
    refused(folder, message)


def test_a_name_is_shorter_than_a_boards_title() -> None:
    with pytest.raises(UserError, match="81 characters; at most 80 are allowed"):
        check_name("a" * 81, "the row's title")


def test_a_name_may_not_be_a_path_but_a_heading_may_have_a_radius(folder: Path) -> None:
    with pytest.raises(UserError, match="has a '/'"):
        check_name("../../x", "the row's title")
    board = folder / "board.json"
    text = json.loads(board.read_text())
    text["board"]["title"] = "on digits, Linf 8/255"
    board.write_text(json.dumps(text))
    sum_up(folder)
    assert inspect_submission(folder).board.title == "on digits, Linf 8/255"


@pytest.mark.parametrize(
    ("description", "message"),
    [("Two.\n<b>Lines</b>.", "has markup"), ("Two.\n\x1b[31mLines.", "invisible character U")],
)
def test_each_line_of_a_description_is_checked(
    folder: Path, description: str, message: str
) -> None:
    board = folder / "board.json"
    text = json.loads(board.read_text())
    text["board"]["description"] = description
    board.write_text(json.dumps(text))
    refused(folder, message)
    text["board"]["description"] = "Two\nlines.\n"
    board.write_text(json.dumps(text))
    sum_up(folder)
    assert inspect_submission(folder).board.description == "Two\nlines.\n"


def test_a_row_with_a_hostile_label(folder: Path) -> None:
    for name in ("board.json", "manifests/*"):
        path = only(folder, name)
        path.write_text(
            path.read_text()
            .replace('"defenses": [\n      "convnorm"\n    ]', '"defenses": []')
            .replace('"arms": []', '"arms": [{"defense": "convnorm", "label": "=cmd()"}]')
            .replace('"row": "convnorm"', '"row": "=cmd()"')
        )
    refused(folder, "begins with '=' as formulas do")


def test_a_bomb_of_zeros(folder: Path) -> None:
    path = only(folder, "outcomes/*/*.npz")
    with np.load(path) as arrays:
        good = dict(arrays)
    np.savez_compressed(path, **{**good, "robust": np.zeros(200_000_000, dtype=np.bool_)})
    assert path.stat().st_size < 2**20
    refused(folder, r"unpacks to 20000\d{4} bytes")


def test_json_that_is_nested_too_deeply_or_too_large(folder: Path) -> None:
    board = folder / "board.json"
    board.write_text("[" * 100_000 + "]" * 100_000)
    refused(folder, "nested more than 16 levels")
    board.write_text('{"a": "' + "x" * 2**23 + '"}')
    refused(folder, "bytes; at most 4194304 are allowed")


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', '{"a": NaN}', '{"a": 1e999}', "\xff", "{"])
def test_json_that_is_ambiguous_or_invalid(folder: Path, text: str) -> None:
    (folder / "board.json").write_text(text, encoding="latin-1")
    refused(folder, "is not JSON as robench writes it")


def test_impossible_numbers(folder: Path) -> None:
    path = only(folder, "manifests/*")
    text = path.read_text()
    path.write_text(re.sub(r'"accuracy": [\d.]+', '"accuracy": 1.5', text, count=1))
    refused(folder, "must be between 0 and 1")
    path.write_text(re.sub(r'"parameters": \d+', '"parameters": -1', text))
    refused(folder, "must be finite and not negative")


def test_impossible_outcomes(folder: Path) -> None:
    path = only(folder, "outcomes/*/pgd*.npz")
    with np.load(path) as arrays:
        good = dict(arrays)
    np.savez_compressed(path, **{**good, "correct": np.zeros_like(good["correct"]),
                                 "robust": np.ones_like(good["robust"])})  # fmt: skip
    refused(folder, "misclassified when clean are counted as robust")
    np.savez_compressed(path, **{**good, "l2": np.full_like(good["l2"], np.nan)})
    refused(folder, "'l2' has values that are not lengths")


def test_an_altered_figure_is_a_problem_and_nothing_is_attacked(folder: Path) -> None:
    table = folder / "leaderboard.csv"
    lines = table.read_text().splitlines()
    fields = lines[1].split(",")
    fields[lines[0].split(",").index("pgd-4_mean")] = "0.99"
    table.write_text("\n".join([lines[0], ",".join(fields)]) + "\n")
    sum_up(folder)
    done = check_submission(folder)
    assert not done.sound
    assert "column pgd-4_mean: it says 0.99" in done.problems[0]
    assert done.figures.empty


def test_a_missing_file(folder: Path) -> None:
    assert "README.md" in read_sums(folder)
    (folder / "README.md").unlink()
    refused(folder, "'README.md' is in SHA256SUMS but missing", sums=False)
    sum_up(folder)
    only(folder, "weights/*").unlink()
    refused(folder, "weights/.* is missing")


def test_a_folder_in_place_of_a_table(folder: Path) -> None:
    (folder / "spectra.csv").mkdir()
    refused(folder, "'?spectra.csv'? is a folder", sums=False)
