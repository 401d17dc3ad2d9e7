"""The route to a model: its protocol and address, how the key is sent, or why nbkit cannot call it.

`decide_route` is the only place where that is decided, for a call as for the catalog's columns `protocol`, `callable`
and `why_not`. No environment variable needs to be set.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from msgspec import Struct, field

from nbkit.modelsdev.records import Provider, Record
from nbkit.modelsdev.snapshot import Factor, Snapshot
from nbkit.protocols import PROTOCOLS
from nbkit.providers.credentials import key_variables
from nbkit.providers.registered import RegisteredModel, list_registered_models
from nbkit.providers.tables import (
    Row,
    all_model_overrides,
    all_provider_defaults,
    choose_protocol,
    collect_rows,
    combine_rows,
    npm_package,
    user_rows,
)

USUAL_PROTOCOL = "openai-chat"
"""The protocol at an address that somebody gave without naming one: most servers speak it."""
_DECIDING = frozenset({"protocol", "base_url", "auth", "env", "headers", "body", "why_not"})
"""The keys of a row that `decide_route` reads."""


class Route(Struct, frozen=True):
    """The route to a model, or why there is none."""

    protocol: str | None
    address: str | None
    """The base URL; `${NAME}` stands for an environment variable."""
    keyed_address: str | None = None
    """The base URL for those who have a key and did not set these variables."""
    auth: str = "bearer"
    """How the key is sent: a scheme of `credentials.authorize`."""
    variables: tuple[str, ...] = ()
    """Environment variables that may hold the key."""
    headers: dict[str, str] = field(default_factory=dict)
    """Headers of every request; `${NAME}` as above."""
    body: dict[str, Any] = field(default_factory=dict)
    """What the body of every request holds besides."""
    why_not: str = ""
    """One sentence: why nbkit cannot call the model. Empty where it can."""


def decide_route(provider: Provider, overrides: Mapping[str, Any], row: Row, *, addressed: bool = False) -> Route:
    """Decide the route to a model, from models.dev's facts and the combined `row` of nbkit's and the user's tables.

    `overrides` is what the model's record says otherwise than its provider. What is said of a model counts more than
    what is said of its provider, and that more than what is said of the npm package; nbkit's tables, which are
    reviewed, count more than models.dev's `api` of a whole provider. `addressed`: the caller has an address, so that
    none has to be known.
    """
    npm = overrides.get("npm", provider.npm)
    package = npm_package(npm)
    protocol = row.get("protocol") or choose_protocol(npm, overrides.get("shape"))
    if addressed:
        protocol = protocol or USUAL_PROTOCOL
    address = overrides.get("api") or row.get("base_url") or provider.api or package.get("base_url")
    reviewed = "" if addressed else row.get("why_not") or package.get("why_not")
    return Route(
        protocol=protocol,
        address=address,
        keyed_address=package.get("keyed_base_url") if address == package.get("base_url") else None,
        auth=row.get("auth") or package.get("auth", "bearer"),
        variables=key_variables(row.get("env", provider.env)),
        headers={**row.get("headers", {}), **overrides.get("headers", {})},
        body={**row.get("body", {}), **overrides.get("body", {})},
        why_not=reviewed or _find_obstacle(npm, protocol, bool(address) or addressed),
    )


def _find_obstacle(npm: str, protocol: str | None, has_address: bool) -> str:
    """Say what is missing for a call, where no table says it. Empty where nothing is."""
    if protocol is None:
        return f"nbkit does not know the npm package {npm!r}: pass protocol= and base_url="
    if protocol not in PROTOCOLS:
        return f"it speaks {protocol}, and nbkit {', '.join(PROTOCOLS)}: pass protocol= and base_url= if it does too"
    return "" if has_address else "nbkit does not know its address: pass base_url="


def find_route(
    provider: Provider, model: str, record: Record | None, *, addressed: bool = False, like: str = ""
) -> Route:
    """Find the route to one model.

    `record` is None for a model that the catalog does not list; `like` is the model that it is a deployment of.
    """
    row = combine_rows(*collect_rows("", provider.id, model, like))
    return decide_route(provider, record.overrides if record else {}, row, addressed=addressed)


def find_routes(snapshot: Snapshot) -> Factor:
    """Find the route to every model of a snapshot, in the order of its rows, as a call would take it.

    A registered model takes the place of models.dev's of the same id. The same as `find_route` for each row, in a
    hundredth of the time: models of one provider and the same overrides share a route, unless a row of
    model_overrides.toml or of the user's file is about them.
    """
    return _find_routes(snapshot, _user_text(), tuple(list_registered_models()))


@lru_cache(1)
def _find_routes(snapshot: Snapshot, _user_text: str, registered: tuple[RegisteredModel, ...]) -> Factor:
    defaults, own = all_provider_defaults(), {model.record.id: model for model in registered}

    def decide(provider: Provider, overrides: Mapping[str, Any], *rows: Row) -> Route:
        row = defaults.get(provider.id, {})
        return decide_route(provider, overrides, combine_rows(row, *rows) if rows else row)

    shared = snapshot.derive(decide, "provider", "overrides")
    routes, codes = list(shared.values), array("H", shared.codes)
    providers, overrides = snapshot.factor("provider"), snapshot.factor("overrides")
    deciding = {pattern: row for pattern, row in all_model_overrides() if _DECIDING & row.keys()}
    starts = (*(re.split(r"[*?[]", pattern)[0] for pattern in deciding), *own)
    for number, model_id in enumerate(snapshot.ids):
        if not model_id.startswith(starts):  # most models
            continue
        if model := own.get(model_id):
            record = model.record
            routes.append(find_route(record.provider, record.model, record, addressed=model.address is not None))
        elif rows := [row for pattern, row in deciding.items() if fnmatchcase(model_id, pattern)]:
            routes.append(decide(providers[number], overrides[number], *rows))
        else:
            continue
        codes[number] = len(routes) - 1
    return Factor(routes, codes)


def _user_text() -> str:
    """The user's rows that decide a route, as text: routes are decided anew when the file has changed."""
    return repr([user_rows("providers"), user_rows("models")])
