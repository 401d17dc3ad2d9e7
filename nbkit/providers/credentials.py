"""API keys, read from environment variables when a call is made, and variables in the addresses of providers."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Set
from typing import TYPE_CHECKING, Any

from nbkit.errors import ApiKeyNotFoundError, ArgumentError, ConfigError, name_plural
from nbkit.modelsdev.records import Provider
from nbkit.providers.keyring_keys import find_stored, list_read_keys, list_stored, read_stored
from nbkit.providers.tables import table
from nbkit.secret import Secret
from nbkit.settings import Scoped

if TYPE_CHECKING:
    from nbkit.http.clients import Authorization

# models.dev lists hosts, account ids and regions beside the keys.
_KEY_ENDINGS = ("KEY", "TOKEN", "PAT", "SECRET", "BEDROCK", "CREDENTIALS")
_NO_HEADER = (
    "AWS_SECRET_ACCESS_KEY",
    "GOOGLE_APPLICATION_CREDENTIALS",
)  # requests are signed, or get a token, with them
SECRET = re.compile(r"(KEY|TOKEN|PAT|SECRET|PASSWORD|CREDENTIAL)S?$", re.IGNORECASE)
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
_typed: Scoped[dict[str, str]] = Scoped(dict, copy=dict)
"""The variables that `set_key` fills while this process lives; "" hides the one of the environment."""


def key_variables(env: Iterable[str]) -> tuple[str, ...]:
    """Choose those of a provider's variables that may hold its key: the others hold hosts, accounts and regions."""
    return tuple(name for name in env if name.endswith(_KEY_ENDINGS) and name not in _NO_HEADER)


def has_key(provider: Provider, stored: Set[str] | None = None) -> bool:
    """Tell whether a variable with the provider's key or credentials is set: yes or no, never the key.

    `stored`: the variables whose key is in the keyring, for who asks about many providers.
    """
    names, held = key_variables(provider.env), list_stored() if stored is None else stored
    others = (name for name in provider.env if name in _NO_HEADER)
    return _find_variable(names) is not None or not held.isdisjoint(names) or any(map(read_variable, others))


def is_set(variables: Iterable[str]) -> bool:
    """Tell whether one of the key variables is set, or its plural."""
    return find_key_variable(variables) is not None


def find_key_variable(variables: Iterable[str]) -> str | None:
    """Find the first of the key variables that is set: it, or its plural, which holds several keys.

    Where none is, that of a key in the keyring: `OPENAI_API_KEY (keyring)`.
    """
    names = tuple(variables)
    if name := _find_variable(names):
        return name
    stored = find_stored(names)
    return stored and f"{stored} (keyring)"


def _find_variable(variables: Iterable[str]) -> str | None:
    return next((name for one in variables for name in (one, name_plural(one)) if read_variable(name)), None)


def list_plurals(env: Iterable[str]) -> tuple[str, ...]:
    """List the variables that may hold several keys, with commas between them: OPENAI_API_KEYS for OPENAI_API_KEY."""
    return tuple(name_plural(name) for name in key_variables(env))


def read_variable(name: str) -> str:
    """Return the value of a variable: the one of `set_key`, that of the environment, the one that `load_env` read; else
    "".
    """
    if name in (typed := _typed()):
        return typed[name]
    value, wins = _loaded().get(name, ("", False))
    return value if wins else os.environ.get(name, "") or value


def list_secrets() -> list[str]:
    """List the keys and passwords at hand: of the environment, `load_env`, `set_key` and the keyring."""
    names = {name for name in (*os.environ, *_loaded(), *_typed()) if SECRET.search(name)}
    texts = [*map(read_variable, names), *list_read_keys()]
    return [part.strip() for text in texts for part in text.split(",")]


def remember_variables(values: Mapping[str, str], *, override: bool) -> None:
    """Keep variables of a file for this process; with `override` they win over the environment's."""
    _loaded().update({name: (value, override) for name, value in values.items()})


def remember_key(variables: Iterable[str], key: str) -> int:
    """Keep a provider's key, or several with commas between them, for this process; return how many there are.

    They win over all variables of the environment and of a file that may hold the provider's key.
    """
    (first, *others), keys = variables, _split_keys(key)
    single, several = (key, "") if len(keys) == 1 else ("", ",".join(keys))
    _typed().update({name: "" for one in others for name in (one, name_plural(one))})
    _typed().update({first: single, name_plural(first): several})
    return len(keys)


def forget_key(variables: Iterable[str]) -> None:
    """Forget the key that `remember_key` has kept: the environment's counts again."""
    for one in variables:
        for name in (one, name_plural(one)):
            _typed().pop(name, None)


def read_key(api_key: Any, name: str) -> tuple[Secret, ...] | None:
    """Read the keys that a caller passes, hidden from tracebacks: one text, several with commas, or a list of texts.

    Raises ArgumentError for anything else.
    """
    if api_key is None:
        return None
    kind = type(api_key).__name__
    texts = [api_key] if isinstance(api_key, str) else list(api_key) if isinstance(api_key, list | tuple) else []
    secrets = None
    if texts and all(isinstance(text, str) for text in texts):
        secrets = tuple(Secret(key) for text in texts for key in _split_keys(text))
    del api_key, texts  # a traceback may print the locals of the frames that raise
    if secrets is None:
        raise ArgumentError(f"{name}: expected text or a list of texts, got a value of type {kind}")
    return secrets


def _split_keys(text: str) -> list[str]:
    """Split keys at commas, which no key has; what has no comma is one key as it is."""
    return [key for part in text.split(",") if (key := part.strip())] if "," in text else [text]


def _read_keys(variables: Iterable[str]) -> tuple[Secret, ...]:
    """Read the keys of the first variable that is set, and with it, or instead of it, those of its plural.

    Where none is set, those in the keyring. Raises ConfigError where it cannot be read.
    """
    for name in variables:
        single, several = read_variable(name), read_variable(name_plural(name))
        if single or several:
            return tuple(Secret(key) for key in (single, *_split_keys(several)) if key)
    stored = next(filter(None, map(read_stored, variables)), "")
    return tuple(map(Secret, _split_keys(stored))) if stored else ()


def authorize(
    provider: str,
    variables: tuple[str, ...],
    scheme: str,
    api_key: Secret | tuple[Secret, ...] | None,
    known: Authorization | None = None,
) -> Authorization | None:
    """Make what puts the key on requests: the given key, else the first variable that is set; None: no key is needed.

    `known` is returned where it carries this key: caches have it. Of several keys it makes `Keys`. `scheme` is a key of
    `_SCHEMES` or `none`. Without a key, requests to AWS are
    signed, and Google's carry a token. Raises ApiKeyNotFoundError, which names the variables, and ConfigError where
    the package that signs or gets tokens is not installed.
    """
    from nbkit.http.clients import KeyAuth  # loads httpx2, which the catalog's `has_key` does not need

    if api_key is None and scheme == "none":
        return None
    given = api_key if isinstance(api_key, tuple) else (api_key,) if api_key else ()
    keys = [key for key in given if key] or _read_keys(variables)
    scheme, _, service = scheme.partition(":")
    if not keys and scheme == "aws":
        from nbkit.http.signing import aws_auth

        return aws_auth(service or "bedrock")
    if not keys and scheme == "google":
        from nbkit.http.google import google_auth

        return google_auth()
    if not keys:
        raise ApiKeyNotFoundError(provider, variables)
    header, prefix = _SCHEMES["bearer" if scheme == "none" else scheme]
    if len(keys) == 1 and isinstance(known, KeyAuth) and known.carries(header, prefix, keys[0]):
        return known
    each = [KeyAuth(header, prefix, key.reveal()) for key in keys]
    if len(each) > 1:
        each = list(dict.fromkeys(each))  # the same key twice is one
    if len(each) == 1:
        return each[0]
    from nbkit.providers.keys import Keys

    return Keys(tuple(each))


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
