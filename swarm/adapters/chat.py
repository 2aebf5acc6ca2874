"""A language model behind an OpenAI-compatible endpoint, asked over HTTPS; off unless somebody names one.

The key is given by reference (see `swarm.adapters.secrets`), never itself: command lines and configurations
are read by others. Without TLS only this machine is spoken to. No redirect is followed, because it would
carry the key elsewhere; answers are bounded in time and size.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import ssl
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from swarm.adapters.secrets import SecretReference
from swarm.errors import ConfigRefused, PeerFault

ANSWER_BYTES_MAX: Final = 1 << 20
TIMEOUT_S: Final = 60.0
TOKENS_MAX: Final = 2_048


@dataclass(frozen=True, slots=True)
class OpenAiChat:
    """One model of one endpoint; `url` ends before `/chat/completions`, e.g. https://host/v1."""

    url: str
    model: str
    key: str = ""  # by reference
    timeout_s: float = TIMEOUT_S

    def complete(self, system: str, user: str) -> str:
        """What the model answers. Raises PeerFault, or ConfigRefused before anything was sent."""
        body = {
            "model": self.model,
            "temperature": 0,
            "max_tokens": TOKENS_MAX,
            "response_format": {"type": "json_object"},
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": user}],
        }
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {api_key(self.key)}"
        connection = self._connection()
        try:
            path = urlsplit(self.url).path.rstrip("/") + "/chat/completions"
            connection.request("POST", path, json.dumps(body).encode(), headers)
            reply = connection.getresponse()
            data = reply.read(ANSWER_BYTES_MAX + 1)
        except (OSError, http.client.HTTPException) as error:
            raise self._fault(f"it cannot be asked: {error}") from error
        finally:
            connection.close()
        if reply.status != 200:
            raise self._fault(f"it answered {reply.status} {reply.reason}")
        if len(data) > ANSWER_BYTES_MAX:
            raise self._fault(f"it answered more than {ANSWER_BYTES_MAX} bytes")
        return self._content(data)

    def _content(self, data: bytes) -> str:
        try:
            content: Any = json.loads(data)["choices"][0]["message"]["content"]
        except (ValueError, KeyError, IndexError, TypeError, RecursionError):
            content = None
        if not isinstance(content, str):
            raise self._fault("its answer is no chat completion")
        return content

    def _connection(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        if parts.scheme == "https" and parts.hostname:
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(
                parts.hostname, parts.port, timeout=self.timeout_s, context=context
            )
        if parts.scheme == "http" and parts.hostname and _is_here(parts.hostname):
            return http.client.HTTPConnection(parts.hostname, parts.port, timeout=self.timeout_s)
        raise ConfigRefused(
            "a language model is asked over https, or over http on this machine",
            place=f"llm {self.url}",
            remedy="give an https:// address",
        )

    def _fault(self, message: str) -> PeerFault:
        return PeerFault(
            f"the language model failed: {message}",
            place=f"llm {self.url}",
            remedy="check its address, model and key",
        )


def api_key(reference: str) -> str:
    """What a reference stands for; raises `ConfigRefused`, which never tells the secret."""
    found = SecretReference.parse(reference).read().decode("ascii", "replace").strip()
    if not found or not found.isascii() or not found.isprintable():
        raise ConfigRefused("this is no key", place=f"key {reference}", remedy="put the key itself there")
    return found


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
