import errno
import fcntl
import hashlib
import os
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from modelstitch.data.sources import download
from modelstitch.data.sources.download import Archive
from modelstitch.errors import ModelstitchError
from tests.checkout import ROOT

BODY = bytes(range(256)) * 12_000  # 3 MB, so that it arrives in several chunks
MD5 = hashlib.md5(BODY).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves one body; notes each request's Range header and how many bytes were sent for it."""

    def __init__(self, body=BODY, ranges=True, stops=(), chunked=False, stalls=False):
        super().__init__(("127.0.0.1", 0), Handler)
        self.body, self.ranges, self.stops = body, ranges, list(stops)
        self.chunked, self.stalls = chunked, stalls
        self.requests, self.sent = [], []
        self.url = f"http://127.0.0.1:{self.server_port}/batches.tar.gz"
        self.archive = Archive(self.url, "batches.tar.gz", hashlib.md5(body).hexdigest())


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server, asked = self.server, self.headers.get("Range")
        server.requests.append(asked)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and server.ranges else 0
        if start >= len(server.body):
            self.send_error(416)
            return
        body = server.body[start:]
        self.send_response(206 if asked and server.ranges else 200)
        if server.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        stopped = bool(server.stops)
        body = body[: server.stops.pop(0)] if server.stops else body
        if server.chunked:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(body), body) + b"0\r\n\r\n" * (not stopped))
        else:
            self.wfile.write(body)
        server.sent.append(len(body))
        if stopped and server.stalls:
            time.sleep(60)

    def log_message(self, *args):
        pass


@pytest.fixture
def serve(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    servers = []

    def start(**settings):
        servers.append(Server(**settings))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def closed_port():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return unused.getsockname()[1]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_download_is_the_archive_and_nothing_else(serve, tmp_path):
    server = serve()
    path = download.fetch(server.archive, tmp_path / "data")
    assert path == tmp_path / "data" / "batches.tar.gz"
    assert path.read_bytes() == BODY
    assert names(tmp_path / "data") == ["batches.tar.gz"]
    assert server.requests == [None]


def test_a_dropped_connection_is_taken_up_where_it_stopped(serve, tmp_path):
    server = serve(stops=[1_500_000, 700_001])
    assert download.fetch(server.archive, tmp_path).read_bytes() == BODY
    assert server.requests == [None, "bytes=1500000-", "bytes=2200001-"]
    assert sum(server.sent) == len(BODY)


def test_a_killed_download_goes_on_at_the_next_call(serve, tmp_path):
    server = serve()
    (tmp_path / "batches.tar.gz.part").write_bytes(BODY[:2_000_000])
    assert download.fetch(server.archive, tmp_path).read_bytes() == BODY
    assert server.sent == [len(BODY) - 2_000_000]
    assert names(tmp_path) == ["batches.tar.gz"]


def test_what_a_slow_server_sent_before_a_kill_is_kept_to_the_byte(serve, tmp_path):
    server = serve(stops=[300_000], stalls=True)
    code = (
        f"from modelstitch.data.sources import download; download.fetch(download.{server.archive}, {str(tmp_path)!r})"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.DEVNULL)
    part = tmp_path / "batches.tar.gz.part"
    while not part.exists() or part.stat().st_size < 300_000:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert download.fetch(server.archive, tmp_path).read_bytes() == BODY
    assert server.requests == [None, "bytes=300000-"]


def test_a_drop_in_the_middle_of_a_body_of_unknown_length_is_taken_up_again(serve, tmp_path):
    server = serve(stops=[1_500_000], chunked=True)
    assert download.fetch(server.archive, tmp_path).read_bytes() == BODY
    assert server.requests == [None, "bytes=1500000-"]


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_no_reason_to_fail(serve, tmp_path, monkeypatch, code):
    def refuse(*args):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert download.fetch(serve().archive, tmp_path).read_bytes() == BODY


def test_a_download_that_had_arrived_whole_is_not_repeated(serve, tmp_path):
    server = serve()
    (tmp_path / "batches.tar.gz.part").write_bytes(BODY)
    assert download.fetch(server.archive, tmp_path).read_bytes() == BODY
    assert server.sent == []


def test_a_server_without_ranges_starts_over(serve, tmp_path):
    server = serve(ranges=False)
    (tmp_path / "batches.tar.gz.part").write_bytes(b"x" * 1000)
    assert download.fetch(server.archive, tmp_path).read_bytes() == BODY


def test_a_server_that_brings_nothing_more_is_an_error_and_what_came_is_kept(serve, tmp_path):
    server = serve(stops=[1_500_000, 0])
    with pytest.raises(ModelstitchError, match=r"1,500,000 bytes are kept in batches\.tar\.gz\.part"):
        download.fetch(server.archive, tmp_path)
    assert names(tmp_path) == ["batches.tar.gz.part"]
    assert download.fetch(server.archive, tmp_path).read_bytes() == BODY


def test_a_wrong_checksum_is_refused_and_what_came_is_removed(serve, tmp_path):
    server = serve()
    wrong = Archive(server.url, "batches.tar.gz", "0" * 32)
    with pytest.raises(ModelstitchError, match=rf"batches\.tar\.gz: what {server.url} sent has MD5 {MD5}, expected 0+"):
        download.fetch(wrong, tmp_path)
    assert names(tmp_path) == []


def test_a_part_of_something_else_is_removed_and_the_next_call_succeeds(serve, tmp_path):
    server = serve()
    (tmp_path / "batches.tar.gz.part").write_bytes(b"x" * 1000)
    with pytest.raises(ModelstitchError, match="it was removed, run again"):
        download.fetch(server.archive, tmp_path)
    assert download.fetch(server.archive, tmp_path).read_bytes() == BODY


def test_offline_says_where_to_put_the_archive(closed_port, tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.chdir(tmp_path)
    archive = Archive(f"http://127.0.0.1:{closed_port}/batches.tar.gz", "batches.tar.gz", MD5)
    with pytest.raises(ModelstitchError) as error:
        download.fetch(archive, "data")
    message = str(error.value)
    assert message.startswith(f"data/batches.tar.gz: can't be downloaded from {archive.url} (")
    assert message.endswith(f"put it at {tmp_path}/data/batches.tar.gz (MD5 {MD5}), and run again")
    assert "\n" not in message
    assert names(tmp_path / "data") == []


def test_a_name_that_no_server_has_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    archive = Archive("http://nowhere.invalid/batches.tar.gz", "batches.tar.gz", MD5)
    with pytest.raises(ModelstitchError, match=r"can't be downloaded from http://nowhere\.invalid"):
        download.fetch(archive, tmp_path)


def test_a_refusal_of_the_server_says_so(serve, tmp_path):
    server = serve(body=b"")
    archive = Archive(server.url, "batches.tar.gz", MD5)
    with pytest.raises(ModelstitchError, match="HTTP 416"):
        download.fetch(archive, tmp_path)
    assert names(tmp_path) == []


def test_an_archive_already_there_needs_no_network(closed_port, tmp_path):
    (tmp_path / "batches.tar.gz").write_bytes(BODY)
    archive = Archive(f"http://127.0.0.1:{closed_port}/batches.tar.gz", "batches.tar.gz", MD5)
    assert download.fetch(archive, tmp_path) == tmp_path / "batches.tar.gz"


def test_a_damaged_archive_there_is_refused_and_left_as_it_is(serve, tmp_path):
    server = serve()
    (tmp_path / "batches.tar.gz").write_bytes(BODY[:-1])
    with pytest.raises(ModelstitchError, match=rf"batches\.tar\.gz: MD5 is \w+, expected {MD5}: not the published"):
        download.fetch(server.archive, tmp_path)
    assert (tmp_path / "batches.tar.gz").read_bytes() == BODY[:-1]
    assert server.requests == []


def test_a_second_download_of_the_same_archive_is_refused(serve, tmp_path):
    server = serve()
    with open(tmp_path / "batches.tar.gz.part", "ab") as file:
        download._lock(file, tmp_path / "batches.tar.gz")
        with pytest.raises(ModelstitchError, match=r"batches\.tar\.gz: another process is downloading it"):
            download.fetch(server.archive, tmp_path)
    assert download.fetch(server.archive, tmp_path).read_bytes() == BODY


def test_a_folder_that_can_not_be_made_is_an_error(tmp_path):
    (tmp_path / "data").write_text("a file")
    with pytest.raises(ModelstitchError, match=r"data/batches\.tar\.gz: can't be written"):
        download.fetch(Archive("http://127.0.0.1:1/", "batches.tar.gz", MD5), tmp_path / "data")
