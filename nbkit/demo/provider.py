"""The provider `demo`, in the form of a registered provider: its models, and the address that serves them."""

from __future__ import annotations

from nbkit.demo.models import PROVIDER

__all__ = ["PROVIDER", "base_url"]


def base_url() -> str:
    """Return the base URL, `http://127.0.0.1:PORT/v1`; start the server where none runs in this process."""
    from nbkit.demo import server  # the catalog lists the models without it

    return server.base_url()
