"""The list of a large folder's images, kept between runs: listing a million files takes minutes.

It is believed as long as no folder below has changed, which adding, removing or renaming a file
does, and as long as none of a thousand files that are picked at random has another size. Whoever
reads an image compares the size of that one (:func:`check_size`). So what is read is always what
was listed, and a folder whose images were written again in place is listed again.
"""

import hashlib
import io
import os
import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import platformdirs
from numpy.typing import NDArray

from robench.data.listing import list_images, walk
from robench.errors import UserError
from robench.system.array_files import read_npz
from robench.system.files import write_bytes
from robench.system.reading import Refused

FORMAT = 1
"""Part of the name of a kept file; raised when what is in it changes."""

PICKED = 1000
"""How many files are compared with what is kept of them, before it is believed."""

SETTLED = 10.0
"""Seconds before the listing in which no folder may have changed, or it is not kept: files may have
come while it was made. Clocks of file servers are a few seconds off."""

_BYTES = 2**32
_THREADS = 16
"""Files that are asked for at once: a file server takes its time for each."""


@dataclass(frozen=True)
class Listing:
    """The images of a folder.

    Attributes:
        files: path and label of each, in order.
        sizes: the size of each file, in bytes.
    """

    files: tuple[tuple[str, int], ...]
    sizes: tuple[int, ...]


def listed(folder: Path) -> Listing:
    """Return the images of a folder with one folder per class, from the kept list if it is right.

    Raises:
        UserError: as :func:`robench.data.listing.list_images`.
    """
    folder = folder.absolute()
    kept = kept_file(folder)
    with suppress(Refused, OSError, ValueError, KeyError):
        return _read(kept, folder)
    began = time.time()
    listing = list_now(folder)
    with suppress(UserError, OSError):  # it is kept where it can be
        _keep(kept, folder, listing, began)
    return listing


def list_now(folder: Path) -> Listing:
    """List the images of a folder with one folder per class; the errors are those of listing."""
    _, images = list_images(folder)
    files = tuple((str(path), label) for path, label in images)
    try:
        return Listing(files, tuple(_sizes([path for path, _ in files])))
    except OSError as error:
        raise UserError(f"cannot read {error.filename}: {error.strerror}.") from error


def kept_file(folder: Path) -> Path:
    """Return where the list of a folder is kept, in the user's folder for caches."""
    name = hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:16]
    return platformdirs.user_cache_path("robench") / f"images-{FORMAT}-{name}.npz"


def check_size(path: str, size: int, root: Path) -> None:
    """Refuse a file that is not as it was listed, and forget the kept list of its folder.

    Args:
        path: the file.
        size: how many bytes it had.
        root: the folder that was listed.

    Raises:
        UserError: if it has another size now. If it is gone, whoever opens it says so.
    """
    with suppress(OSError):
        if Path(path).stat().st_size == size:
            return
        kept_file(root).unlink(missing_ok=True)
        raise UserError(
            f"{path} was changed since the images of {root} were listed; run the same command "
            f"again."
        )


def _sizes(paths: Sequence[str]) -> list[int]:
    with ThreadPoolExecutor(_THREADS) as pool:
        parts = [paths[start : start + 1000] for start in range(0, len(paths), 1000)]
        return [size for part in pool.map(_sizes_here, parts) for size in part]


def _sizes_here(paths: Sequence[str]) -> list[int]:
    return [os.stat(path).st_size for path in paths]  # noqa: PTH116 - a million Paths take seconds


def _keep(kept: Path, folder: Path, listing: Listing, began: float) -> None:
    # Also those without an image, into which one may be put.
    folders = [root for root, _, _ in walk(folder)]
    times = _times(folders)
    if began - max(times) / 1e9 < SETTLED:
        return
    start = len(str(folder)) + 1
    buffer = io.BytesIO()
    np.savez(
        buffer,
        names=_packed([path[start:] for path, _ in listing.files]),
        labels=np.array([label for _, label in listing.files], dtype=np.int32),
        sizes=np.array(listing.sizes, dtype=np.int64),
        folders=_packed(folders),
        times=np.array(times, dtype=np.int64),
    )
    write_bytes(kept, buffer.getvalue())


def _read(kept: Path, folder: Path) -> Listing:
    """Return what is kept of a folder.

    Raises:
        Refused: if nothing readable is kept.
        ValueError: if the folder is another one now.
    """
    arrays = read_npz(kept, unpacked=_BYTES)
    names, folders = _unpacked(arrays["names"]), _unpacked(arrays["folders"])
    if _times(folders) != arrays["times"].tolist():
        raise ValueError("a folder has changed")
    labels, sizes = arrays["labels"].tolist(), arrays["sizes"].tolist()
    paths = [f"{folder}{os.sep}{name}" for name in names]
    picked = random.SystemRandom().sample(range(len(paths)), min(PICKED, len(paths)))
    if _sizes([paths[i] for i in picked]) != [sizes[i] for i in picked]:
        raise ValueError("a file has changed")
    return Listing(tuple(zip(paths, labels, strict=True)), tuple(sizes))


def _times(folders: Sequence[str]) -> list[int]:
    """Return when each folder was last changed."""
    return [os.stat(folder).st_mtime_ns for folder in folders]  # noqa: PTH116 - as above


def _packed(names: Sequence[str]) -> NDArray[np.uint8]:
    return np.frombuffer("\0".join(names).encode(errors="surrogateescape"), dtype=np.uint8)


def _unpacked(packed: NDArray[np.uint8]) -> list[str]:
    return packed.tobytes().decode(errors="surrogateescape").split("\0")
