"""Spectra that no operator has, or of other layers than those of the network, are found."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from published_board import Published

import robench
from robench.leaderboard.audit.spectra import spectra_notes, spectra_problems
from robench.leaderboard.published import Leaderboard
from robench.models.checkpoint import load_checkpoint
from robench.runs.measure_cell import _plain
from robench.runs.records import LayerSpectrum

Layers = list[dict[str, Any]]


@pytest.fixture
def measured(published: Published) -> Published:
    """The board as if it had asked for spectra; only manifests are changed."""
    for path in published.folder.glob("manifests/*.json"):
        values = json.loads(path.read_text())
        values["spectra"] = spectra_of(published.store, values["manifest"]["specification"])
        path.write_text(json.dumps(values))
    return published


@cache  # the boards of all tests are copies of one
def spectra_of(store: Path, key: str) -> Layers:
    """Return what a board with spectra has in the manifest of a network."""
    model = load_checkpoint(store / "cells" / key / "weights.safetensors")[0]
    rows = robench.spectra(model, (1, 8, 8))[list(LayerSpectrum.model_fields)]
    return [{name: _plain(value) for name, value in row.items()} for row in rows.to_dict("records")]


def edited(published: Published, edit: Callable[[Layers], object]) -> Leaderboard:
    path = published.folder / "manifests/convnorm-seed0.json"
    values = json.loads(path.read_text())
    edit(values["spectra"])
    path.write_text(json.dumps(values))
    return Leaderboard.read(published.folder)


def every(**figures: object) -> Callable[[Layers], object]:
    return lambda layers: [layer.update(figures) for layer in layers]


def not_linear(layers: Layers) -> None:
    layers[0].update({name: None for name in layers[0] if name not in ("layer", "operator")})
    layers[0]["operator"] = "not linear"
    del layers[1 : [layer["layer"] for layer in layers].count(layers[0]["layer"])]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (every(condition=0.001), "has a condition number below 1 (condition: 0.001)"),
        (every(channel_condition_median=0.5), "below 1 (channels: 0.5)"),
        (every(channel_condition_median=1e9), "has a median above the maximum"),
        (every(norm=100.0, norm_bound=0.5), "has a norm of 100, above its bound 0.5"),
        (every(norm=1.0, norm_bound=100.0), "has a bound of 100, far above its norm 1"),
        (every(norm=None), "has a norm without a bound"),
        (every(padded_norm=-1.0), "has a negative norm"),
        (every(operator="not linear"), "(not linear) has figures"),
        (lambda layers: layers.pop(), "not of the layers of its network: 'net."),
        (lambda layers: layers[0].update(layer="net.invented"), "of its network: 'net.conv1'"),
        (lambda layers: layers.reverse(), "not of the layers of its network"),
    ],
)
def test_a_spectrum_that_no_network_has(
    measured: Published, edit: Callable[[Layers], object], message: str
) -> None:
    found = [*spectra_problems(edited(measured, edit))]
    assert found
    assert all(text.startswith("'convnorm', seed 0: ") for text in found)
    assert any(message in text for text in found), found


@pytest.mark.parametrize(
    "edit", [lambda layers: None, every(condition=None, channel_condition_max=None), not_linear]
)
def test_singular_operators_and_layers_that_are_not_linear_are_honest(
    measured: Published, edit: Callable[[Layers], object]
) -> None:
    board = edited(measured, edit)
    assert not [*spectra_problems(board)]
    assert spectra_notes(board, ["batchnorm"]) == [
        "the spectra of 'convnorm', which were not measured again."
    ]
    assert not spectra_notes(board, ["batchnorm", "convnorm"])
