"""List the sources of the suite's entries after an edit: ``python tests/record_sources.py``.

Without arguments it prints the entries whose sources are not the listed ones. With ``same`` their
results are what they were, so that stored ones are found again; with ``changed`` they are other
results under the same name, which are computed anew. Names of entries restrict it to these.
"""

import argparse
import json

from robench.registry import REGISTRIES, Registry
from robench.shipped import FILE, Sources, shipped_sources


def suite_sources() -> dict[str, dict[str, str]]:
    """Return kind -> name -> hash of the entries and adapted libraries in the suite's folders."""
    found: dict[str, dict[str, str]] = {}
    for registry in REGISTRIES:
        registry.discover()
        own = {n: e.source for n, e in registry._entries.items() if _of_suite(registry, e.build)}
        found[registry.kind] = dict(sorted((own | registry._sources).items()))
    return found


def unlisted() -> list[tuple[str, str, str]]:
    """Return kind, name and hash of the listed entries whose sources are not listed."""
    listed = shipped_sources()
    return [
        (kind, name, source)
        for kind, entries in suite_sources().items()
        for name, source in entries.items()
        if name in listed.get(kind, {}) and source not in listed[kind][name]
    ]


def listed_as(known: dict[str, str | None], source: str, same: bool) -> dict[str, str | None]:
    """Return the sources of an entry with one more, of the last meaning or of a new one."""
    identity = list(known.values())[-1] if same and known else source
    return {**known, source: identity}


def _of_suite(registry: Registry, build: object) -> bool:
    module = str(getattr(build, "__module__", ""))
    return module.startswith(f"{registry._source}.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("meaning", nargs="?", choices=["same", "changed"])
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    sources: Sources = json.loads(FILE.read_text())
    for kind, name, source in unlisted():
        if arguments.names and name not in arguments.names:
            continue
        if arguments.meaning:
            same = arguments.meaning == "same"
            sources[kind][name] = listed_as(sources[kind][name], source, same)
        print(f"{kind} {name}: {source[:16]} {arguments.meaning or 'is not listed'}")
    if arguments.meaning:
        FILE.write_text(json.dumps(sources, indent=1) + "\n")


if __name__ == "__main__":
    main()
