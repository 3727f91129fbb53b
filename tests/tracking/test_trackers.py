"""What --log may name, and what each tracker does with a run."""

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from robench.errors import UserError
from robench.tracking.tracker import TrackedRun
from robench.tracking.trackers import trackers_for

RUN = TrackedRun("tiny", "batchnorm", 0, "batchnorm-seed0", {"training.epochs": 2})


def test_several_may_be_named_with_commas_or_one_by_one(tmp_path: Path) -> None:
    assert [t.name for t in trackers_for(["csv,csv", "csv"], tmp_path)] == ["csv"]


def test_a_wrong_name_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--log tensorbord: .*did you mean 'tensorboard'"):
        trackers_for(["tensorbord"], tmp_path)


@pytest.mark.parametrize(
    ("name", "module"),
    [("wandb", "wandb"), ("mlflow", "mlflow"), ("tensorboard", "torch.utils.tensorboard")],
)
def test_a_missing_package_is_refused_with_its_extra(
    name: str, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, f"robench.tracking.{name}_runs", raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=rf"pip install 'robench\[{name}\]'"):
        trackers_for([name], tmp_path)


def test_csv_has_a_line_per_epoch_and_is_written_anew_when_it_is_opened_again(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "tiny" / RUN.slug
    for _ in range(2):
        [tracker] = trackers_for(["csv"], tmp_path)
        run, _ = tracker.open(RUN, folder, "")
        assert run.logged_epochs == 0
        run.log_hyperparams(RUN.hyperparameters)
        run.log_metrics({"train_loss": 2.0}, 1)
        run.log_metrics({"train_loss": 1.0}, 2)
        run.log_result({"accuracy/pgd-4": 0.25}, 2)
        run.log_text("checks", "- steps: passed.")
        run.finalize("success")
    table = pd.read_csv(folder / "metrics.csv")
    assert table["train_loss"].dropna().tolist() == [2.0, 1.0]
    assert table["accuracy/pgd-4"].dropna().tolist() == [0.25]
    assert json.loads((folder / "hparams.json").read_text()) == {"training.epochs": 2}
    assert (folder / "checks.md").read_text() == "- steps: passed.\n"


def test_tensorboard_has_curves_pictures_and_hyperparameters(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = tmp_path / "tiny" / RUN.slug
    Image.new("L", (4, 4)).save(tmp_path / "images.png")
    for _ in range(2):
        [tracker] = trackers_for(["tensorboard"], tmp_path)
        run, _ = tracker.open(RUN, folder, "")
        run.log_hyperparams(RUN.hyperparameters)
        run.log_metrics({"train_loss": 2.0}, 1)
        run.log_metrics({"train_loss": 1.0}, 2)
        run.log_result({"accuracy/pgd-4": 0.25}, 2)
        run.log_picture("images", tmp_path / "images.png", 2)
        run.finalize("success")
    found = EventAccumulator(str(folder))
    found.Reload()
    assert [(p.step, p.value) for p in found.Scalars("train_loss")] == [(1, 2.0), (2, 1.0)]
    assert [p.value for p in found.Scalars("accuracy/pgd-4")] == [0.25]
    assert len(found.Images("images")) == 1
    assert "_hparams_/session_start_info" in found.PluginTagToContent("hparams")


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module with what is used of wandb; it keeps its runs."""

    class Settings(SimpleNamespace):
        model_fields = ("console", "finish_timeout")

    class Run(SimpleNamespace):
        def log(self, values: dict[str, Any], step: int | None = None) -> None:
            self.logged.append((step, values))

        def define_metric(self, name: str, step_metric: str) -> None:
            self.axes[name] = step_metric

        def finish(self, exit_code: int) -> None:
            self.exit_code = exit_code

    module: Any = ModuleType("wandb")
    module.Settings, module.Image, module.login = Settings, str, lambda: None
    module.made = []

    class Config(dict[str, Any]):
        def update(self, values: Any, allow_val_change: bool) -> None:  # type: ignore[override]
            super().update(values)

    def init(**how: Any) -> Run:
        known = [run for run in module.made if run.how["id"] == how["id"]]
        step = 1 + max((s or 0 for run in known for s, _ in run.logged), default=-1)
        run = Run(how=how, logged=[], summary={}, config=Config(), starting_step=step, axes={})
        module.made.append(run)
        return run

    module.init = init
    monkeypatch.setitem(sys.modules, "wandb", module)
    monkeypatch.delitem(sys.modules, "robench.tracking.wandb_runs", raising=False)
    return module


def test_wandb_resumes_a_run_where_its_server_has_it(wandb: Any, tmp_path: Path) -> None:
    [tracker] = trackers_for(["wandb"], tmp_path)
    tracker.begin()
    run, identity = tracker.open(RUN, tmp_path / "run", "")
    assert run.logged_epochs == 0
    run.log_hyperparams(RUN.hyperparameters)
    run.log_metrics({"train_loss": 2.0}, 1)
    run.finalize("aborted")
    again, same = tracker.open(RUN, tmp_path / "run", identity)
    assert (again.logged_epochs, same) == (1, identity)
    again.log_metrics({"train_loss": 1.0}, 2)
    again.log_result({"accuracy/pgd-4": 0.25}, 2)
    again.log_text("checks", "- steps: passed.")
    again.finalize("success")
    first, second = wandb.made
    assert first.how["name"] == "tiny, batchnorm, seed 0"
    assert first.how["group"] == "tiny"
    assert first.how["project"] == "robench"
    assert first.config == {"training.epochs": 2}
    assert (first.exit_code, second.exit_code) == (1, 0)
    assert second.logged == [(2, {"train_loss": 1.0})]
    assert second.summary == {"accuracy/pgd-4": 0.25, "checks": "- steps: passed."}


def test_wandb_has_figures_of_earlier_steps_against_an_axis_of_their_own(
    wandb: Any, tmp_path: Path
) -> None:
    [tracker] = trackers_for(["wandb"], tmp_path)
    run, _ = tracker.open(RUN, tmp_path / "run", "")
    run.log_metrics({"generator_loss": 2.0}, 4)
    run.log_earlier({"fid": 30.0}, 2)
    run.log_result({"fid": 20.0, "fid_test": 25.0}, 4)
    [made] = wandb.made
    assert made.axes == {"fid": "measured_step"}
    assert made.logged[1:] == [
        (None, {"fid": 30.0, "measured_step": 2}),
        (None, {"fid": 20.0, "measured_step": 4}),
    ]
    assert made.summary == {"fid": 20.0, "fid_test": 25.0}


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module with what is used of MLflow: one store, whatever client asks."""

    class MlflowClient:
        def __init__(self, uri: str) -> None:
            module.uri = uri

        def get_experiment_by_name(self, name: str) -> Any:
            known = name in module.experiments
            return SimpleNamespace(experiment_id=name) if known else None

        def create_experiment(self, name: str, artifact_location: str | None) -> str:
            module.experiments[name] = artifact_location
            return name

        def create_run(self, experiment: str, tags: dict[str, str], run_name: str) -> Any:
            module.names.append((experiment, run_name))
            return SimpleNamespace(info=SimpleNamespace(run_id="run 1"))

        def update_run(self, run: str, status: str) -> None:
            module.states.append(status)

        set_terminated = update_run

        def get_metric_history(self, run: str, key: str) -> Any:
            return [metric for metric in module.metrics if metric.key == key]

        def log_batch(self, run: str, metrics: Any = (), params: Any = ()) -> None:
            module.metrics += metrics
            module.params += params

    module: Any = ModuleType("mlflow")
    module.MlflowClient = MlflowClient
    module.experiments, module.names, module.states = {}, [], []
    module.metrics, module.params = [], []
    entities: Any = ModuleType("mlflow.entities")
    entities.Metric = lambda key, value, _, step: SimpleNamespace(key=key, value=value, step=step)
    entities.Param = lambda key, value: (key, value)
    monkeypatch.setitem(sys.modules, "mlflow", module)
    monkeypatch.setitem(sys.modules, "mlflow.entities", entities)
    monkeypatch.delitem(sys.modules, "robench.tracking.mlflow_runs", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return module


def test_mlflow_resumes_a_run_after_its_last_epoch(mlflow: Any, tmp_path: Path) -> None:
    [tracker] = trackers_for(["mlflow"], tmp_path)
    tracker.begin()
    assert mlflow.uri == f"sqlite:///{tmp_path / 'mlflow' / 'mlflow.db'}"
    run, identity = tracker.open(RUN, tmp_path / "run", "")
    run.log_hyperparams(RUN.hyperparameters)
    run.log_metrics({"train_loss": 2.0}, 1)
    run.finalize("aborted")
    again, same = tracker.open(RUN, tmp_path / "run", identity)
    assert (again.logged_epochs, same) == (1, identity)
    again.log_hyperparams({"training.epochs": 3})  # MLflow refuses another value
    again.log_result({"accuracy/pgd(eps=8/255)": 0.25}, 2)
    again.finalize("success")
    assert mlflow.names == [("tiny", "tiny, batchnorm, seed 0")]
    assert mlflow.params == [("training.epochs", "2")]
    assert mlflow.states == ["KILLED", "RUNNING", "FINISHED"]
    assert mlflow.metrics[-1].key == "accuracy/pgd_eps_8/255_"


def test_mlflow_goes_to_the_server_of_its_variable(
    mlflow: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example")
    [tracker] = trackers_for(["mlflow"], tmp_path)
    tracker.begin()
    tracker.open(RUN, tmp_path / "run", "")
    assert mlflow.uri == tracker.target == "http://mlflow.example"
    assert mlflow.experiments == {"tiny": None}  # pictures go where the server says
