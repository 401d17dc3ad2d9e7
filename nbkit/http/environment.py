"""The environment's part in connections: proxies and certificates. Read for each call, because it may change.

`read_environment` is part of a client's key, so it must be cheap (5 us); the rest is done once per client.
"""

from __future__ import annotations

import os
import ssl
import sys
from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from ipaddress import ip_address, ip_network
from typing import NamedTuple
from urllib.request import getproxies

import httpx2

from nbkit.errors import ConfigError

_NAMES = ("ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR")
_OF_SCHEME = {"http": ("HTTP_PROXY", "http_proxy", *_NAMES), "https": ("HTTPS_PROXY", "https_proxy", *_NAMES)}
_SCHEMES = ("http", "https", "socks5", "socks5h")


class Environment(tuple[tuple[str, str], ...]):
    """The variables that are set; its repr hides them, because the address of a proxy may hold a password."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Environment({', '.join(name for name, _ in self)})"


def read_environment(base_url: str) -> Environment:
    """Read the variables that a client for this server depends on."""
    environ = os.environ
    return Environment([(name, environ[name]) for name in _OF_SCHEME[_read_scheme(base_url)] if name in environ])


def _read_scheme(base_url: str) -> str:
    return "http" if base_url.startswith("http:") else "https"


class Proxy(NamedTuple):
    """A proxy, and the variable that names it."""

    settings: httpx2.Proxy
    variable: str

    @property
    def name(self) -> str:
        """Host and port, and the variable: `proxy.test:3128 (HTTPS_PROXY)`. Never a password."""
        return f"{name_server(self.settings.url)} ({self.variable})"


def name_server(url: httpx2.URL) -> str:
    """Return `host:port`, the port also where it is the scheme's own."""
    default = {"http": 80, "https": 443}.get(url.scheme, 1080)
    host = f"[{url.host}]" if ":" in url.host else url.host
    return f"{host}:{url.port or default}"


def find_proxy(url: httpx2.URL) -> Proxy | None:
    """Find the proxy for a URL. Raises ConfigError where the variable is wrong, or the proxy needs another package."""
    variable, address = _find_variable(url.scheme)
    if not address or _is_excepted(url, os.environ.get("no_proxy", os.environ.get("NO_PROXY", ""))):
        return None
    try:
        proxy = httpx2.Proxy(address if "://" in address else f"http://{address}")
    except (ValueError, httpx2.InvalidURL):
        proxy = None
    if proxy is None or not proxy.url.host:
        raise ConfigError(f"{variable} is not the address of a proxy: expected {', '.join(_SCHEMES)}://host:port")
    if proxy.url.scheme.startswith("socks") and not find_spec("socksio"):
        raise ConfigError(
            f"{variable} names a SOCKS proxy, which needs the package socksio: pip install socksio, or unset {variable}"
        )
    return Proxy(proxy, variable)


def _find_variable(scheme: str) -> tuple[str, str]:
    """Find the variable that decides for a scheme, and its value; lower case wins, as in curl and urllib."""
    for name in (f"{scheme}_proxy", f"{scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY"):
        # in a CGI script HTTP_PROXY is a header of the request that came in: anybody could set it
        if name in os.environ and not (name == "HTTP_PROXY" and "REQUEST_METHOD" in os.environ):
            return name, os.environ[name].strip()
    if sys.platform in ("darwin", "win32"):
        system: Mapping[str, str] = getproxies()
        return "the system's settings", system.get(scheme) or ""
    return "", ""


def _is_excepted(url: httpx2.URL, exceptions: str) -> bool:
    """Tell whether NO_PROXY has the host: a name, a domain with or without a dot, an address, a network, or `*`."""
    return any(_matches(url, entry) for entry in map(str.strip, exceptions.lower().split(",")) if entry)


def _matches(url: httpx2.URL, entry: str) -> bool:
    host = url.host.lower()
    scheme, slashes, rest = entry.partition("://")
    if slashes:
        return scheme in ("all", url.scheme) and _matches(url, rest)
    try:
        return ip_address(host) in ip_network(entry.strip("[]"), strict=False)
    except ValueError:  # one of the two is a name
        pass
    if entry.rpartition(":")[2].isdecimal() and entry.count(":") == 1:
        name, _, port = entry.partition(":")
        return name_server(url).endswith(f":{port}") and _matches(url, name)
    name = entry.removeprefix("*").lstrip(".")
    return entry == "*" or (bool(name) and (host == name or host.endswith(f".{name}")))


def ssl_context() -> ssl.SSLContext:
    """Return the SSL context that all clients share, because making one takes about 40 ms.

    SSL_CERT_FILE and SSL_CERT_DIR count. Raises ConfigError where what they name cannot be read.
    """
    return _load_certificates(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@lru_cache(4)
def _load_certificates(file: str | None, directory: str | None) -> ssl.SSLContext:
    try:
        return httpx2.create_ssl_context()
    except OSError as failed:  # also ssl.SSLError: not PEM
        reason = failed.strerror or str(failed)
    name, path = ("SSL_CERT_FILE", file) if file else ("SSL_CERT_DIR", directory)
    raise ConfigError(f"{name}: the certificates of {path!r} cannot be read: {reason}")
