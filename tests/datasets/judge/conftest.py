"""A real HTTP server that speaks the chat protocol, and misbehaves as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from collavo.datasets.evaluation.judge.judge import Judge, Patience
from collavo.datasets.evaluation.judge.openai_backend import OpenAIBackend
from collavo.datasets.evaluation.judge.store import JudgementStore

Answer = Callable[[dict[str, Any], int], Any]
"""Takes a request and its number from 0; returns the reply's text, or a `Fault`."""


class Fault:
    """Anything but a proper reply.

    Args:
        status: The HTTP status.
        body: What is sent.
        headers: Further headers.
        close: Whether the connection is closed without a word.
        delay: Seconds before the answer.
        kind: The content type.
    """

    def __init__(
        self,
        status: int = 500,
        body: bytes = b'{"error": {"message": "no"}}',
        headers: dict[str, str] | None = None,
        close: bool = False,
        delay: float = 0.0,
        kind: str = "application/json",
    ) -> None:
        self.status, self.body, self.headers = status, body, headers or {}
        self.close, self.delay, self.kind = close, delay, kind


class ChatServer(ThreadingHTTPServer):
    """Counts requests, keeps them, and knows how many are under way at once."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.most = self.now = 0
        self.lock = threading.Lock()
        self.released = threading.Event()

    @property
    def url(self) -> str:
        """What JUDGE.BASE_URL has to be."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of clients that went away."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ChatServer

    def log_message(self, *args: Any) -> None:
        """Says nothing."""

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        with server.lock:
            number = len(server.requests)
            server.requests.append({**request, "path": self.path})
            server.keys.append(self.headers.get("Authorization", ""))
            server.now += 1
            server.most = max(server.most, server.now)
        try:
            self._answer(server.answer(request, number), request)
        finally:
            with server.lock:
                server.now -= 1

    def _answer(self, said: Any, request: dict[str, Any]) -> None:
        if isinstance(said, Fault):
            if said.delay:
                self.server.released.wait(said.delay)
            if said.close:
                self.close_connection = True
                return
            self._send(said.status, said.body, said.kind, said.headers)
            return
        body = {
            "id": "chat-1",
            "object": "chat.completion",
            "created": 1,
            "model": f"{request['model']}-0613",
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "stop",
                    "message": {"role": "assistant", "content": said},
                }
            ],
            "usage": {"prompt_tokens": 11, "completion_tokens": 2, "total_tokens": 13},
        }
        self._send(200, json.dumps(body).encode(), "application/json", {})

    def _send(self, status: int, body: bytes, kind: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serving(answer: Answer) -> Iterator[ChatServer]:
    """Runs the server in a thread until the block ends."""
    server = ChatServer(answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


KEY = "sk-a-key-that-nobody-may-write-down-0123456789"


@pytest.fixture
def fault() -> type[Fault]:
    """Makes replies that are none."""
    return Fault


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> str:
    """The API key, in the environment."""
    for name in ("JUDGE_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return KEY


@pytest.fixture
def serve(secret: str) -> Iterator[Callable[[Answer], ChatServer]]:
    """Starts servers; they end with the test."""
    with ExitStack() as stack:
        yield lambda answer: stack.enter_context(serving(answer))


@pytest.fixture
def judge_at(tmp_path: Path) -> Callable[..., Judge]:
    """Makes judges that ask a server and keep replies below the test's folder."""

    def make(server: ChatServer, timeout: float = 5.0, **options: Any) -> Judge:
        patience = Patience(options.pop("retries", 3), options.pop("backoff", 0.01), 2.0)
        backend = OpenAIBackend("gpt-4", server.url, timeout)
        store = JudgementStore(tmp_path / "judgements.jsonl")
        return Judge(backend, store, patience=patience, **options)

    return make
