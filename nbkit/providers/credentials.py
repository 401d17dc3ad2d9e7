"""API keys, read from environment variables when a call is made, and variables in the addresses of providers."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from nbkit.errors import ApiKeyNotFoundError, ArgumentError, ConfigError
from nbkit.modelsdev.records import Provider
from nbkit.providers.tables import table
from nbkit.settings import Scoped

if TYPE_CHECKING:
    from pydantic import SecretStr

    from nbkit.http.clients import Authorization

# models.dev lists hosts, account ids and regions beside the keys.
_KEY_ENDINGS = ("KEY", "TOKEN", "PAT", "SECRET", "BEDROCK", "CREDENTIALS")
_NO_HEADER = (
    "AWS_SECRET_ACCESS_KEY",
    "GOOGLE_APPLICATION_CREDENTIALS",
)  # requests are signed, or get a token, with them
SECRET = re.compile(r"(KEY|TOKEN|PAT|SECRET|PASSWORD|CREDENTIALS)$", re.IGNORECASE)
"""Names of variables that never become part of an address."""
VARIABLE = re.compile(r"\$\{(\w+)\}")
_PART = re.compile(r"[A-Za-z0-9._-]{1,128}")  # one label of a host, or several, or one segment of a path
_WHOLE = re.compile(r"[A-Za-z0-9.-]{1,253}(:\d{1,5})?(/[A-Za-z0-9._-]{1,128})*")  # a URL without "https://"

# How a key is sent: the header, and what stands before the key. Without a key, `aws` signs the requests (`aws:service`
# for another service than Bedrock), and `google` sends a token of the application default credentials.
_SCHEMES = {
    "aws": ("Authorization", "Bearer "),
    "google": ("x-goog-api-key", ""),
    "bearer": ("Authorization", "Bearer "),
    "x-api-key": ("x-api-key", ""),
    "api-key": ("api-key", ""),
    "x-goog-api-key": ("x-goog-api-key", ""),
}


_loaded: Scoped[dict[str, tuple[str, bool]]] = Scoped(dict, copy=dict)
"""The variables of a `.env` file that was loaded: the value, and whether it wins over the environment's."""


def key_variables(env: Iterable[str]) -> tuple[str, ...]:
    """Choose those of a provider's variables that may hold its key: the others hold hosts, accounts and regions."""
    return tuple(name for name in env if name.endswith(_KEY_ENDINGS) and name not in _NO_HEADER)


def has_key(provider: Provider) -> bool:
    """Tell whether a variable with the provider's key or credentials is set: yes or no, never the key."""
    return is_set(name for name in provider.env if name.endswith(_KEY_ENDINGS))


def is_set(variables: Iterable[str]) -> bool:
    """Tell whether one of the environment variables is set."""
    return any(read_variable(name) for name in variables)


def read_variable(name: str) -> str:
    """Return the value of a variable: that of the environment, else the one that `load_env` read; "" without any."""
    value, wins = _loaded().get(name, ("", False))
    return value if wins else os.environ.get(name, "") or value


def remember_variables(values: Mapping[str, str], *, override: bool) -> None:
    """Keep variables of a file for this process; with `override` they win over the environment's."""
    _loaded().update({name: (value, override) for name, value in values.items()})


def read_key(api_key: str | None, name: str) -> SecretStr | None:
    """Read a key that a caller passes, hidden from tracebacks. Raises ArgumentError for one that is not text."""
    from pydantic import SecretStr

    secret, kind = SecretStr(api_key) if isinstance(api_key, str) else None, type(api_key).__name__
    missing = api_key is None
    del api_key  # a traceback may print the locals of the frames that raise
    if secret is None and not missing:
        raise ArgumentError(f"{name}: expected text, got a value of type {kind}")
    return secret


def authorize(
    provider: str, variables: tuple[str, ...], scheme: str, api_key: SecretStr | None
) -> Authorization | None:
    """Make what puts the key on requests: the given key, else the first variable that is set; None: no key is needed.

    `scheme` is a key of `_SCHEMES` or `none`. Without a key, requests to AWS are signed, and Google's carry a token.
    Raises ApiKeyNotFoundError, which names the variables, and ConfigError where the package that signs or gets tokens
    is not installed.
    """
    from pydantic import SecretStr

    from nbkit.http.clients import KeyAuth  # loads httpx2, which the catalog's `has_key` does not need

    if api_key is None and scheme == "none":
        return None
    key = api_key or next((SecretStr(value) for name in variables if (value := read_variable(name))), None)
    scheme, _, service = scheme.partition(":")
    if not key and scheme == "aws":
        from nbkit.http.signing import aws_auth

        return aws_auth(service or "bedrock")
    if not key and scheme == "google":
        from nbkit.http.google import google_auth

        return google_auth()
    if not key:
        raise ApiKeyNotFoundError(provider, variables)
    header, prefix = _SCHEMES["bearer" if scheme == "none" else scheme]
    return KeyAuth(header, prefix, key.get_secret_value())


def fill(template: str, provider: str, environment: Mapping[str, str] | None = None) -> str:
    """Fill `${NAME}` in a base URL or a header from environment variables; "https://" and "/" around a value are cut.

    A value may be one host or one segment of a path, or a whole URL where the template begins with the variable; never
    a secret. `environment` is that of the process unless given; `variables.toml` says which variables stand for others.
    Without a variable for it, the region of AWS's configuration file counts. Raises ConfigError, which names the
    variables that are missing or hold something else.
    """
    names = dict.fromkeys(VARIABLE.findall(template))
    if secrets := [name for name in names if SECRET.search(name)]:
        raise ConfigError(f"{provider}: {' and '.join(secrets)} is a secret and is not filled in: {template}")
    configured = _read_configured(names)
    look = (lambda name: configured.get(name) or read_variable(name)) if environment is None else environment.get
    values = {name: _find_value(name, look) for name in names}
    if missing := dict.fromkeys(_find_source(name) for name in names if not values[name]):
        raise ConfigError(f"{provider}: its address is {template}: set {' and '.join(missing)}, or pass base_url=")
    whole = template.startswith("${")  # the variable holds the scheme too
    for number, (name, value) in enumerate(values.items()):
        if not (_WHOLE if whole and not number else _PART).fullmatch(value):
            raise ConfigError(f"{provider}: the value of {name} is not a host or name that fits into {template}")
    filled = VARIABLE.sub(lambda match: values[match[1]], template)
    return f"https://{filled}" if whole else filled


def _read_configured(names: Iterable[str]) -> dict[str, str]:
    """Read those of the variables that may be set elsewhere than in the environment."""
    if "AWS_REGION" not in names:
        return {}
    from nbkit.http.signing import read_region

    return {"AWS_REGION": read_region() or ""}


def _find_value(name: str, look: Callable[[str], str | None]) -> str:
    """Find the value of a variable, of one that stands for it, or what follows from another; "" where none is set."""
    row = table("variables").get(name, {})
    if value := next((value for one in (name, *row.get("instead", ())) if (value := look(one))), None):
        return value.strip().removeprefix("https://").rstrip("/")
    source = _find_value(row["of"], look) if "of" in row else ""
    return row["values"].get(source) or row["otherwise"].format(source) if source else ""


def _find_source(name: str) -> str:
    """Find the variable that must be set for it."""
    return str(table("variables").get(name, {}).get("of", name))
