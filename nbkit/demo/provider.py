"""The provider `demo` as a registered provider is read: its models, and where they are served."""

from __future__ import annotations

from nbkit.demo.models import PROVIDER

__all__ = ["PROVIDER", "base_url"]


def base_url() -> str:
    """Where the models are served, `http://127.0.0.1:PORT/v1`; starts the server where none runs in this process."""
    from nbkit.demo import server  # the catalog lists the models without it

    return server.base_url()
