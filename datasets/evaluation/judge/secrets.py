"""The key of an endpoint: read from the environment alone, and masked wherever text leaves."""

from __future__ import annotations

import base64
import os
import urllib.parse

from collavo.errors import ConfigError

KEY_VARIABLES = ("JUDGE_API_KEY", "OPENAI_API_KEY")
"""Environment variables that may hold the key. It is read from there alone and written nowhere."""

MASK = "***"
_SHORTEST = 8
"""Characters from which on parts of a key are looked for: shorter ones stand in any text."""


def api_key() -> str:
    """Returns the key without white space and line ends around it, as files of secrets have them.

    Raises:
        ConfigError: There are control characters or other than ASCII within it; it is not shown.
    """
    for name in KEY_VARIABLES:
        key = os.environ.get(name, "").strip()
        if key and not (key.isascii() and key.isprintable() and " " not in key):
            raise ConfigError(
                f"the key in {name} holds blanks, line ends or other characters that no key has "
                "(its value is not shown); set it anew"
            )
        if key:
            return key
    return ""


def masked(text: str, key: str) -> str:
    """Takes a key out of a text: as it is, as Python writes it, in a URL, and in base64.

    Args:
        text: Anything that is stored or shown.
        key: The key; empty for none.
    """
    if not key:
        return text
    forms = {key, repr(key)[1:-1], urllib.parse.quote(key, safe=""), urllib.parse.quote_plus(key)}
    for said in (key, f"Bearer {key}", f":{key}"):
        # base64 of a text that it ends, at each of the three places where groups may begin
        for shift in range(3):
            whole = base64.b64encode(b"\0" * shift + said.encode()).decode()
            inner = whole[(shift * 8 + 5) // 6 :].rstrip("=")[:-1]
            forms |= (
                {inner, inner.replace("+", "-").replace("/", "_")} if len(inner) > 12 else set()
            )
    for form in sorted(forms, key=len, reverse=True):
        if len(form) >= min(_SHORTEST, len(key)):
            text = text.replace(form, MASK)
    return text
