"""The endpoint of a model, all that a call needs: protocol, base URL, where its key is, and its peculiarities."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from nbkit.billing.cost import Cost
from nbkit.errors import ConfigError, ProviderNotSupportedError
from nbkit.http.addresses import read_base_url
from nbkit.http.exchange import Failure, split_url
from nbkit.modelsdev.records import Provider, Record
from nbkit.protocols import PROTOCOLS
from nbkit.protocols.wire import Dialect
from nbkit.providers.capabilities import Tolerance, tolerance_of
from nbkit.providers.credentials import fill, is_set
from nbkit.providers.prices import find_cost
from nbkit.providers.routes import USUAL_PROTOCOL, Route, find_route
from nbkit.providers.tables import collect_rows
from nbkit.providers.trust import find_host, restrict_route
from nbkit.secret import hide_fields, hide_in_url
from nbkit.settings import is_sealed, settings

_REPLAYED = ("reasoning_content", "reasoning_details")
"""The values of models.dev's `interleaved` that name the field which carries reasoning back to the model."""


NOWHERE = "https://replay.invalid"
"""The base URL of a server that is not started because nothing can be sent."""


class Endpoint(Struct, frozen=True):
    """Where and how one model is called."""

    provider: str
    model: str
    """The name of the model in requests."""
    protocol: str
    base_url: str
    variables: tuple[str, ...] = ()
    """Environment variables that may hold the key."""
    auth: str = "bearer"
    """How the key is sent: a scheme of `credentials.authorize`."""
    dialect: Dialect = field(default_factory=Dialect)
    """How the provider's spelling of the protocol differs."""
    cost: Cost | None = None
    """None: the catalog does not know the price."""
    catalog_date: str | None = None
    """The day of the prices, YYYY-MM-DD."""
    tolerance: Tolerance = field(default_factory=Tolerance)
    """What the model can do and which options it accepts."""
    headers: dict[str, str] = field(default_factory=dict)
    """Headers of every request, besides the key's."""
    body: dict[str, Any] = field(default_factory=dict)
    """What the body of every request holds besides."""
    costs: dict[str, Cost | None] = field(default_factory=dict)
    """Rates of models that answered instead, by their names: a cache."""
    others: tuple[Endpoint, ...] = ()
    """The same model by other protocols, for calls with options that this one does not have."""
    address: Callable[[], str] | None = None
    """Gives `base_url` where it changes from one run to the next: the address of a server that is started for it."""

    __repr__ = hide_fields("base_url", "headers", "costs", "address")  # an address's query may hold a key

    @property
    def place(self) -> str:
        """The base URL, or what stands for it where it changes from one run to the next."""
        return f"{self.provider}:" if self.address else self.base_url

    def locate(self) -> Endpoint:
        """Start the server, where that was put off because nothing could be sent. Raises ConfigError."""
        if self.base_url != NOWHERE or self.address is None:
            return self
        return replace(self, base_url=_check_address(self.provider, self.address(), given=False))

    @property
    def id(self) -> str:
        """The model id, `provider/model`."""
        return f"{self.provider}/{self.model}"


def resolve_endpoint(
    provider: Provider,
    model: str,
    record: Record | None,
    *,
    base_url: str | None = None,
    protocol: str | None = None,
    keyed: bool = False,
    address: str | Callable[[], str] | None = None,
    catalog_date: str | None = None,
    cost: Cost | Mapping[str, Any] | None = None,
    like: str = "",
) -> Endpoint:
    """Resolve a model; `record` is None for one that the catalog does not list (it is callable, its cost unknown).

    `cost` is what the caller says of its price; `like` the name of the model that it is a deployment of.

    `base_url` and `protocol` win over what the tables say, and so does the protocol of the endpoint that a `base_url`
    ends with (`.../chat/completions`); `keyed`: the caller passes a key; `address` is a registered
    provider's own. Raises ProviderNotSupportedError, UntrustedEndpointError and ConfigError, which say what to do.
    """
    if base_url:
        base_url, pasted = read_base_url(base_url)
        protocol = protocol or pasted
    given = bool(base_url or settings().base_url_override or address)
    route = find_route(provider, model, record, addressed=given, like=like)
    if route.why_not and (protocol is None or not (route.address or given)):
        raise ProviderNotSupportedError(f"{provider.id}/{model}: {route.why_not}")
    spoken = protocol or route.protocol or USUAL_PROTOCOL
    if spoken not in PROTOCOLS:
        raise ProviderNotSupportedError(f"unknown protocol {spoken!r}; there are {', '.join(PROTOCOLS)}")
    safe = restrict_route(provider.id, model, route, given=given, keyed=keyed)
    rows = collect_rows(spoken, provider.id, model, like)
    if given and not route.variables:
        rows.insert(1, rows[0].get("own_server", {}))
    tolerance = tolerance_of(record, rows)
    endpoint = Endpoint(
        provider=provider.id,
        model=model,
        protocol=spoken,
        base_url=_choose_base_url(provider.id, route, base_url, address, keyed or is_set(safe.variables)),
        variables=safe.variables,
        # A server of one's own, whose provider nobody knows, gets a key only where the caller passes one.
        auth="none" if given and route.auth == "bearer" and not route.variables else safe.auth,
        dialect=_build_dialect(
            rows,
            max_output=tolerance.max_output,
            # A model that does not reason refuses the request for it, and of an unknown one nobody knows.
            encrypted_reasoning=record is not None and tolerance.reasoning is not None,
            replay_reasoning=record.interleaved if record and record.interleaved in _REPLAYED else "",
        ),
        tolerance=tolerance,
        cost=find_cost(record, rows, cost),
        catalog_date=catalog_date if record else None,
        headers=_fill_headers(provider.id, route, record),
        body=route.body,
        address=address if callable(address) and not (base_url or settings().base_url_override) else None,
    )
    others = _list_others(record, rows, spoken) if protocol is None else []
    if not others:
        return endpoint
    again = partial(resolve_endpoint, provider, model, record, base_url=base_url, keyed=keyed, address=address)
    more = [again(protocol=name, catalog_date=catalog_date, cost=cost, like=like) for name in others]
    return replace(endpoint, others=tuple(more))


def _list_others(record: Record | None, rows: list[dict[str, Any]], spoken: str) -> list[str]:
    """List the further protocols of a model; one whose record or row has another address or protocol speaks that."""
    if any("protocol" in row for row in rows) or (record and {"shape", "npm", "api"} & record.overrides.keys()):
        return []
    also: list[str] = []
    for row in rows:
        also = row.get("also", also)
    return [name for name in also if name != spoken]


def _choose_base_url(
    provider: str, route: Route, given: str | None, address: str | Callable[[], str] | None, keyed: bool
) -> str:
    override = settings().base_url_override
    chosen = read_base_url(override)[0] if override else given or _find_address(address)
    if chosen is None:
        try:
            chosen = fill(route.address or "", provider)
        except ConfigError:
            if not (keyed and route.keyed_address):  # Vertex: with a key alone, no project is needed
                raise
            chosen = route.keyed_address
    return _check_address(provider, chosen, given=bool(given))


def _check_address(provider: str, url: str, *, given: bool) -> str:
    if not (_is_url(url) if given else find_host(url)):
        raise ConfigError(
            f"{provider}: {hide_in_url(url)!r} is not an address that a key may be sent to: it must be https://host/..."
        )
    return url.rstrip("/")


def _find_address(address: str | Callable[[], str] | None) -> str | None:
    """Find a registered address. A server is not started while nothing can be sent."""
    return (NOWHERE if is_sealed() else address()) if callable(address) else address


def _is_url(url: str) -> bool:
    """Tell whether a base URL that the caller passed can be one; plain http is the caller's choice."""
    try:
        split_url(url)
    except Failure:
        return False
    return "@" not in url.partition("://")[2].partition("/")[0]


def _fill_headers(provider: str, route: Route, record: Record | None) -> dict[str, str]:
    """Fill variables into the headers of nbkit's own and the user's rows; models.dev's stay as they are."""
    literal = record.headers if record else {}
    return {name: value if name in literal else fill(value, provider) for name, value in route.headers.items()}


def _build_dialect(rows: Iterable[Mapping[str, Any]], **fields: Any) -> Dialect:
    """Build the dialect from the rows about a model; the last one wins."""
    for row in rows:
        fields |= row.get("dialect", {})
    lists: dict[str, Any] = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
    return Dialect(**fields | lists)
