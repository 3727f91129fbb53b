"""The kept list of a large folder's images: never other than what is there."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from robench.data import index
from robench.data.index import kept_file, list_now, listed
from robench.data.unread import UnreadStream
from robench.errors import UserError

LONG_AGO = 1_000_000_000


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / "cache" / name)
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of three images, one of them in a folder below, all of them old."""
    root = tmp_path / "images"
    for name in ("cat/0", "cat/1", "cat/more/2", "dog/0", "dog/1", "dog/2"):
        path = root / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 9), (len(name), 0, 0)).save(path)
    (root / "cat" / "empty").mkdir()
    settle(root)
    return root


def settle(root: Path) -> None:
    for path in [root, *root.rglob("*")]:
        os.utime(path, (LONG_AGO, LONG_AGO))


@pytest.fixture
def listings(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders whose files are listed, in order."""
    seen: list[Path] = []

    def recorded(folder: Path) -> object:
        seen.append(folder)
        return original(folder)

    original = index.list_images
    monkeypatch.setattr(index, "list_images", recorded)
    return seen


def test_a_folder_is_listed_once(folder: Path, listings: list[Path]) -> None:
    first = listed(folder)
    assert listed(folder) == first == list_now(folder)
    assert listings == [folder, folder]  # by the first, and by list_now
    assert [Path(path).name for path, _ in first.files] == [
        "0.png", "1.png", "2.png", "0.png", "1.png", "2.png",
    ]  # fmt: skip
    assert [label for _, label in first.files] == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "cat" / "more" / "new.png").write_bytes(b"new"),
        lambda root: (root / "cat" / "empty" / "new.png").write_bytes(b"new"),
        lambda root: (root / "dog" / "1.png").unlink(),
        lambda root: (root / "dog" / "1.png").rename(root / "dog" / "one.png"),
        lambda root: (root / "dog").rename(root / "hound"),
        lambda root: (root / "cat" / "0.png").write_bytes(b"written again in place"),
    ],
    ids=["added", "added where none was", "removed", "renamed", "class renamed", "written again"],
)
def test_what_has_changed_is_listed_again(folder: Path, change: Callable[[Path], object]) -> None:
    before = listed(folder)
    change(folder)
    assert listed(folder) == list_now(folder) != before


def test_a_file_that_was_not_picked_is_refused_when_it_is_read_and_then_listed_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "PICKED", 0)
    stream = UnreadStream(folder)
    assert len(stream.take(torch.arange(6))) == 6
    Image.effect_noise((40, 40), 50).save(folder / "cat" / "0.png")
    other = UnreadStream(folder)
    assert other.hash() == stream.hash()
    with pytest.raises(UserError, match=r"0\.png was changed since the images of .* were listed"):
        other.take(torch.arange(6))
    again = UnreadStream(folder)
    assert len(again.take(torch.arange(6))) == 6
    assert again.hash() != stream.hash()


def test_nothing_is_kept_of_a_folder_that_has_just_changed(folder: Path) -> None:
    (folder / "cat" / "3.png").write_bytes(b"new")
    listed(folder)
    assert not kept_file(folder).exists()


def test_nothing_is_kept_if_a_file_comes_while_the_folder_is_listed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large folder is listed for minutes: the change may be old when the list is kept."""

    def slowly(root: Path) -> object:
        found = original(root)
        (root / "cat" / "3.png").write_bytes(b"new")
        monkeypatch.setattr(index.time, "time", lambda: now() + 1000)
        return found

    original, now = index.list_images, time.time
    monkeypatch.setattr(index, "list_images", slowly)
    assert len(listed(folder).files) == 6
    assert not kept_file(folder).exists()
    monkeypatch.setattr(index, "list_images", original)
    assert len(listed(folder).files) == 7


def test_a_damaged_list_is_made_again(folder: Path) -> None:
    first = listed(folder)
    kept_file(folder).write_bytes(kept_file(folder).read_bytes()[:-200])
    assert listed(folder) == first
    kept_file(folder).write_bytes(b"")
    assert listed(folder) == first


def test_without_a_place_to_keep_it_a_folder_is_listed_each_time(
    folder: Path, cache: Path, listings: list[Path]
) -> None:
    cache.write_text("a file")
    assert listed(folder) == listed(folder)
    assert len(listings) == 2
