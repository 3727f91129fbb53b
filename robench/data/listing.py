"""The image files of a folder with one folder per class, as torchvision's ImageFolder reads it."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from torchvision.datasets.folder import IMG_EXTENSIONS

from robench.data.files import ImageFile
from robench.data.notices import notify
from robench.errors import UserError


def list_classes(folder: Path) -> tuple[str, ...]:
    """Return the names of the class folders, sorted as text; hidden ones do not count.

    Raises:
        UserError: if there are fewer than two.
    """
    classes = sorted(p.name for p in folder.iterdir() if p.is_dir() and p.name[0] != ".")
    if len(classes) < 2:
        found = f"only the class '{classes[0]}'" if classes else "no class folders"
        raise UserError(
            f"{folder} has {found}; use one folder per class, for at least two classes."
        )
    return tuple(classes)


def list_images(folder: Path) -> tuple[tuple[str, ...], list[ImageFile]]:
    """Return the class names below a folder and (file, label) of its images, in order.

    Folders in a class folder are read too. Files of other endings than torchvision's, hidden files,
    and files outside the class folders are skipped; a warning counts them.

    Raises:
        UserError: if there are fewer than two classes, or a class has no images.
    """
    classes = list_classes(folder)
    files: list[ImageFile] = []
    skipped = [
        _kind(p.name, "") or "outside class folders" for p in folder.iterdir() if p.is_file()
    ]
    for label, name in enumerate(classes):
        images, others = _files_below(folder / name)
        files += [(path, label) for path in images]
        skipped += others
        if not images:
            raise UserError(
                f"the class folder {folder / name} has no images ({', '.join(IMG_EXTENSIONS)}); "
                f"fill or remove it."
            )
    _notify_skipped(folder, skipped)
    return classes, files


def readable(name: str) -> str:
    """Return the name of a file or folder as text that can be printed and stored.

    Bytes that are not UTF-8 are written as numbers.
    """
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


def notify_numbers(folder: Path, classes: Sequence[str]) -> None:
    """Say which labels classes have whose names are numbers that sort differently as text."""
    if not all(name.isdecimal() for name in classes):
        return
    if list(classes) == sorted(classes, key=int):
        return
    first = ", ".join(f"{label} is '{name}'" for label, name in enumerate(classes[:3]))
    notify(
        f"the class folders of {folder} are numbers and sorted as text, as in torchvision's "
        f"ImageFolder: label {first}, ...; pad the names with zeros if your network counts "
        f"otherwise."
    )


def _files_below(folder: Path) -> tuple[list[Path], list[str]]:
    """Return the images in a folder and those below it, in torchvision's order; what others are."""
    images, others = [], []
    for root, loops, names in sorted(walk(folder)):
        parent, inside = Path(root), root[len(str(folder)) :]
        others += ["link to a folder above it"] * len(loops)
        for name in sorted(names):
            if kind := _kind(name, inside):
                others.append(kind)
            else:
                images.append(parent / name)
    return images, others


def walk(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield each folder, the links in it that are not followed, and the names of its files.

    Links to folders are followed, but for those that lead back to a folder above: its images would
    be listed again and again.
    """
    for root, folders, names in os.walk(folder, followlinks=True):
        loops = [name for name in folders if _leads_back(root, name, str(folder))]
        folders[:] = [name for name in folders if name not in loops]
        yield root, loops, names


def _leads_back(root: str, name: str, top: str) -> bool:
    """Return whether a folder is a link to one above, on the way from ``top`` to it or on disk."""
    path = Path(root, name)
    if not path.is_symlink():
        return False
    real = Path(os.path.realpath(path))
    way = [place for place in (Path(root), *Path(root).parents) if place.is_relative_to(top)]
    return any(Path(os.path.realpath(place)).is_relative_to(real) for place in way)


def _kind(name: str, inside: str) -> str | None:
    """Return what a file is that is skipped: hidden, or its ending; None for an image.

    Args:
        name: the name of the file.
        inside: its folder, below the class folder.
    """
    if name[0] == "." or f"{os.sep}." in inside:
        return "hidden"
    if name.lower().endswith(IMG_EXTENSIONS):
        return None
    return Path(name).suffix.lower() or "without ending"


def _notify_skipped(folder: Path, kinds: Sequence[str]) -> None:
    if not kinds:
        return
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(Counter(kinds).items()))
    were = "1 file was" if len(kinds) == 1 else f"{len(kinds)} files were"
    notify(
        f"{were} skipped in {folder} ({counts}): images are {', '.join(IMG_EXTENSIONS)} files in "
        f"folders of classes."
    )
