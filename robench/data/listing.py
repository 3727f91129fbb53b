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
    and files outside the class folders are skipped; a warning counts them. Another one says which
    label a class has if the names are numbers that sort differently as text.

    Raises:
        UserError: if there are fewer than two classes, or a class has no images.
    """
    classes = list_classes(folder)
    _notify_numbers(folder, classes)
    files: list[ImageFile] = []
    skipped = [p.relative_to(folder) for p in folder.iterdir() if p.is_file()]
    for label, name in enumerate(classes):
        found = list(_files_below(folder / name))
        images = [path for path in found if _is_read(path.relative_to(folder))]
        files += [(path, label) for path in images]
        skipped += [p.relative_to(folder) for p in found if not _is_read(p.relative_to(folder))]
        if not images:
            raise UserError(
                f"the class folder {folder / name} has no images ({', '.join(IMG_EXTENSIONS)}); "
                f"fill or remove it."
            )
    _notify_skipped(folder, skipped)
    return classes, files


def _files_below(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder and of those below it, in torchvision's order."""
    for root, _, names in sorted(os.walk(folder, followlinks=True)):
        yield from (Path(root, name) for name in sorted(names))


def _is_read(path: Path) -> bool:
    return path.suffix.lower() in IMG_EXTENSIONS and not _is_hidden(path)


def _is_hidden(path: Path) -> bool:
    """Return whether a file, or a folder of a path below the class folders, is hidden."""
    return any(part[0] == "." for part in path.parts)


def _notify_skipped(folder: Path, paths: Sequence[Path]) -> None:
    if not paths:
        return
    kinds = ["hidden" if _is_hidden(p) else p.suffix.lower() or "without ending" for p in paths]
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(Counter(kinds).items()))
    were = "1 file was" if len(paths) == 1 else f"{len(paths)} files were"
    notify(
        f"{were} skipped in {folder} ({counts}): images are {', '.join(IMG_EXTENSIONS)} files in "
        f"class folders."
    )


def _notify_numbers(folder: Path, classes: Sequence[str]) -> None:
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
