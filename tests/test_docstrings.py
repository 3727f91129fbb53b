"""The examples in the docstrings of public names are true."""

import doctest
import inspect

import pytest

import robench

FINDER = doctest.DocTestFinder(exclude_empty=True, recurse=False)
EXAMPLES = {
    name: tests[0]
    for name in robench.__all__
    if (tests := FINDER.find(getattr(robench, name), name)) and tests[0].examples
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_is_true(name: str) -> None:
    failed, _ = doctest.DocTestRunner(verbose=False).run(EXAMPLES[name])
    assert not failed


def test_every_public_docstring_begins_with_a_sentence() -> None:
    for name in robench.__all__:
        public = getattr(robench, name)
        if not (inspect.isclass(public) or inspect.isfunction(public)):
            continue
        assert public.__doc__, name
        first = public.__doc__.strip().split("\n\n", 1)[0].rstrip()
        assert first.endswith("."), (name, first)
        assert "?" not in first, (name, first)
