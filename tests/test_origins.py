"""Where an entry comes from, whoever calls ``register`` for it."""

import linecache
from pathlib import Path

import pytest

from robench.base import TrainingMethod
from robench.leaderboard.bundle import bundle_of_entries
from robench.plugins import load_plugin
from robench.registry import training_methods
from robench.sources import source_hash

CLASS = """
class Scaled(TrainingMethod):
    \"\"\"Scales images.\"\"\"

    def train_minibatch(self, images, labels, update, *, logits, carried):
        update(images * SCALE, labels)
        return None
"""

DECORATOR = """
from dataclasses import dataclass
from robench import register_training_method

def entry(cls):
    return register_training_method(cls.__name__.lower())(dataclass(frozen=True)(cls))
"""

FACTORY = """
from robench import TrainingMethod, register_training_method

def make(name, scale):
    SCALE = scale
    @register_training_method(name)
{definition}
""".format(definition="\n".join(f"    {line}" for line in CLASS.strip().splitlines()))

DECORATED = f"from helper import entry\nfrom robench import TrainingMethod\n@entry{CLASS}".replace(
    "SCALE", "0.25"
)
MADE = "from helper import make\nmake('scaled', 0.25)\n"


@pytest.fixture(params=[(DECORATOR, DECORATED), (FACTORY, MADE)], ids=["decorator", "factory"])
def plugin(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A plugin that has an entry registered by its neighbor."""
    helper, text = request.param
    (tmp_path / "helper.py").write_text(helper)
    (tmp_path / "mine.py").write_text(text)
    return tmp_path / "mine.py"


def identity() -> str | None:
    return training_methods.source_identity("scaled")


def test_an_entry_that_a_neighbor_registers_comes_from_the_plugin(plugin: Path) -> None:
    load_plugin(plugin)
    assert training_methods.get("scaled").file == str(plugin)
    assert identity() == source_hash(plugin)


def test_an_edit_of_the_plugin_or_of_the_neighbor_makes_it_another_entry(plugin: Path) -> None:
    load_plugin(plugin)
    found = [identity()]
    for file in (plugin, plugin.with_name("helper.py")):
        file.write_text(file.read_text().replace("0.25", "0.5") + "\nx = 1\n")
        load_plugin(plugin)
        found.append(identity())
    assert len(set(found)) == 3


def test_what_is_published_is_what_was_hashed(plugin: Path, tmp_path: Path) -> None:
    load_plugin(plugin)
    bundle = bundle_of_entries([(training_methods, "scaled")])
    for name, content in bundle.files.items():
        path = tmp_path / "sources" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    [entry] = bundle.entries
    assert source_hash(tmp_path / "sources" / entry.file) == identity()


def test_a_neighbor_that_registers_its_own_class_is_where_that_comes_from(tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text(
        "from robench import TrainingMethod, register_training_method as register\n"
        f"@register('scaled'){CLASS}"
    )
    (tmp_path / "all_of_them.py").write_text("import own\n")
    load_plugin(tmp_path / "all_of_them.py")
    assert training_methods.get("scaled").file == str(own)
    assert identity() == source_hash(own)


def test_a_class_that_is_not_beside_the_plugin_counts_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere" / "methods_from_elsewhere.py"
    elsewhere.parent.mkdir()
    elsewhere.write_text(f"from robench import TrainingMethod{CLASS}")
    monkeypatch.syspath_prepend(str(elsewhere.parent))
    plugin = tmp_path / "plugins" / "mine.py"
    plugin.parent.mkdir()
    plugin.write_text(
        "from robench import register_training_method\n"
        "from methods_from_elsewhere import Scaled\n"
        "register_training_method('scaled')(Scaled)\n"
    )
    load_plugin(plugin)
    before = identity()
    assert training_methods.get("scaled").file == str(plugin)
    elsewhere.write_text(elsewhere.read_text().replace("SCALE", "0.5"))
    load_plugin(plugin)  # it is not executed again: it has not changed, and neither has memory
    assert identity() == before
    training_methods.forget(plugin)
    exec(compile(plugin.read_text(), str(plugin), "exec"), {"__name__": "again"})
    assert identity() != before


def test_a_class_of_robench_does_not_count(tmp_path: Path) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "from robench import register_training_method\n"
        "from robench.training.methods.standard import StandardTraining\n"
        "register_training_method('scaled')(StandardTraining)\n"
    )
    load_plugin(plugin)
    assert identity() == source_hash(plugin)


def test_a_function_of_an_earlier_cell_and_the_cell_that_calls_it_both_count() -> None:
    cells = [FACTORY, "make('scaled', 0.25)\n"]
    found = set()
    for old, new in [("0.25", "0.25"), ("0.25", "0.5"), ("images *", "images /")]:
        names: dict[str, object] = {"__name__": "__main__"}
        for cell in cells:
            text, name = cell.replace(old, new), f"<ipython-input-{len(linecache.cache)}>"
            linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
            exec(compile(text, name, "exec"), names)
        found.add(identity())
    assert len(found) == 3


def test_what_a_function_registers_comes_from_its_file_and_not_from_what_runs_it() -> None:
    @training_methods.register("scaled")
    class Scaled(TrainingMethod):
        """Does nothing."""

    assert training_methods.get("scaled").file == str(Path(__file__).resolve())
    assert identity() == source_hash(Path(__file__))
    assert training_methods.get("scaled").build is Scaled
