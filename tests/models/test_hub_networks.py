"""``hf:ORG/NAME``: which repositories are loaded, from which commit, and what is refused."""

import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hub_server import Hub
from torch import nn

import robench as package
from robench.board.board import Board
from robench.data import load_dataset
from robench.errors import UserError
from robench.models.external import ExternalOptions, build_external, load_external
from robench.models.normalization import Normalization
from robench.runs.external_row import load_own, rebuild

NAME = "hf:me/net"
CONFIG = {
    "architecture": "tiny_net",
    "num_classes": 10,
    "num_features": 64,
    "model_args": {"global_pool": "avg"},
    "pretrained_cfg": {"mean": [0.25], "std": [0.5], "input_size": [1, 8, 8]},
}


@pytest.fixture
def timm(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """A stand-in for timm with one model; the options that it was built with."""
    module, data = types.ModuleType("timm"), types.ModuleType("timm.data")
    built: list[dict[str, Any]] = []

    def create_model(name: str, **options: Any) -> nn.Module:
        built.append({"name": name, **options})
        return nn.Sequential(nn.Flatten(), nn.Linear(64, options["num_classes"]))

    default = {"mean": (0.5,), "std": (0.25,)}
    vars(module).update(list_models=lambda: ["tiny_net"], create_model=create_model)
    vars(data).update(resolve_model_data_config=lambda model: default)
    monkeypatch.setitem(sys.modules, "timm", module)
    monkeypatch.setitem(sys.modules, "timm.data", data)
    return built


def timm_files(config: Any = CONFIG) -> dict[str, bytes]:
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    weights = safetensors.torch.save(dict(net.state_dict()))
    return {"config.json": json.dumps(config).encode(), "model.safetensors": weights}


def test_a_timm_repository_is_built_by_timm_with_its_own_mean_and_std(
    hub: Hub, timm: list[dict[str, Any]]
) -> None:
    files = timm_files()
    commit = hub.add("me/net", files)
    found = load_external(NAME)
    state = safetensors.torch.load(files["model.safetensors"])
    images = torch.rand(3, 1, 8, 8)
    logits = ((images - 0.25) / 0.5).flatten(1) @ state["1.weight"].T + state["1.bias"]
    assert torch.allclose(found.module(images), logits, atol=1e-6)
    assert (found.origin, found.module.training) == (f"{NAME}@{commit}", False)
    assert timm == [{"name": "tiny_net", "pretrained": False, "global_pool": "avg",
                     "in_chans": 1, "num_classes": 10}]  # fmt: skip
    assert found.notes[0] == f"{NAME}@{commit}: a timm model, tiny_net."
    assert "mean 0.25 and std 0.5" in found.notes[1]


def test_a_user_s_mean_and_std_replace_those_of_the_repository(
    hub: Hub, timm: list[dict[str, Any]]
) -> None:
    hub.add("me/net", timm_files())
    given = Normalization((0.1,), (0.2,))
    assert load_external(NAME, None, ExternalOptions(given)).normalization == given


def test_the_files_of_old_versions_of_timm_have_the_values_at_the_top(
    hub: Hub, timm: list[dict[str, Any]]
) -> None:
    hub.add("me/net", timm_files({"architecture": "tiny_net", **CONFIG["pretrained_cfg"],  # type: ignore[dict-item]
                                  "num_classes": 10}))  # fmt: skip
    assert load_external(NAME).normalization.mean == (0.25,)


def test_mean_and_std_of_three_channels_are_averaged_for_gray_images(
    hub: Hub, timm: list[dict[str, Any]]
) -> None:
    color = {"mean": [0.4, 0.5, 0.6], "std": [0.1, 0.2, 0.3], "input_size": [1, 8, 8]}
    hub.add("me/net", timm_files({**CONFIG, "pretrained_cfg": color}))
    assert load_external(NAME).normalization.mean == pytest.approx((0.5,))


def test_a_revision_is_a_branch_or_a_commit(hub: Hub, timm: list[dict[str, Any]]) -> None:
    first = hub.add("me/net", timm_files())
    second = hub.add("me/net", timm_files())
    asked = {revision: load_external(f"{NAME}@{revision}").origin for revision in (first, "main")}
    assert asked == {first: f"{NAME}@{first}", "main": f"{NAME}@{second}"}


def test_a_published_specification_names_commit_and_architecture_and_needs_no_hub(
    hub: Hub, timm: list[dict[str, Any]], tmp_path: Path
) -> None:
    commit = hub.add("me/net", timm_files())
    digits, board = load_dataset("digits"), Board(title="t", defenses=("vanilla",))
    cell, external, content = load_own(NAME, None, board, digits)
    assert cell.origin == f"{NAME}@{commit}"
    assert cell.architecture == "timm:tiny_net(global_pool='avg', in_chans=1, num_classes=10)"
    assert (cell.mean, cell.std) == ((0.25,), (0.5,))
    hub.repos.clear()
    (tmp_path / "w.safetensors").write_bytes(content)
    again = rebuild(cell, tmp_path / "w.safetensors", tmp_path, digits)
    images = torch.rand(2, 1, 8, 8)
    assert torch.equal(again(images), external.module(images))


def test_a_published_network_whose_modules_have_versions_is_loaded(
    hub: Hub, tmp_path: Path
) -> None:
    """``mnasnet`` refuses weights of no version, and safetensors has none."""
    from robench.models.hub_networks import HubDescription

    name = "torchvision:mnasnet0_5(num_classes=10)"
    torch.save(build_external(name).get_submodule("net").state_dict(), tmp_path / "w.pt")
    board, digits = Board(title="t", defenses=("vanilla",)), load_dataset("digits")
    cell, external, content = load_own(name, tmp_path / "w.pt", board, digits)
    said = HubDescription(
        board="t", row="net", dataset="digits", cell=cell, weights_hash=cell.weights_hash
    )
    described = said.model_dump_json().encode()
    hub.add("me/net", {"robench.json": described, "weights.safetensors": content})
    images = torch.rand(2, 1, 8, 8)
    assert torch.equal(load_external(NAME).module(images), external.module(images))


def test_what_was_fetched_is_found_without_the_hub(
    hub: Hub, timm: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = hub.add("me/net", timm_files())
    load_external(NAME)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert load_external(NAME).origin == f"{NAME}@{commit}"
    with pytest.raises(
        UserError, match=r"HF_HUB_OFFLINE is set, .*, and hf:me/other is not in the cache"
    ):
        load_external("hf:me/other")


REFUSED: dict[str, tuple[dict[str, bytes], str]] = {
    "a pickle": (
        {"config.json": timm_files()["config.json"], "pytorch_model.bin": b"\x80"},
        r"only as a pickle \(pytorch_model.bin\), which can execute code",
    ),
    "no weights": ({"config.json": timm_files()["config.json"]}, "has no model.safetensors"),
    "nothing": ({"README.md": b"x"}, "has neither robench.json"),
    "transformers": (timm_files({"architectures": ["Bert"]}), "names no architecture of timm"),
    "another architecture": (
        timm_files({**CONFIG, "architecture": "tiny_ne"}),
        "timm has no model 'tiny_ne'; did you mean 'tiny_net'",
    ),
    "an option that loads": (
        timm_files({**CONFIG, "model_args": {"checkpoint_path": "/etc/passwd"}}),
        "the option 'checkpoint_path' is not accepted",
    ),
    "a huge option": (
        timm_files({**CONFIG, "model_args": {"width": 10**9}}), "'width' is not accepted",
    ),
    "a list": (timm_files([1]), "names no architecture of timm"),
    "damage": ({**timm_files(), "model.safetensors": b"no"}, "not a complete safetensors file"),
    "a description of nothing": ({"robench.json": b"{}"}, r"robench.json of hf:me/net@\w+: "),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_network_is_refused(hub: Hub, timm: list[dict[str, Any]], case: str) -> None:
    files, sentence = REFUSED[case]
    hub.add("me/net", files)
    with pytest.raises(UserError, match=sentence):
        load_external(NAME)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("hf:net", "write hf:ORG/NAME"),
        ("hf:me/net@../x", "write hf:ORG/NAME"),
        ("hf:me/absent", "the hub has no model repository me/absent, or it is private"),
        ("hf:me/net@gone", "me/net has no branch, tag or commit 'gone'"),
    ],
)
def test_a_wrong_name_is_one_sentence(hub: Hub, name: str, sentence: str) -> None:
    hub.add("me/net", timm_files())
    with pytest.raises(UserError, match=sentence):
        load_external(name)


def test_a_network_of_the_hub_comes_with_its_weights(tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    with pytest.raises(UserError, match="leave out --checkpoint"):
        load_external(NAME, tmp_path / "w.pt")


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files that ``robench push`` would send of a row of quick."""
    pytest.importorskip("huggingface_hub")
    from robench.leaderboard.hub_folder import repository_files
    from robench.leaderboard.named import network_of

    quick = Path(package.__file__).resolve().parents[1] / "leaderboards" / "quick"
    files = repository_files(network_of(f"{quick}/batchnorm"), "me/net")
    return {name: c if isinstance(c, bytes) else c.read_bytes() for name, c in files.items()}


def test_weights_that_were_changed_after_the_push_are_refused(
    hub: Hub, pushed: dict[str, bytes]
) -> None:
    weights = bytearray(pushed["weights.safetensors"])
    weights[-1] ^= 1
    hub.add("me/net", {**pushed, "weights.safetensors": bytes(weights)})
    with pytest.raises(UserError, match=r"is not the file that its robench.json describes"):
        load_external(NAME)


def test_a_description_of_another_network_is_refused(hub: Hub, pushed: dict[str, bytes]) -> None:
    said = json.loads(pushed["robench.json"])
    said["network"]["mean"] = [0.9]
    hub.add("me/net", {**pushed, "robench.json": json.dumps(said).encode()})
    with pytest.raises(UserError, match="another network than the header of its weights"):
        load_external(NAME)


def test_the_mean_and_std_of_a_robench_network_are_its_own(
    hub: Hub, pushed: dict[str, bytes]
) -> None:
    hub.add("me/net", pushed)
    with pytest.raises(UserError, match="leave out --normalize"):
        load_external(NAME, None, ExternalOptions(Normalization((0.5,), (0.5,))))
    digits, board = load_dataset("digits"), Board(title="t", defenses=("vanilla",))
    with pytest.raises(UserError, match=r"robench submit LEADERBOARD --rows ROW"):
        load_own(NAME, None, board, digits)
