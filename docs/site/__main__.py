"""``python -m docs.site``: assemble the pages and build the site, strictly."""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from docs.site.assemble import assemble
from docs.site.pages import ROOT


def main() -> None:
    """Assemble and build; the exit code is that of Zensical, 1 if a link or an anchor is broken."""
    parser = argparse.ArgumentParser(prog="python -m docs.site", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "docs", help="folder to fill")
    parser.add_argument(
        "--repository",
        default=_repository_of_the_workflow(),
        help="URL of the repository on GitHub; by default, that of the workflow which runs this",
    )
    options = parser.parse_args()
    out = options.out.resolve()
    shutil.rmtree(out, ignore_errors=True)
    assemble(out, options.repository)
    # Zensical resolves what it reads, such as the extension of griffe, from the folder it runs in.
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    built = subprocess.run([*command, "-f", str(out / "zensical.toml")], cwd=ROOT, check=False)
    if built.returncode == 0:
        print(f"look at it: python -m http.server --directory {out / 'site'}")
    sys.exit(built.returncode)


def _repository_of_the_workflow() -> str:
    """Return the URL that GitHub tells its workflows, or "" elsewhere."""
    name = os.environ.get("GITHUB_REPOSITORY", "")
    return f"{os.environ.get('GITHUB_SERVER_URL', 'https://github.com')}/{name}" if name else ""


main()
