"""Which devices compute in bf16 faster than in float32."""

import pytest
import torch

from robench.system.devices import choose_device, has_bf16

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("capabilities", "has"),
    [
        ({"avx512_bf16": True}, True),
        ({"avx512_bf16": False, "amx_bf16": True}, True),
        ({"avx512_f": True, "avx512_bf16": False}, False),
        ({"neon": True}, False),
    ],
)
def test_a_processor_has_it_if_it_has_instructions_for_it(
    capabilities: dict[str, bool], has: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert has_bf16(CPU) is has


@pytest.mark.parametrize("has", [True, False])
def test_an_older_torch_is_asked_another_way(has: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has, raising=False)
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported", raising=False)
    assert has_bf16(CPU) is has


def test_other_devices_have_none() -> None:
    assert not has_bf16(torch.device("meta"))


@pytest.mark.parametrize(
    ("name", "rank", "taken"),
    [
        ("cuda", "1", [1]),
        ("cuda", "", []),  # no torchrun
        ("cuda:0", "1", []),  # one that is asked for
        ("cuda", "4", []),  # of which this process sees fewer
        ("cpu", "1", []),
    ],
)
def test_each_process_of_torchrun_takes_its_own_gpu(
    monkeypatch: pytest.MonkeyPatch, name: str, rank: str, taken: list[int]
) -> None:
    found: list[int] = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", found.append)
    monkeypatch.setattr(torch, "zeros", lambda *size, device: torch.tensor([0.0]))
    monkeypatch.setenv("LOCAL_RANK", rank)
    assert choose_device(name) == torch.device(name)
    assert found == taken
