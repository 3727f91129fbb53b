"""The code that came with a board: published, checked without running it, run only if trusted."""

import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest
from submitted import copied, sum_up
from support import TINY_BOARD, Command

from robench import registry
from robench.commands.run import run
from robench.errors import UserError
from robench.leaderboard import trust
from robench.leaderboard.bundle import joined, published_bundle
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.submission import check_submission, write_submission
from robench.leaderboard.submission.inspection import inspect_submission
from robench.leaderboard.trust import trusted_code
from robench.plugins import load_plugin, registrations_undone

TRAP = 'import pathlib\npathlib.Path(__file__).with_name("ran.txt").write_text("ran")\n'
DEFENSE = '''
    from dataclasses import dataclass

    from mylab.common import strength
    from robench import Defense, register_defense
    from torch import nn


    @register_defense("scaled")
    @dataclass(frozen=True)
    class Scaled(Defense):
        """Multiplies the weights once."""

        def replace_conv(self, conv: nn.Conv2d) -> nn.Module:
            conv.weight.data *= strength()
            return conv
'''
ATTACK = '''
    from dataclasses import dataclass

    from common import STRENGTH
    import torch
    from robench import Adversarial, Attack, register_attack


    @register_attack("brighten")
    @dataclass(frozen=True)
    class Brighten(Attack):
        """Adds a constant."""

        eps: float = 0.1
        norm: str = "linf"

        def perturb(self, model, images, labels, rngs):
            none = torch.zeros(len(images), dtype=torch.int64)
            return Adversarial((images + STRENGTH * self.eps).clamp(0, 1), none, none)
'''
BOARD = (
    TINY_BOARD.replace("epochs = 2", "epochs = 1")
    .replace('"fgsm", "pgd-2", "pgd-4", "simba(samples=6, max_steps=8)"', '"fgsm", "brighten"')
    .replace("pgd-4", "fgsm")
    .replace("samples = 60", "samples = 20")
    .replace('"batchnorm", "convnorm"', '"batchnorm", "scaled"')
)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a defense in a package and of an attack, and its submission; nothing stays loaded.

    Two neighbors have the same name.
    """
    root = tmp_path_factory.mktemp("work")
    for name, text in {
        "tiny.toml": BOARD,
        "code/mylab/__init__.py": TRAP,
        "code/mylab/common.py": TRAP + "from .inner import strength\n",
        "code/mylab/inner.py": "def strength() -> float:\n    return 0.5\n",
        "code/mylab/defenses/__init__.py": "",
        "code/mylab/defenses/my scaled.py": TRAP + dedent(DEFENSE),
        "attacks/common.py": "STRENGTH = 1.0\n",
        "attacks/brighten.py": TRAP + dedent(ATTACK),
        "attacks/json.py": "raise RuntimeError('executed')\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    with registrations_undone():
        load_plugin(root / "code/mylab/defenses/my scaled.py")
        load_plugin(root / "attacks/brighten.py")
        board = run(root / "tiny.toml", out=root / "out", device="cpu")
        write_submission(board, ["scaled"], root / "submission", [])
    return root


@pytest.fixture
def folder(work: Path, tmp_path: Path) -> Path:
    """A copy of the submission."""
    return copied(work / "submission", tmp_path / "submission")


@pytest.fixture(autouse=True)
def _nothing_gets_on_the_path_or_stays_registered() -> Iterator[None]:
    before, names = list(sys.path), set(registry.defenses) | set(registry.attacks)
    yield
    assert sys.path == before
    assert set(registry.defenses) | set(registry.attacks) == names


def executed(folder: Path) -> list[Path]:
    return [*folder.rglob("ran.txt"), *folder.rglob("__pycache__")]


def source(folder: Path, name: str) -> Path:
    [path] = (folder / "sources").rglob(name)
    return path


def test_the_code_of_every_entry_is_published_with_its_neighbors(work: Path) -> None:
    names = {p.relative_to(work / "submission/sources").parts[1:]
             for p in (work / "submission/sources").rglob("*.py")}  # fmt: skip
    assert names == {
        ("mylab", "__init__.py"),
        ("mylab", "common.py"),
        ("mylab", "inner.py"),
        ("mylab", "defenses", "__init__.py"),
        ("mylab", "defenses", "my_scaled.py"),
        ("brighten.py",),
        ("common.py",),
    }
    board = Leaderboard.read(work / "submission")
    assert [entry.entry for entry in board.sources] == ["attack brighten", "defense scaled"]
    assert str(work) not in (work / "submission/board.json").read_text()


def test_without_trust_nothing_is_executed_and_a_sentence_says_what_was_not_checked(
    robench: Command, folder: Path, tmp_path: Path
) -> None:
    for code, *command in (
        (3, "check-submission", folder),
        (3, "verify", folder, "--rows", "all"),
        (0, "page", folder, "--out", tmp_path / "page.html"),
        (0, "merge", folder, "--out", tmp_path / "merged"),
    ):
        done = robench(*command)
        assert done.code == code, (done.out, done.err)
        assert "was not run" in done.out
        assert "--trust-code" in done.out
    for command in (("list", "defenses"), ("export", folder)):
        robench(*command)
    assert not executed(folder)
    assert not executed(tmp_path / "merged")


def test_with_trust_every_figure_is_reproduced(folder: Path, robench: Command) -> None:
    done = check_submission(folder, trust_code=True)
    assert done.sound
    assert not done.notes
    assert set(done.figures["verdict"]) == {"reproduced"}
    assert len(done.figures) == 3
    assert executed(folder)
    for path in executed(folder):
        path.unlink()  # and no cached bytecode is left: the folder is still a submission
    inspect_submission(folder)
    assert robench("verify", folder, "--rows", "all", "--trust-code").code == 0


@pytest.mark.parametrize("sums", [False, True])
def test_code_other_than_that_of_the_figures_is_not_run_even_if_trusted(
    folder: Path, robench: Command, sums: bool
) -> None:
    for name in ("inner.py", "brighten.py"):
        changed = copied(folder, folder.with_name(f"changed {name}"))
        path = source(changed, name)
        path.write_text(path.read_text() + "\nX = 1\n")
        if sums:
            sum_up(changed)
            with pytest.raises(UserError, match=r"is not that which 'scaled', seed 0, was made"):
                check_submission(changed, trust_code=True)
        assert robench("verify", changed).code == 1
        assert robench("verify", changed, "--trust-code").code != 0
        assert robench("merge", changed, "--out", folder.with_name("m"), "--trust-code").code == 2
        assert not executed(changed)


@pytest.mark.parametrize("name", ["neighbor.py", "json.py", "neighbor.so", "__init__.pyc"])
def test_a_file_that_belongs_to_no_entry_is_refused(folder: Path, name: str) -> None:
    source(folder, "brighten.py").with_name(name).write_text(TRAP)
    for _ in range(2):
        with pytest.raises(UserError, match=r"does not belong|belongs to no entry|is not in"):
            check_submission(folder, trust_code=True)
        with (
            pytest.raises(UserError, match=r"is not as|belongs to no entry"),
            trusted_code(Leaderboard.read(folder), trust=True),
        ):
            pass
        sum_up(folder)
    assert not executed(folder)


def test_cached_bytecode_in_the_folder_of_a_board_is_not_executed(folder: Path) -> None:
    import py_compile

    path = source(folder, "brighten.py")
    text = path.read_text()
    path.write_text(TRAP.replace("ran.txt", "cached.txt"))
    py_compile.compile(str(path), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    path.write_text(text)
    with (
        pytest.raises(UserError, match="__pycache__"),
        trusted_code(Leaderboard.read(folder), trust=True),
    ):
        pass
    load_plugin_and_forget(path)
    assert not list(folder.rglob("cached.txt"))


def load_plugin_and_forget(path: Path) -> None:
    with registrations_undone():
        load_plugin(path)


def test_an_entry_with_a_name_of_robench_is_refused(folder: Path) -> None:
    board = folder / "board.json"
    board.write_text(board.read_text().replace('"attack brighten"', '"attack pgd"'))
    sum_up(folder)
    with pytest.raises(UserError, match="a name of robench's own"):
        check_submission(folder, trust_code=True)
    assert not executed(folder)


@pytest.mark.parametrize(
    "file", ["../../evil.py", "/e/evil.py", "a/../../evil.py", "evil", "a b/c.py"]
)
def test_a_path_out_of_the_folder_is_refused(folder: Path, file: str) -> None:
    board = folder / "board.json"
    name = source(folder, "brighten.py").relative_to(folder / "sources").as_posix()
    board.write_text(board.read_text().replace(name, file))
    sum_up(folder)
    with pytest.raises(UserError, match=r"sources\.0\.file"):
        check_submission(folder, trust_code=True)


def test_too_much_code_is_refused(folder: Path) -> None:
    beside = source(folder, "brighten.py").parent
    (beside / "common.py").write_text("#" * (2**20 + 1))
    with pytest.raises(UserError, match="at most 1048576 are allowed"):
        check_submission(folder)
    (beside / "common.py").write_text("")
    for index in range(200):
        (beside / f"x{index}.py").write_text("")
    with pytest.raises(UserError, match="more than 200 files of code"):
        check_submission(folder)


def test_one_s_own_copy_of_the_code_needs_no_trust(
    work: Path, folder: Path, robench: Command
) -> None:
    with registrations_undone():
        done = robench("check-submission", folder, "--plugin", work / "attacks/brighten.py",
                       "--plugin", work / "code/mylab/defenses/my scaled.py")  # fmt: skip
    assert done.code == 0, done.out
    assert done.out.count("reproduced") == 3
    assert not executed(folder)


def test_code_that_does_not_load_leaves_what_depends_on_it_unchecked(
    work: Path, tmp_path: Path
) -> None:
    board = copied(work / "out" / "tiny", tmp_path / "tiny")
    file = next((board / "sources").rglob("*scaled.py"))
    refused = UserError(f"{file} raises in line 7: FileNotFoundError")

    def load(path: Path) -> None:
        if path == file:
            raise refused
        load_plugin(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trust, "load_plugin", load)
        with trusted_code(Leaderboard.read(board), trust=True) as said:
            assert registry.attacks.knows("brighten")
            assert not registry.defenses.knows("scaled")
    assert "the code of the defense 'scaled' does not load, so what depends on it was not" in said
    assert str(refused) in said
    assert not registry.attacks.knows("brighten")


def test_code_that_is_missing_is_named_when_a_row_is_submitted(work: Path, tmp_path: Path) -> None:
    old = copied(work / "out" / "tiny", tmp_path / "tiny")  # as published before there was code
    text = (old / "board.json").read_text()
    start = text.index(',\n  "sources"')
    (old / "board.json").write_text(text[:start] + "\n}\n")
    for path in sorted((old / "sources").rglob("*.py")):
        path.unlink()
    sum_up(old)
    with pytest.raises(UserError, match="the code of the defense 'scaled' is not here"):
        write_submission(Leaderboard.read(old), ["scaled"], tmp_path / "s", [work / "out"])
    with pytest.raises(UserError, match="the code of the attack 'brighten' is not here"):
        write_submission(Leaderboard.read(old), ["batchnorm"], tmp_path / "s", [work / "out"])


def test_only_the_code_that_the_rows_need_is_submitted(work: Path, tmp_path: Path) -> None:
    board = Leaderboard.read(work / "out" / "tiny")
    write_submission(board, ["batchnorm"], tmp_path / "s", [])
    assert [e.entry for e in Leaderboard.read(tmp_path / "s").sources] == ["attack brighten"]


def test_entries_of_one_name_with_other_code_are_not_merged(folder: Path, work: Path) -> None:
    one = published_bundle(Leaderboard.read(work / "submission"))
    entry = one.entries[0].model_copy(update={"file": "brighten-00000000/brighten.py"})
    with pytest.raises(UserError, match="two boards have a attack 'brighten' with other code"):
        joined([one, type(one)((entry,), {})])


def test_the_file_of_the_board_is_published_and_must_be_the_board(
    work: Path, folder: Path, robench: Command
) -> None:
    from robench.board.loading import read_board

    with registrations_undone():
        load_plugin(work / "code/mylab/defenses/my scaled.py")
        load_plugin(work / "attacks/brighten.py")
        assert read_board(folder / "board.toml") == Leaderboard.read(folder).board
    text = (folder / "board.toml").read_text()
    for changed in (text.replace("samples = 20", "samples = 2000"), "a = " + "[" * 5000):
        (folder / "board.toml").write_text(changed)
        sum_up(folder)
        done = robench("check-submission", folder)
        assert done.code == 1
        assert "wrong: board.toml is not the board of board.json" in done.out
