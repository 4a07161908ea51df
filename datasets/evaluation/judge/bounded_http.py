"""An HTTP client whose replies end: in time, and before they fill the memory."""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterator
from typing import Any

MOST_BYTES = 4 << 20
"""Bytes of a reply at most; a judgement has some thousands."""


def bounded_client(seconds: float, most: int = MOST_BYTES) -> Any:
    """Makes a client that gives a reply up after some time or size.

    Args:
        seconds: From the request to the last byte; each read alone may not take longer either.
        most: Bytes of the body. Compressed bodies are refused: they hide their size.
    """
    httpx = _http_module()

    class Stream(httpx.SyncByteStream):  # type: ignore[name-defined]
        def __init__(self, inner: Any, deadline: float) -> None:
            self._inner, self._deadline = inner, deadline

        def __iter__(self) -> Iterator[bytes]:
            total = 0
            for chunk in self._inner:
                total += len(chunk)
                if total > most:
                    raise httpx.ReadError(f"the reply has more than {most:,} bytes")
                if time.monotonic() > self._deadline:
                    raise httpx.ReadTimeout(f"the reply took longer than {seconds:g} s")
                yield chunk

        def close(self) -> None:
            self._inner.close()

    class Transport(httpx.HTTPTransport):  # type: ignore[name-defined]
        def handle_request(self, request: Any) -> Any:
            deadline = time.monotonic() + seconds
            response: Any = super().handle_request(request)
            if response.headers.get("content-encoding", "identity") != "identity":
                response.close()
                raise httpx.DecodingError("the reply is compressed, which was not asked for")
            response.stream = Stream(response.stream, deadline)
            return response

    return httpx.Client(
        transport=Transport(),
        timeout=seconds,
        headers={"Accept-Encoding": "identity"},
        follow_redirects=True,
        max_redirects=5,
    )


def _http_module() -> Any:
    """The HTTP library that the openai client is built on: httpx, or httpx2 from 3.0 on."""
    import openai

    classes = openai.DefaultHttpxClient.__mro__
    names = (base.__module__.partition(".")[0] for base in classes)
    return importlib.import_module(next(name for name in names if name.startswith("httpx")))
