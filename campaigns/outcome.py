"""Whether a run that was disturbed has ended as an undisturbed one does."""

from pathlib import Path

import pandas as pd

TIMED = ("seconds", "per_second", "train_cost", "memory", "peak")


def differences(out: Path, undisturbed: Path, *, ignored: str = "") -> str | None:
    """Return how what a run has left differs from an undisturbed run; None if it does not.

    Weights and outcomes are compared to the bit, the log and the tables but for times; no other
    file may be there.

    Args:
        out: what it has left.
        undisturbed: what an undisturbed run leaves.
        ignored: a file that may be there besides, relative to ``out``.
    """
    found, wanted = _files(out) - {ignored}, _files(undisturbed) - {ignored}
    if odd := sorted(found ^ wanted):
        what = "was left" if odd[0] in found else "is missing"
        return f"{odd[0]} {what}"
    for name in sorted(wanted):
        one, two = out / name, undisturbed / name
        if one.suffix in (".safetensors", ".npz"):
            same = one.read_bytes() == two.read_bytes()
        elif one.suffix == ".csv":
            same = _untimed(one).equals(_untimed(two))
        elif one.name in ("spec.json", "result.json", "board.json"):
            same = one.read_bytes() == two.read_bytes()
        else:
            same = bool(one.stat().st_size) or one.name == ".lock"
        if not same:
            return f"{name} differs"
    return None


def _files(out: Path) -> set[str]:
    return {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}


def _untimed(path: Path) -> pd.DataFrame:
    table = pd.read_csv(path)
    timed = [name for name in table if any(word in str(name) for word in TIMED)]
    return table.drop(columns=timed)
