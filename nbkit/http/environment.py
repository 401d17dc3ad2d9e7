"""The environment's part in connections: proxies and certificates. Read for each call, because it may change.

`read_environment` is part of a client's key, so it must be cheap (5 us); the rest is done once per client.
"""

from __future__ import annotations

import os
import ssl
import sys
from base64 import b64encode
from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from ipaddress import ip_address, ip_network
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from nbkit.errors import ConfigError
from nbkit.http.exchange import Address, Failure, split_url

_OF_ANY = ("ALL_PROXY", "all_proxy")
_PROXIES = {"http": ("HTTP_PROXY", "http_proxy", *_OF_ANY), "https": ("HTTPS_PROXY", "https_proxy", *_OF_ANY)}
_EXCEPTIONS = ("NO_PROXY", "no_proxy")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
_SCHEMES = tuple(_PORTS)


class Environment(tuple[tuple[str, str], ...]):
    """The variables that are set; its repr hides them, because the address of a proxy may hold a password."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Environment({', '.join(name for name, _ in self)})"


def read_environment(base_url: str) -> Environment:
    """Read the variables that a client for this server depends on."""
    scheme = "http" if base_url.startswith("http:") else "https"
    present = _list_set(_PROXIES[scheme])
    if present:
        present += _list_set(_EXCEPTIONS)
    if present or scheme == "https":  # a proxy may speak TLS as well
        present += _list_set(_CERTIFICATES)
    return Environment(present)


def _list_set(names: tuple[str, ...]) -> list[tuple[str, str]]:
    """List those of some variables that are set; `os.environ` takes a microsecond for each."""
    environ = os.environ
    return [(name, environ[name]) for name in names if name in environ]


class Proxy(NamedTuple):
    """A proxy, and the variable that names it."""

    scheme: str
    host: str
    port: int
    auth: tuple[str, str] | None
    variable: str

    @property
    def name(self) -> str:
        """Host and port, and the variable: `proxy.test:3128 (HTTPS_PROXY)`. Never a password."""
        return f"{self._server} ({self.variable})"

    @property
    def url(self) -> str:
        """The address, without the password."""
        return f"{self.scheme}://{self._server}"

    @property
    def headers(self) -> dict[str, str]:
        """The headers for the proxy itself: the password, as RFC 7617 has it, in UTF-8."""
        if not self.auth:
            return {}
        return {"proxy-authorization": f"Basic {b64encode(':'.join(self.auth).encode()).decode()}"}

    @property
    def _server(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __repr__(self) -> str:
        return f"Proxy({self.name})"


def name_server(address: Address) -> str:
    """Return `host:port`, the port also where it is the scheme's own."""
    return address.netloc if address.port else f"{address.netloc}:{_PORTS[address.scheme]}"


def find_proxy(address: Address) -> Proxy | None:
    """Find the proxy for a server. Raises ConfigError where the variable is wrong, or a package is missing."""
    if _is_excepted(address, os.environ.get("no_proxy", os.environ.get("NO_PROXY", ""))):
        return None
    variable, proxy = _read_proxy(address.scheme)
    if not variable:
        return None
    if proxy is None:
        raise ConfigError(f"{variable} is not the address of a proxy: expected {', '.join(_SCHEMES)}://host:port")
    if proxy.scheme.startswith("socks") and not find_spec("socksio"):
        raise ConfigError(
            f"{variable} names a SOCKS proxy, which needs the package socksio: pip install socksio, or unset {variable}"
        )
    return proxy


def _read_proxy(scheme: str) -> tuple[str, Proxy | None]:
    """Read the variable that decides for a scheme: its name, and the proxy, None where it is not one; "": no proxy.

    It does not raise, because a traceback may print the locals of the frames that do.
    """
    variable, text = _find_variable(scheme)
    if not text:
        return "", None
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, port = split_url(f"http://{parts.netloc.rpartition('@')[2]}").host, parts.port
    except (ValueError, Failure):
        return variable, None
    if not host or parts.scheme not in _SCHEMES:
        return variable, None
    auth = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    return variable, Proxy(parts.scheme, host, port or _PORTS[parts.scheme], auth, variable)


def _find_variable(scheme: str) -> tuple[str, str]:
    """Find the variable that decides for a scheme, and its value; lower case wins, as in curl and urllib."""
    for name in (f"{scheme}_proxy", f"{scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY"):
        # in a CGI script HTTP_PROXY is a header of the request that came in: anybody could set it
        if name in os.environ and not (name == "HTTP_PROXY" and "REQUEST_METHOD" in os.environ):
            return name, os.environ[name].strip()
    if sys.platform in ("darwin", "win32"):
        from urllib.request import getproxies  # which loads http.client

        system: Mapping[str, str] = getproxies()
        return "the system's settings", system.get(scheme) or ""
    return "", ""


def _is_excepted(address: Address, exceptions: str) -> bool:
    """Tell whether NO_PROXY has the host: a name, a domain with or without a dot, an address, a network, or `*`."""
    return any(_matches(address, entry) for entry in map(str.strip, exceptions.lower().split(",")) if entry)


def _matches(address: Address, entry: str) -> bool:
    host = address.host
    scheme, slashes, rest = entry.partition("://")
    if slashes:
        return scheme in ("all", address.scheme) and _matches(address, rest)
    try:
        return ip_address(host) in ip_network(entry.strip("[]"), strict=False)
    except ValueError:  # one of the two is a name
        pass
    if entry.rpartition(":")[2].isdecimal() and entry.count(":") == 1:
        name, _, port = entry.partition(":")
        return name_server(address).endswith(f":{port}") and _matches(address, name)
    name = entry.removeprefix("*").lstrip(".")
    return entry == "*" or (bool(name) and (host == name or host.endswith(f".{name}")))


def ssl_context() -> ssl.SSLContext:
    """Return the SSL context that all clients share, because making one takes about 40 ms.

    SSL_CERT_FILE and SSL_CERT_DIR count. Raises ConfigError where what they name cannot be read.
    """
    return _load_certificates(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@lru_cache(4)
def _load_certificates(file: str | None, directory: str | None) -> ssl.SSLContext:
    import httpcore2

    try:
        return httpcore2.default_ssl_context()
    except OSError as failed:  # also ssl.SSLError: not PEM
        reason = failed.strerror or str(failed)
    name, path = ("SSL_CERT_FILE", file) if file else ("SSL_CERT_DIR", directory)
    raise ConfigError(f"{name}: the certificates of {path!r} cannot be read: {reason}")
