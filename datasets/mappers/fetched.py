"""Fetches an image from an http(s) address, bounded in time and size."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from http.client import HTTPException
from urllib.parse import quote, urlsplit

from collavo import __version__
from collavo.errors import DataError

SECONDS = 30.0
"""The most that a whole image may take."""

MOST_BYTES = 64 * 2**20

_AGENT = f"collavo/{__version__}"
_CHUNK = 1 << 16
_PLAIN = "/%:@!$&'()*+,;=?~-._"
"""What stays as it is in an address's path and query; spaces and letters beyond ASCII do not."""


def fetch(url: str) -> tuple[bytes, str]:
    """Returns the bytes at an address, and the address without what it may hold of secrets.

    Args:
        url: Begins with http:// or https://. Redirections are followed to such addresses only.

    Raises:
        DataError: It cannot be downloaded, or is too slow or too large.
    """
    label = label_of(url)
    parts = urlsplit(url)
    if parts.username is not None:
        raise DataError(
            f"the image {label} lies behind a user name and password, which are not sent; download "
            "it and give its path or bytes"
        )
    plain = parts._replace(path=quote(parts.path, _PLAIN), query=quote(parts.query, _PLAIN))
    # some hosts refuse what does not say who asks
    request = urllib.request.Request(plain.geturl(), headers={"User-Agent": _AGENT})
    end = time.monotonic() + SECONDS
    data = bytearray()
    try:
        with _opener().open(request, timeout=SECONDS) as reply:
            while chunk := reply.read1(_CHUNK):
                data += chunk
                if len(data) > MOST_BYTES:
                    raise DataError(f"the image {label} has more than {MOST_BYTES:,} bytes")
                if time.monotonic() > end:
                    raise DataError(f"the image {label} took longer than {SECONDS:g} s")
    except (OSError, HTTPException, ValueError) as error:
        if isinstance(error, DataError):
            raise
        said = error.reason if isinstance(error, urllib.error.URLError) else error
        code = ""
        if isinstance(error, urllib.error.HTTPError):
            code = f"{error.code} "
            error.close()
        raise DataError(f"the image {label} cannot be downloaded: {code}{said}") from error
    return bytes(data), label


def label_of(url: str) -> str:
    """Returns an address without user and query, where keys and tokens stand.

    Raises:
        DataError: It is no address.
    """
    try:
        parts = urlsplit(url)
        port = "" if parts.port is None else f":{parts.port}"
        return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"
    except ValueError as error:
        raise DataError(f"an image's address cannot be read: {error}") from error


def _opener() -> urllib.request.OpenerDirector:
    """An opener of http and https alone: by default a redirection may lead to ftp."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
    ):
        opener.add_handler(handler())
    return opener
