"""Asks an endpoint that speaks OpenAI's chat protocol, by the `openai` client."""

from __future__ import annotations

import email.utils
import importlib.util
import math
import os
import queue
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from collavo.datasets.evaluation.judge.backends import Backend
from collavo.datasets.evaluation.judge.bounded_http import bounded_client
from collavo.datasets.evaluation.judge.calls import (
    Call,
    FatalJudgeError,
    RefusedError,
    Reply,
    TransientError,
)
from collavo.datasets.evaluation.judge.secrets import KEY_VARIABLES, api_key, masked
from collavo.errors import ConfigError

if TYPE_CHECKING:
    import openai

GRACE = 0.5
"""Seconds beyond the time limit in which a call may word how it failed."""

_PASSING = (408, 409, 425, 429)
_FATAL = (401, 403, 404)
_NO_QUOTA = "insufficient_quota"


class OpenAIBackend(Backend):
    """An OpenAI-compatible endpoint: OpenAI's own, or one of vLLM, SGLang, llama.cpp, Ollama.

    Args:
        model: The model's name there.
        base_url: Such as http://localhost:8000/v1; empty: OPENAI_BASE_URL, else OpenAI's own.
        timeout: Seconds that one call may take.

    Raises:
        ConfigError: The client is not installed, there is no key, or the address holds a password.
    """

    def __init__(self, model: str, base_url: str = "", timeout: float = 60.0) -> None:
        super().__init__(model)
        if "@" in base_url:
            raise ConfigError(
                "JUDGE.BASE_URL holds a user or password, which results would keep: take it out, "
                f"and put the key into {KEY_VARIABLES[0]}"
            )
        if importlib.util.find_spec("openai") is None:
            raise ConfigError(
                "JUDGE.BACKEND openai needs the openai client: pip install 'collavo[judge]'"
            )
        base_url = base_url or os.environ.get("OPENAI_BASE_URL", "")
        self._key = api_key()
        if not self._key and not base_url:
            raise ConfigError(
                f"no API key: set the environment variable {' or '.join(KEY_VARIABLES)}, or "
                "JUDGE.BASE_URL to an endpoint that asks for none"
            )
        self._url, self._timeout = base_url, timeout
        self._lock = threading.Lock()
        self._client: openai.OpenAI | None = None

    @property
    def identity(self) -> str:
        """The model's name, with the address of an endpoint that is not OpenAI's own."""
        return endpoint_identity(self.model, self._url)

    def complete(self, call: Call) -> Reply:
        """Answers a call within `timeout` seconds, however slowly the endpoint speaks."""
        client = self._connected()
        ended: queue.SimpleQueue[Reply | Exception] = queue.SimpleQueue()

        def ask() -> None:
            try:
                ended.put(self._ask(client, call))
            except Exception as error:  # handed on to the caller's thread, whatever it is
                ended.put(error)

        # the client bounds each read alone: an endpoint that drips its headers never ends it
        threading.Thread(target=ask, name="judge", daemon=True).start()
        try:
            found = ended.get(timeout=self._timeout + GRACE)
        except queue.Empty:
            self.release()  # cuts the connection, and with it the thread
            raise TransientError(f"no reply within {self._timeout:g} s (JUDGE.TIMEOUT)") from None
        if isinstance(found, Exception):
            raise found
        return found

    def _ask(self, client: openai.OpenAI, call: Call) -> Reply:
        import openai

        try:
            answer: Any = client.chat.completions.create(**self._fields(call))
        except openai.APITimeoutError as error:
            raise TransientError(f"no reply in time: {self._said(error)}") from None
        except openai.APIConnectionError as error:
            cause = f" ({self._said(error.__cause__)})" if error.__cause__ else ""
            raise TransientError(f"no connection: {self._said(error)}{cause}") from None
        except openai.APIStatusError as error:
            raise self._status(error) from None
        except (openai.APIError, ValueError) as error:
            raise TransientError(f"no usable reply: {self._said(error)}") from None
        return self._reply(answer)

    def release(self) -> None:
        with self._lock:
            if self._client is not None:
                self._client.close()
            self._client = None

    def _connected(self) -> openai.OpenAI:
        import openai

        with self._lock:
            if self._client is None:
                # Tries are ours to count; a local endpoint takes any key.
                self._client = openai.OpenAI(
                    api_key=self._key or "none",
                    base_url=self._url or None,
                    timeout=self._timeout,
                    max_retries=0,
                    http_client=bounded_client(self._timeout),
                )
            return self._client

    def _fields(self, call: Call) -> dict[str, Any]:
        messages = [{"role": "user", "content": call.prompt}]
        if call.system:
            messages.insert(0, {"role": "system", "content": call.system})
        fields = {"model": self.model, "messages": messages, "temperature": call.temperature}
        if call.max_tokens:
            fields["max_tokens"] = call.max_tokens
        return fields

    def _reply(self, answer: Any) -> Reply:
        try:
            text = answer.choices[0].message.content
            model, usage = answer.model, answer.usage
        except (AttributeError, IndexError, TypeError):
            raise TransientError(f"no chat completion: {self._said(answer)}") from None
        if not isinstance(text, str) or not text.strip():
            raise TransientError("an empty reply")
        return Reply(
            self._without_key(text),
            self._without_key(str(model or self.model)),
            _count(usage, "prompt_tokens"),
            _count(usage, "completion_tokens"),
        )

    def _status(self, error: openai.APIStatusError) -> Exception:
        status, said = error.status_code, self._said(error)
        if error.code == _NO_QUOTA or _NO_QUOTA in said:
            return FatalJudgeError(f"the judge's quota is used up: {said}")
        if status in _PASSING or status >= 500:
            wait = retry_after(error.response.headers)
            return TransientError(f"status {status}: {said}", wait, shared=status == 429)
        if status in _FATAL:
            return FatalJudgeError(
                f"the judge refuses every call (status {status}: {said}); check "
                f"{' or '.join(KEY_VARIABLES)}, JUDGE.MODEL and JUDGE.BASE_URL"
            )
        return RefusedError(f"status {status}: {said}")

    def _said(self, what: Any) -> str:
        text = " ".join(self._without_key(str(what)).split())
        return text if len(text) <= 300 else text[:297] + "..."

    def _without_key(self, text: str) -> str:
        return masked(text, self._key)


def endpoint_identity(model: str, base_url: str) -> str:
    """Names a model with the address of its endpoint, where that is not OpenAI's own."""
    base_url = base_url or os.environ.get("OPENAI_BASE_URL", "")
    return f"{model} at {base_url}" if base_url else model


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Reads how many seconds a service asks to wait: a number or a date; None where it does not.

    Source: RFC 9110, section 10.2.3; `retry-after-ms` is OpenAI's.
    """
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            seconds = float(value) * unit
        except ValueError:
            try:
                seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
            except (ValueError, TypeError, OverflowError):
                continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    return None


def _count(usage: Any, name: str) -> int:
    value = getattr(usage, name, 0)
    return value if isinstance(value, int) else 0
