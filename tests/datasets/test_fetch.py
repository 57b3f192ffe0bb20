"""A data set comes from the cache, a bundle or the net; only the right bytes count."""

from __future__ import annotations

import hashlib
import re
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from unstained import datasets
from unstained.datasets import registry
from unstained.errors import DataError, FileError, InputError, NetworkError

CONTENT = {"a.txt": b"first file", "deep/b.txt": b"second file"}


class Server:
    """Serves `content` over HTTP on this machine and notes what was asked for."""

    def __init__(self) -> None:
        self.content = dict(CONTENT)
        self.asked: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.lstrip("/")
                server.asked.append(path)
                body = server.content.get(path)
                self.send_response(200 if body is not None else 404)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *args: object) -> None: ...

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """A registry with the set ``tiny`` on a server of its own, an empty cache, no bundles."""
    server = Server()
    files = tuple(
        registry.DataFile(path, len(body), hashlib.sha256(body).hexdigest(), f"{server.url}/{path}")
        for path, body in CONTENT.items()
    )
    monkeypatch.setattr(registry, "_FACTS", {"tiny": ("two files", "CC0-1.0", "nobody")})
    monkeypatch.setattr(registry, "_files", lambda: {"tiny": files})
    monkeypatch.setenv("UNSTAINED_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("UNSTAINED_DATA", raising=False)
    yield server
    server.close()


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_fetch_downloads_each_file_once(server: Server) -> None:
    assert contents(datasets.fetch("tiny")) == CONTENT
    assert datasets.is_cached("tiny")
    datasets.fetch("tiny")
    assert server.asked == ["a.txt", "deep/b.txt"]


def test_a_broken_off_fetch_continues_where_it_stopped(server: Server) -> None:
    del server.content["deep/b.txt"]
    with pytest.raises(NetworkError, match=r"tiny/deep/b\.txt.*HTTPError.*UNSTAINED_DATA"):
        datasets.fetch("tiny")
    assert not datasets.is_cached("tiny")
    server.content = dict(CONTENT)
    server.asked.clear()
    assert contents(datasets.fetch("tiny")) == CONTENT
    assert server.asked == ["deep/b.txt"]


def test_progress_ends_at_the_size_of_the_set(server: Server) -> None:
    seen: list[tuple[int, int]] = []
    datasets.fetch("tiny", progress=lambda n, n_all: seen.append((n, n_all)))
    assert seen == [(0, 21), (10, 21), (21, 21)]  # "first file" has 10 bytes, "second file" 11
    seen.clear()
    datasets.fetch("tiny", progress=lambda n, n_all: seen.append((n, n_all)))
    assert seen == [(21, 21)]  # all at hand: nothing to do


def test_a_changed_file_is_refused_and_leaves_nothing(server: Server, tmp_path: Path) -> None:
    server.content["a.txt"] = b"first fake"
    with pytest.raises(NetworkError, match=r"tiny/a\.txt.*SHA-256"):
        datasets.fetch("tiny")
    assert contents(tmp_path / "cache") == {}


def test_a_spoiled_file_of_the_cache_is_fetched_again(server: Server) -> None:
    folder = datasets.fetch("tiny")
    (folder / "a.txt").write_bytes(b"first fail")
    assert contents(datasets.fetch("tiny")) == CONTENT


def test_without_network_one_line_says_what_to_do(server: Server) -> None:
    server.close()
    with pytest.raises(NetworkError) as caught:
        datasets.fetch("tiny")
    line = str(caught.value)
    assert "\n" not in line
    assert "put tiny.zip into a folder and name that folder in UNSTAINED_DATA" in line


def test_a_bundle_serves_where_there_is_no_network(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zipped = datasets.bundle("tiny", tmp_path / "bundles")
    assert zipped == tmp_path / "bundles" / "tiny.zip"
    server.asked.clear()
    # quotes that are set in the command prompt of Windows are part of the value
    monkeypatch.setenv("UNSTAINED_CACHE", f'"{tmp_path / "elsewhere"}"')
    monkeypatch.setenv("UNSTAINED_DATA", f'"{zipped.parent}"')
    folder = datasets.fetch("tiny")
    assert folder == tmp_path / "elsewhere" / "tiny"
    assert contents(folder) == CONTENT
    assert server.asked == []


def test_the_same_files_give_the_same_bundle(server: Server, tmp_path: Path) -> None:
    one = datasets.bundle("tiny", tmp_path / "one").read_bytes()
    (datasets.cache_dir() / "tiny" / "a.txt").touch()
    assert datasets.bundle("tiny", tmp_path / "two").read_bytes() == one


def make_bundle(folder: Path, members: dict[str, bytes]) -> None:
    folder.mkdir()
    with zipfile.ZipFile(folder / "tiny.zip", "w") as archive:
        for name, body in members.items():
            archive.writestr(name, body)


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"tiny/a.txt": CONTENT["a.txt"]}, r"tiny\.zip: has no tiny/deep/b\.txt"),
        ({"tiny/a.txt": b"first fake", "tiny/deep/b.txt": b""}, r"tiny\.zip: a\.txt is not the"),
    ],
)
def test_a_wrong_bundle_is_refused_by_name(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    members: dict[str, bytes],
    reason: str,
) -> None:
    make_bundle(tmp_path / "bundles", members)
    monkeypatch.setenv("UNSTAINED_DATA", str(tmp_path / "bundles"))
    with pytest.raises(DataError, match=reason):
        datasets.fetch("tiny")


def test_a_truncated_bundle_is_refused_by_name(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zipped = datasets.bundle("tiny", tmp_path / "bundles")
    zipped.write_bytes(zipped.read_bytes()[:100])
    monkeypatch.setenv("UNSTAINED_CACHE", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("UNSTAINED_DATA", str(zipped.parent))
    with pytest.raises(DataError, match=r"tiny\.zip: is damaged"):
        datasets.fetch("tiny")


@pytest.mark.parametrize(("flag", "method"), [(1, 0), (0, 99)])
def test_a_bundle_with_a_password_or_an_unknown_packing_is_refused_by_name(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flag: int, method: int
) -> None:
    make_bundle(tmp_path / "bundles", {f"tiny/{path}": body for path, body in CONTENT.items()})
    zipped = tmp_path / "bundles" / "tiny.zip"
    packed = bytearray(zipped.read_bytes())
    for start, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):  # flags, then method, of each entry
        for found in re.finditer(re.escape(start), bytes(packed)):
            packed[found.start() + at] = flag
            packed[found.start() + at + 2] = method
    zipped.write_bytes(packed)
    monkeypatch.setenv("UNSTAINED_DATA", str(zipped.parent))
    with pytest.raises(DataError, match=r"tiny\.zip: is damaged at a\.txt .*make the bundle again"):
        datasets.fetch("tiny")


def test_a_cache_that_cannot_be_made_is_named_with_its_variable(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_bundle(tmp_path / "bundles", {f"tiny/{path}": body for path, body in CONTENT.items()})
    monkeypatch.setenv("UNSTAINED_DATA", str(tmp_path / "bundles"))
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(FileError, match=r"tiny: cannot be made .*UNSTAINED_CACHE"):
        datasets.fetch("tiny")


def test_a_bundle_writes_nothing_outside_its_folder(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = {f"tiny/{path}": body for path, body in CONTENT.items()}
    make_bundle(tmp_path / "bundles", {**members, "../escaped.txt": b"x", "tiny/../up.txt": b"x"})
    monkeypatch.setenv("UNSTAINED_DATA", str(tmp_path / "bundles"))
    assert contents(datasets.fetch("tiny")) == CONTENT
    assert not list(tmp_path.rglob("escaped.txt")) + list(tmp_path.rglob("up.txt"))


def test_unstained_data_that_is_no_folder_is_said(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNSTAINED_DATA", str(tmp_path / "absent"))
    with pytest.raises(InputError, match=r"UNSTAINED_DATA names .*absent"):
        datasets.fetch("tiny")


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="no data set 'imaginary'; there are isl, mlcp, usiigaci"):
        datasets.info("imaginary")
