"""A third-party network is loaded as a row only if its state can be published."""

from pathlib import Path

import pytest
from support import Command

NETS = """
import torch
from torch import nn

class Masked(nn.Module):
    def __init__(self, mask):
        super().__init__()
        self.register_buffer("mask", mask)
        self.linear = nn.Linear(64, 10)
    def forward(self, x):
        mask = self.mask.dequantize() if self.mask.is_quantized else self.mask.to_dense()
        return self.linear(x.flatten(1) @ mask)

def sparse():
    return Masked(torch.eye(64).to_sparse())

def compressed():
    return Masked(torch.eye(64).to_sparse_csr())

def quantized():
    return Masked(torch.quantize_per_tensor(torch.eye(64), 0.1, 0, torch.qint8))

def unbounded():
    return Masked(torch.full((64, 64), torch.inf))
"""


@pytest.mark.filterwarnings("ignore:.*(CSR|quantiz).*:UserWarning")
@pytest.mark.parametrize(
    ("net", "sentence"),
    [
        ("sparse", "'mask' is a sparse tensor, which a safetensors file cannot hold"),
        ("compressed", "'mask' is a sparse tensor, which a safetensors file cannot hold"),
        ("quantized", "'mask' is a quantized tensor, which a safetensors file cannot hold"),
        ("unbounded", "'mask' is not a tensor of finite numbers"),
    ],
)
def test_a_value_that_cannot_be_published_is_refused_before_any_attack(
    net: str, sentence: str, robench: Command, tiny_board: Path, tmp_path: Path
) -> None:
    (tmp_path / "nets.py").write_text(NETS)
    done = robench(
        "submit", tiny_board, "--model", f"{tmp_path / 'nets.py'}:{net}", "--name", "mine",
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert done.code == 2
    assert done.err.startswith("robench: ")
    assert f":{net}: {sentence}" in done.err
    assert done.err.count("\n") == 1
    assert not (tmp_path / "out").exists()
