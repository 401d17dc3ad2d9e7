"""Where a provider's key is: the environment variables that models.dev names. Keys are read when a call is made."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from nbkit.errors import ApiKeyNotFoundError, ConfigError
from nbkit.modelsdev.records import Provider

if TYPE_CHECKING:
    from pydantic import SecretStr

    from nbkit.http.clients import KeyAuth

# models.dev lists hosts, account ids and regions beside the keys.
_KEY = re.compile(r"(KEY|TOKEN|PAT|SECRET|BEDROCK|APIKEY)$")
_VARIABLE = re.compile(r"\$\{(\w+)\}")

# How a key is sent: the header, and what stands before the key.
_SCHEMES = {
    "bearer": ("Authorization", "Bearer "),
    "x-api-key": ("x-api-key", ""),
    "api-key": ("api-key", ""),
    "x-goog-api-key": ("x-goog-api-key", ""),
}


def key_variables(provider: Provider) -> tuple[str, ...]:
    """The variables that may hold the provider's key, without those that hold hosts, accounts and regions."""
    return tuple(name for name in provider.env if _KEY.search(name))


def has_key(provider: Provider) -> bool:
    """Whether a key variable of the provider is set: yes or no, never the key."""
    return any(os.environ.get(name) for name in key_variables(provider))


def authorize(provider: str, variables: tuple[str, ...], scheme: str, api_key: SecretStr | None) -> KeyAuth | None:
    """What puts the key on a request: the given key, else the first variable that is set; None where none is needed.

    Raises ApiKeyNotFoundError, which names the variables it looked for.
    """
    from pydantic import SecretStr

    from nbkit.http.clients import KeyAuth  # loads httpx2, which the catalog's `has_key` does not need

    if api_key is None and scheme == "none":
        return None
    found = api_key or next((SecretStr(os.environ[name]) for name in variables if os.environ.get(name)), None)
    if not found:
        raise ApiKeyNotFoundError(provider, variables)
    header, prefix = _SCHEMES["bearer" if scheme == "none" else scheme]
    return KeyAuth(header, prefix, found.get_secret_value())


def fill(template: str, provider: str, environment: Mapping[str, str] = os.environ) -> str:
    """Fill `${NAME}` in a base URL from the environment; "https://" and "/" around a value are cut.

    Raises ConfigError that names the missing variables.
    """
    missing = [name for name in _VARIABLE.findall(template) if not environment.get(name)]
    if missing:
        raise ConfigError(f"{provider}: its address is {template}: set {' and '.join(missing)}, or pass base_url=")
    whole = template.startswith("${")  # the variable holds the scheme too
    filled = _VARIABLE.sub(lambda found: _trimmed(environment[found[1]]), template)
    return f"https://{filled}" if whole else filled


def _trimmed(value: str) -> str:
    return value.strip().removeprefix("https://").rstrip("/")
