"""The digest of a request: it names what was asked, in the ledger and where answers are kept to be replayed."""

from __future__ import annotations

from hashlib import blake2b

from nbkit.billing.entry import CallFacts
from nbkit.json_text import write_json

FORMAT = 1
"""Raised where nbkit comes to read an answer, or to write a request, in another sense than before."""


def digest_request(call: CallFacts) -> str:
    """Digest protocol, address and body of a request, never a header, so never a key. 64 hexadecimal digits."""
    head = f"{FORMAT} {call.protocol} {call.url}\n"
    return blake2b(head.encode() + write_json(call.body, fallback=str), digest_size=32).hexdigest()
