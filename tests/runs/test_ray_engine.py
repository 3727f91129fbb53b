"""What a Ray cluster is refused for, before any work is handed out."""

import socket
from types import SimpleNamespace
from typing import Any

import pytest

from robench.errors import UserError

pytest.importorskip("ray")

PIECE: Any = SimpleNamespace(name="a cell", threads=1)
SETUP: Any = SimpleNamespace(processes=1, processes_for=lambda piece: 1)


def engine(monkeypatch: pytest.MonkeyPatch, **resources: float) -> Any:
    """Return the engine of a cluster with one machine that has these resources."""
    import ray

    from robench.runs.ray_engine import RayEngine

    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True, "Resources": resources}])
    return RayEngine("", on_gpu=False)


def test_a_piece_that_has_the_memory_that_it_needs_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine(monkeypatch, CPU=2, memory=2.0 * 2**30).check(SETUP, PIECE)


@pytest.mark.parametrize(
    ("resources", "sentence"),
    [
        ({"CPU": 2.0, "memory": 2.0**30}, r"needs 1.5 GiB of memory, but Ray has 1.0 GiB at most"),
        ({"CPU": 2.0}, r"needs 1.5 GiB of memory, but Ray has 0.0 GiB at most"),
    ],
)
def test_a_piece_that_no_machine_could_do_is_refused(
    monkeypatch: pytest.MonkeyPatch, resources: dict[str, float], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        engine(monkeypatch, **resources).check(SETUP, PIECE)


def test_an_address_at_which_nobody_listens_is_refused_at_once() -> None:
    from robench.runs.ray_engine import RayEngine

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}", "no-such-host.invalid:6379"):
        with pytest.raises(UserError, match=f"cannot reach the Ray cluster at '{address}'"):
            RayEngine(address, on_gpu=False)
