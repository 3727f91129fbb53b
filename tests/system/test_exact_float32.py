"""Float32 arithmetic that is float32, whatever a program has asked torch for."""

from collections.abc import Callable, Iterator
from operator import attrgetter

import pytest
import torch

from robench.system.exact_float32 import exact_float32

NEW = hasattr(torch.backends, "fp32_precision")


def settings() -> dict[str, object]:
    """Return what can be read: torch refuses to read some where others contradict them."""
    found: dict[str, object] = {"cudnn": torch.backends.cudnn.deterministic}
    if NEW:
        parts = {
            "matmul": torch.backends.cuda.matmul,
            "cudnn.conv": torch.backends.cudnn.conv, "cudnn.rnn": torch.backends.cudnn.rnn,
            "mkldnn.matmul": torch.backends.mkldnn.matmul,
            "mkldnn.conv": torch.backends.mkldnn.conv,
        }  # fmt: skip
        return found | {name: part.fp32_precision for name, part in parts.items()}
    return found | {"matmul": torch.backends.cuda.matmul.allow_tf32}


def by_the_new_name() -> None:
    torch.backends.fp32_precision = "tf32"


ASKED: dict[str, Callable[[], None]] = {
    "nothing": lambda: None,
    "high": lambda: torch.set_float32_matmul_precision("high"),
    "medium": lambda: torch.set_float32_matmul_precision("medium"),
    "tf32": by_the_new_name,
}


@pytest.fixture
def _restored() -> Iterator[None]:
    before = settings()
    yield
    torch.set_float32_matmul_precision("highest")
    if NEW:
        torch.backends.fp32_precision = "none"
        for part in ("cuda.matmul", "mkldnn.matmul", "mkldnn.conv"):
            attrgetter(part)(torch.backends).fp32_precision = "none"
        for part in ("cudnn.conv", "cudnn.rnn"):
            attrgetter(part)(torch.backends).fp32_precision = before[part]


@pytest.mark.usefixtures("_restored")
@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
def test_products_are_of_float32_inside_and_as_asked_for_after(ask: Callable[[], None]) -> None:
    if ask is by_the_new_name and not NEW:
        pytest.skip("this torch has no such setting")
    ask()
    before = settings()
    a, b = torch.randn(64, 64), torch.randn(64, 64)
    exact = (a.double() @ b.double()).float()
    with exact_float32():
        inside = settings()
        torch.testing.assert_close(a @ b, exact, atol=1e-4, rtol=0)
    assert inside["cudnn"] is True
    assert not {inside["matmul"], inside.get("mkldnn.matmul")} & {"tf32", "bf16", True}
    assert settings() == before


def test_an_error_inside_restores_the_settings() -> None:
    before = settings()
    with pytest.raises(ZeroDivisionError), exact_float32():
        1 / 0  # noqa: B018
    assert settings() == before
