"""From a model's name to an adapter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from traceback import clear_frames
from typing import TYPE_CHECKING, Any, TypeAlias

from nbkit.adapters.adapter import BaseAdapter
from nbkit.arguments import ModelName, describe, read_count, read_model, read_text
from nbkit.billing.cost import Cost
from nbkit.errors import ArgumentError, ConfigError, ModelNotFoundError
from nbkit.http.addresses import read_base_url
from nbkit.modelsdev.current import current_snapshot
from nbkit.providers.credentials import read_key
from nbkit.providers.endpoints import resolve_endpoint
from nbkit.providers.prices import stand_in
from nbkit.providers.registered import register_provider
from nbkit.providers.resolve import resolve_model

if TYPE_CHECKING:
    from nbkit.providers.models import Model, ModelFilter
    from nbkit.secret import Secret

ModelChoice: TypeAlias = "ModelName | BaseAdapter | Sequence[ModelName | BaseAdapter]"
"""What names one model, its adapter, or a list of models of which the next is asked where one cannot answer."""


class AdapterFactory:
    """Finds adapters. All its methods are static: the registry of providers is one for the process."""

    @staticmethod
    def get_adapter(
        model: ModelChoice,
        *,
        fallback: ModelChoice | None = None,
        api_key: str | Sequence[str] | None = None,
        base_url: str | None = None,
        protocol: str | None = None,
        max_retries: int | None = None,
        cost: Cost | Mapping[str, Any] | None = None,
        same_as: ModelName | None = None,
    ) -> BaseAdapter:
        """The adapter of a model, by its id (`provider/model`), its path, or its name, which its vendor's own provider
        or a single one serves.

        `api_key`: else the provider's environment variables are read when a call is made; of several (a list, or with
        commas between them) a call goes on with the next where one is limited or refused. `base_url`, `protocol`: win
        over what the catalog says. `cost`: what the model costs you, where the catalog is wrong or silent, in USD per
        million tokens: `{"input": 1.5, "output": 6}`, with the keys of the overrides file. `same_as`: the id of the
        model that a deployment or a fine-tune is; then its abilities and its price are known. A model that the catalog
        does not know yet is callable, its cost unknown.

        `fallback`: a model, or several, that are asked in this order where the one before cannot answer: it has no key
        or its key is refused, no connection, a rate limit or a quota that is used up, an error of the server (5xx),
        after `max_retries` of its own. Models and adapters may be mixed; a list in the place of `model` is the same.
        `completion.changes` says which model has answered instead; see `FallbackAdapter`.
        Raises ModelNotFoundError (with the nearest names), ProviderNotSupportedError and ConfigError.
        """
        try:
            secret = read_key(api_key, "get_adapter(): api_key")
        finally:
            del api_key  # a traceback may print the locals of the frames that raise
        if protocol is not None:
            read_text(protocol, "get_adapter(): protocol")
        try:
            if base_url is not None and read_text(base_url, "get_adapter(): base_url"):
                read_base_url(base_url)
        except ConfigError:
            del base_url  # a user and password may stand in it
            raise
        own: dict[str, Any] = {
            "api_key": secret,
            "base_url": base_url,
            "protocol": protocol,
            "cost": cost,
            "same_as": same_as,
        }
        if max_retries is not None:
            max_retries = read_count(max_retries, "get_adapter(): max_retries")
        chosen = model if isinstance(model, list | tuple) else (model,)
        _check_own(model, [name for name, value in own.items() if value is not None])
        others = fallback if isinstance(fallback, list | tuple) else () if fallback is None else (fallback,)
        try:
            adapters = [_make_adapter(one, max_retries, **own) for one in chosen]
            adapters += [_make_adapter(one, max_retries) for one in others]
        except ModelNotFoundError as error:
            clear_frames(error.__traceback__)  # a key may have been given in the place of a model
            del model, fallback, same_as, own, chosen, others
            raise
        if len(adapters) == 1:
            return adapters[0]
        from nbkit.adapters.fallback import FallbackAdapter  # most calls have one model

        return FallbackAdapter(adapters)

    @staticmethod
    def get_model(path: ModelName) -> Model:
        """Look up a model, as `nbkit.get_model` does."""
        from nbkit.providers.models import get_model  # a call does without

        return get_model(path)

    @staticmethod
    def get_supported_models(wanted: ModelFilter | None = None) -> list[Model]:
        """Find the models that `get_adapter` can call: those of the catalog, and those registered by now."""
        from nbkit.providers.models import find_supported_models

        return find_supported_models(wanted)

    @staticmethod
    def register_provider(provider: dict[str, Any], base_url: str | Callable[[], str] | None = None) -> None:
        """Add models of a provider, in the form of one value of models.dev's api.json, to those that it has.

        A model of the same name is replaced. `base_url`, where they are called, may be a function that is called when
        the first call is made. The models are rows of `nbkit.catalog` from then on.
        """
        if not isinstance(provider, dict) or not isinstance(provider.get("id"), str):
            raise ArgumentError(f"register_provider(): expected a dict with an id and models, got {describe(provider)}")
        if not (base_url is None or isinstance(base_url, str) or callable(base_url)):
            raise ArgumentError(f"register_provider(): base_url: expected text or a function, got {describe(base_url)}")
        register_provider(provider, base_url)


def _check_own(model: Any, given: Sequence[str]) -> None:
    """Raise ArgumentError for what belongs to one model, and is given with several or with an adapter."""
    if not given or not isinstance(model, list | tuple | BaseAdapter):
        return
    what = "an adapter has its own" if isinstance(model, BaseAdapter) else "it is for one model of the list"
    raise ArgumentError(f"get_adapter(): {given[0]}: {what}: write get_adapter(model, {given[0]}=...) in its place")


def _make_adapter(
    model: ModelName | BaseAdapter,
    max_retries: int | None,
    api_key: Secret | tuple[Secret, ...] | None = None,
    base_url: str | None = None,
    protocol: str | None = None,
    cost: Cost | Mapping[str, Any] | None = None,
    same_as: ModelName | None = None,
) -> BaseAdapter:
    """Make the adapter of one model; an adapter stays as it is."""
    if isinstance(model, BaseAdapter):
        return model
    model = read_model(model, "get_adapter()")
    same_as = None if same_as is None else read_model(same_as, "get_adapter(): same_as")
    resolved = resolve_model(model, anywhere=base_url is not None)
    if same_as is None:
        resolved.warn_of_typo()
    if cost is not None and not isinstance(cost, Cost):
        if not isinstance(cost, Mapping):
            raise ArgumentError(f"get_adapter(): cost: expected a dict of prices, got {describe(cost)}")
        from nbkit.providers.overrides import check_cost  # few calls name a price

        check_cost(cost, "cost=")
    record, like = stand_in(resolved.provider, resolved.model, resolved.record, same_as)
    endpoint = resolve_endpoint(
        resolved.provider,
        resolved.model,
        record,
        base_url=base_url,
        protocol=protocol,
        keyed=api_key is not None,
        address=resolved.address,
        catalog_date=current_snapshot().meta.date if record else None,
        cost=cost,
        like=like,
    )
    name = resolved.record.name if resolved.record else resolved.model
    return BaseAdapter(endpoint, name=name, api_key=api_key, max_retries=max_retries, record=record)


get_adapter = AdapterFactory.get_adapter
