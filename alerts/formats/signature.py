"""How a webhook shows who sends it: Standard Webhooks 1.0, symmetric (HMAC-SHA256)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime

_PREFIX = "whsec_"
#: Standard Webhooks: from 24 to 64 bytes.
_LEAST_BYTES, _MOST_BYTES = 24, 64


class SecretError(ValueError):
    """A secret that cannot be used; the message does not tell it."""


def key_of_secret(secret: str) -> bytes:
    """The key of a secret as it is written. Raises SecretError."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise SecretError(f"is not {_PREFIX} and base64") from None
    if not _LEAST_BYTES <= len(key) <= _MOST_BYTES:
        raise SecretError(f"holds {len(key)} bytes; from {_LEAST_BYTES} to {_MOST_BYTES} are needed")
    return key


def signed(body: bytes, message_id: str, at: datetime, key: bytes) -> Mapping[str, str]:
    """The three headers that go with a body."""
    timestamp = str(int(at.timestamp()))
    mac = hmac.new(key, b".".join([message_id.encode(), timestamp.encode(), body]), hashlib.sha256).digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
    }
