"""Fixtures of the tests of runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from robench.plugins import registrations_undone
from robench.registry import REGISTRIES, plugin_files


@pytest.fixture
def only_the_suite() -> Iterator[None]:
    """Take out what other tests have registered in this process: it would travel, too."""
    files = set(plugin_files)
    with registrations_undone():
        for registry in REGISTRIES:
            for entry in registry.entries():
                if not entry.build.__module__.startswith("robench."):
                    registry.forget(Path(entry.file))
        plugin_files.clear()
        yield
    plugin_files.update(files)
