"""``robench list``: the names of registered entries."""

from fnmatch import fnmatchcase

from robench.registry import attacks, defenses


def list_defenses(pattern: str = "*") -> list[str]:
    """Return the names of the registered defenses, sorted.

    Args:
        pattern: names to return, with the wildcards ``*`` and ``?``.

    Example:
        >>> list_defenses("oni*")
        ['oni', 'oni_paper']
    """
    return [name for name in defenses.names() if fnmatchcase(name, pattern)]


def list_attacks(pattern: str = "*") -> list[str]:
    """Return the names of the registered attacks, then those of third-party libraries.

    Args:
        pattern: names to return, with the wildcards ``*`` and ``?``.

    Example:
        >>> list_attacks("*:PGDL2")
        ['torchattacks:PGDL2']
    """
    names = [*attacks.names(), *attacks.library_names()]
    return [name for name in names if fnmatchcase(name, pattern)]
