"""What a forger changes along with a field, since it is written in several places.

A change of the board is carried into the manifests of its cells; a change of one manifest is not
carried back, since it concerns that cell alone.
"""

from typing import Any

from campaigns.forging.draft import Draft
from campaigns.forging.places import Place
from robench.leaderboard.evidence import BOARD

RECIPE = ("training", "data", "model")
"""Tables of the board that are repeated in the specification of each cell."""


def follow(draft: Draft, place: Place, old: Any, new: Any) -> None:
    """Carry a change into the other documents that say the same."""
    if place.file != BOARD:
        if place.path in (("cell", "data_hash"), ("manifest", "data_hash")):
            _data_hash(draft, old, new)
        return
    path = place.path
    if path[:1] != ("board",) or len(path) < 2:
        if path == ("dataset",):
            _everywhere(draft, ("data", "name"), old, new)
        return
    table = path[1]
    if table in RECIPE and len(path) > 2:
        _everywhere(draft, path[1:], old, new)
    elif table in ("defenses", "external", "seeds") and len(path) == 3:
        _rename(draft, str(table), old, new)
    elif table in ("defenses", "external", "seeds"):
        _drop(draft, str(table), new)
    elif path[:3] == ("board", "evaluation", "attacks"):
        _columns(draft, path, old, new)


def _everywhere(draft: Draft, path: tuple[str | int, ...], old: Any, new: Any) -> None:
    """Change a key of the specifications of all cells that have the old value."""
    for document in draft.manifests.values():
        parent = document["cell"]
        for step in path[:-1]:
            parent = parent.get(step, {}) if isinstance(parent, dict) else parent[step]
        key = path[-1]
        if isinstance(parent, dict) and key in parent and parent[key] == old:
            parent[key] = new


def _data_hash(draft: Draft, old: Any, new: Any) -> None:
    for document in draft.manifests.values():
        for part in ("cell", "manifest"):
            document[part]["data_hash"] = new


def _rename(draft: Draft, table: str, old: Any, new: Any) -> None:
    """Give a row another title and defense, or its cells another seed."""
    board = draft.board["board"]
    for document in draft.manifests.values():
        if table == "seeds":
            if document["cell"]["seed"] == old:
                document["cell"]["seed"] = new
        elif document["row"] == old:
            document["row"] = new
            if table == "defenses":
                document["cell"]["defense"] = new
    if table != "seeds" and board["baseline"] == old:
        board["baseline"] = new


def _drop(draft: Draft, table: str, kept: Any) -> None:
    """Leave out the cells of rows or seeds that are no longer on the board."""
    for name, document in draft.manifests.items():
        of = "external" if "architecture" in document["cell"] else "defenses"
        named = document["cell"]["seed"] if table == "seeds" else document["row"]
        if of == ("defenses" if table == "seeds" else table) and named not in (kept or []):
            draft.drop(name)


def _columns(draft: Draft, path: tuple[str | int, ...], old: Any, new: Any) -> None:
    """Rename a column everywhere, or leave out those of attacks that are no longer on the board."""
    board = draft.board
    evaluation = board["board"]["evaluation"]
    if len(path) == 4:
        board["columns"] = {new if k == old else k: v for k, v in board["columns"].items()}
        if evaluation["rank_by"] == old:
            evaluation["rank_by"] = new
    kept = {"clean", *(evaluation["attacks"] or [])}
    board["columns"] = {k: v for k, v in board["columns"].items() if k in kept}
    if evaluation["rank_by"] not in kept:
        evaluation["rank_by"] = ""
    for name, document in draft.manifests.items():
        files = draft.outcomes(name)
        for key, entry in list(document["manifest"]["outcomes"].items()):
            if len(path) == 4 and entry["column"] == old:
                entry["column"] = new
            elif entry["column"] not in kept:
                files[entry["column"]].unlink()
                del document["manifest"]["outcomes"][key]
