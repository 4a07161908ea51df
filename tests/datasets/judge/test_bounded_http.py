"""A judge's replies end: in time, and before they fill the memory."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from collavo.datasets.evaluation.judge.bounded_http import bounded_client


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        self.send_response(302 if self.path == "/round" else 200)
        if self.path == "/round":
            self.send_header("Location", "/round")
        if self.path == "/gzip":
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        try:
            if self.path == "/drip":  # each read is quick, the whole never ends
                while True:
                    self.wfile.write(b"x" * 10)
                    time.sleep(0.02)
            elif self.path == "/flood":
                while True:
                    self.wfile.write(b"x" * 65536)
            elif self.path == "/gzip":
                self.wfile.write(gzip.compress(b"0" * 10_000_000))
            elif self.path != "/round":
                self.wfile.write(b"yes")
        except OSError:  # the client has gone
            self.close_connection = True


@contextmanager
def _serving() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.block_on_close = False
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with _serving() as found:
        yield found


def test_a_reply_is_read(url: str) -> None:
    with bounded_client(30) as client:
        assert client.get(f"{url}/plain").text == "yes"


def test_one_that_drips_is_given_up(url: str) -> None:
    with bounded_client(0.5) as client, pytest.raises(Exception, match=r"took longer than 0\.5 s"):
        client.get(f"{url}/drip")


def test_one_that_floods_is_given_up(url: str) -> None:
    client = bounded_client(60, most=1 << 20)
    with client, pytest.raises(Exception, match="more than 1,048,576 bytes"):
        client.get(f"{url}/flood")


def test_one_that_hides_its_size_is_refused(url: str) -> None:
    with bounded_client(30) as client, pytest.raises(Exception, match="compressed"):
        client.get(f"{url}/gzip")


def test_one_that_leads_to_itself_is_given_up(url: str) -> None:
    with bounded_client(30) as client, pytest.raises(Exception, match="redirects"):
        client.get(f"{url}/round")
