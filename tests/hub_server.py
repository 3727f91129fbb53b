"""A small Hugging Face hub on this machine: what its client asks of it, kept in memory.

It speaks the endpoints of repositories of models: their state, files by ``resolve``, trees,
creation, preupload and commits as ndjson; and those of data sets that read. Files are regular ones,
without Git LFS or Xet.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_of_the_tests"
_REPO = r"((?:models|datasets)/[^/]+/[^/]+)"


def blob_of(content: bytes) -> str:
    """Return the hash by which git knows a content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass
class Hub:
    """The repositories: name -> commits, the newest last, each with all files.

    That of a data set is named ``datasets/ORG/NAME``; ``asked`` has the paths that were got.
    """

    url: str = ""
    asked: list[str] = field(default_factory=list)
    repos: dict[str, list[tuple[str, dict[str, bytes]]]] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def add(self, repo: str, files: dict[str, bytes]) -> str:
        """Commit files on top of what a repository has; return the hash of the commit."""
        commits = self.repos.setdefault(repo, [])
        files = {**(commits[-1][1] if commits else {}), **files}
        text = f"{len(commits)} {sorted((k, blob_of(v)) for k, v in files.items())}"
        commit = hashlib.sha1(text.encode()).hexdigest()
        commits.append((commit, files))
        return commit

    def at(self, repo: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """Return the commit that a revision names, and its files."""
        commits = self.repos[repo]
        if revision == "main":
            return commits[-1]
        return next((commit for commit in commits if commit[0] == revision), None)


@contextmanager
def running_hub() -> Iterator[Hub]:
    """Yield a hub that listens on a free port of this machine."""
    hub = Hub()

    class Handler(_Handler):
        pass

    Handler.hub = hub
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hub.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._file(body=False)

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(path)
        if found := re.fullmatch(rf"/api/{_REPO}(?:/revision/(.+))?", path):
            self._info(found[1].removeprefix("models/"), found[2] or "main")
        elif found := re.fullmatch(rf"/api/{_REPO}/tree/([^/]+)", path):
            self._tree(found[1].removeprefix("models/"), found[2])
        else:
            self._file(body=True)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = unquote(urlsplit(self.path).path)
        if path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._error(401, "Unauthorized", "Invalid credentials in Authorization header")
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/preupload/main", path):
            self._preupload(found[1], json.loads(body))
        elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/main", path):
            self._commit(found[1], [json.loads(line) for line in body.splitlines()])
        else:
            self._error(404, "NotFound")

    def _found(self, repo: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """Return a commit and its files, or answer that there is none."""
        if repo not in self.hub.repos:
            self._error(401, "RepoNotFound")
            return None
        if (commit := self.hub.at(repo, revision)) is None:
            self._error(404, "RevisionNotFound")
        return commit

    def _info(self, repo: str, revision: str) -> None:
        if found := self._found(repo, revision):
            commit, files = found
            siblings = [{"rfilename": name} for name in files]
            self._json({"id": repo, "sha": commit, "private": False, "siblings": siblings})

    def _tree(self, repo: str, revision: str) -> None:
        if found := self._found(repo, revision):
            entries = [
                {"type": "file", "path": name, "size": len(content), "oid": blob_of(content)}
                for name, content in found[1].items()
            ]
            self._json(entries)

    def _file(self, *, body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        asked = re.fullmatch(r"/((?:datasets/)?[^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        found = self._found(asked[1], asked[2]) if asked else None
        if asked is None:
            self._error(404, "NotFound")
        elif found is not None and asked[3] not in found[1]:
            self._error(404, "EntryNotFound", commit=found[0])
        elif found is not None:
            content = found[1][asked[3]]
            headers = {"X-Repo-Commit": found[0], "ETag": f'"{blob_of(content)}"'}
            self._answer(200, content, headers, body=body)

    def _create(self, asked: dict[str, Any]) -> None:
        repo = f"{asked['organization']}/{asked['name']}"
        if repo in self.hub.repos:
            self._error(409, "Conflict")
            return
        self.hub.add(repo, {".gitattributes": b"*.safetensors filter=lfs\n"})
        self._json({"url": f"{self.hub.url}/{repo}", "id": repo, "name": repo})

    def _preupload(self, repo: str, asked: dict[str, Any]) -> None:
        if found := self._found(repo, "main"):
            held = {name: blob_of(content) for name, content in found[1].items()}
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False,
                 "oid": held.get(file["path"])}
                for file in asked["files"]
            ]  # fmt: skip
            self._json({"files": files})

    def _commit(self, repo: str, lines: list[dict[str, Any]]) -> None:
        found = self._found(repo, "main")
        if found is None:
            return
        head = lines[0]["value"]
        if head.get("parentCommit", found[0]) != found[0]:
            self._error(412, "PreconditionFailed")
            return
        files = [line["value"] for line in lines[1:] if line["key"] == "file"]
        made = {file["path"]: base64.b64decode(file["content"]) for file in files}
        commit = self.hub.add(repo, made)
        self.hub.messages.append(head["summary"])
        self._json({"commitUrl": f"{self.hub.url}/{repo}/commit/{commit}", "commitOid": commit})

    def _json(self, value: Any) -> None:
        self._answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _error(self, status: int, code: str, message: str = "", commit: str = "") -> None:
        headers = {"X-Error-Code": code, "X-Error-Message": message or code}
        if commit:
            headers["X-Repo-Commit"] = commit
        body = json.dumps({"error": message or code}).encode()
        self._answer(status, body, headers, body=self.command != "HEAD")

    def _answer(
        self, status: int, content: bytes, headers: dict[str, str], *, body: bool = True
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)
