"""Every exception of nbkit.

NbkitError
├── ConfigError                      a setting, an override or an endpoint's address is wrong
│   ├── ApiKeyNotFoundError          none of the provider's key variables is set
│   └── UntrustedEndpointError       the catalog would send a call to a host that nobody has reviewed
├── CatalogError                     models.dev's data could not be read
├── ModelNotFoundError               no such model (LookupError); says the nearest names
├── ProviderNotSupportedError        the provider speaks a protocol that nbkit does not
├── ConversationError                what was said cannot be understood (ValueError); names the turn
├── UnsupportedFeatureError          the model cannot do what was asked; raised before anything is sent
├── AnswerFormatError                the answer is not of the form asked for (ValueError)
├── ToolLoopError                    a run with tools reached its limit; holds what was said, and what it cost
└── AdapterError                     a call failed; carries provider, model, status, attempts ...
    ├── TransportError               no answer: connection, time-out, reset, redirect
    ├── AuthenticationError          401, 403
    ├── BadRequestError              400, 404, 413, 422 ...
    │   ├── ContextLengthError       the conversation is longer than the model reads
    │   └── ContentFilterError       the provider refused the content
    ├── RateLimitError               429; `retry_after` in seconds where the provider says it
    ├── ProviderError                5xx, or an answer that cannot be understood
    └── StreamError                  a stream broke off; `.partial` is the completion so far

Errors hold plain data only (no request, header or key), so they are safe to log and to pickle.
"""

from __future__ import annotations

from typing import Any


class NbkitError(Exception):
    """Anything that nbkit raises on purpose."""


class ConfigError(NbkitError):
    """A setting, an override or an endpoint's address is wrong."""


class ApiKeyNotFoundError(ConfigError):
    """None of the provider's key variables is set.

    `provider` and `variables` say whose key was looked for, and where.
    """

    def __init__(self, provider: str, variables: tuple[str, ...]) -> None:
        self.provider, self.variables = provider, variables
        where = f"set {' or '.join(variables)}" if variables else "its key variable is not known"
        super().__init__(f"no API key for {provider}: {where}, or pass api_key=")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.provider, self.variables)


class UntrustedEndpointError(ConfigError):
    """The catalog would send a call where nothing that came with nbkit does. Raised before anything is sent.

    `host`: where the catalog points to now; `shipped`: the provider's hosts that came with nbkit; `variables`: what the
    catalog asks for that did not.
    """

    def __init__(self, provider: str, host: str, shipped: tuple[str, ...], variables: tuple[str, ...] = ()) -> None:
        self.provider, self.host, self.shipped, self.variables = provider, host, shipped, variables
        who = f"{provider} now" if shipped else f"{provider}, which did not come with nbkit,"
        came = f" (shipped: {', '.join(shipped)})" if shipped else ""
        asks = f", with {' and '.join(variables)}" if variables else ""
        super().__init__(
            f"{who} points to {host}{came}{asks}; pass base_url= and api_key= yourself, or nbkit.trust({provider!r})"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.provider, self.host, self.shipped, self.variables)


class CatalogError(NbkitError):
    """models.dev's data could not be fetched or read."""


class ModelNotFoundError(NbkitError, LookupError):
    """No model goes by that name. `name` is what was asked, `nearest` the ids that come close."""

    def __init__(self, name: str, nearest: tuple[str, ...] = (), why: str = "") -> None:
        self.name, self.nearest, self.why = name, nearest, why
        text = why or f"no model {name!r}"
        if nearest:
            text += f"; did you mean {', '.join(nearest)}?"
        super().__init__(text)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.name, self.nearest, self.why)


class ProviderNotSupportedError(NbkitError):
    """The provider speaks a protocol that nbkit does not."""


class ConversationError(NbkitError, ValueError):
    """What was said cannot be understood; the message names the turn's index and what was expected."""


class UnsupportedFeatureError(NbkitError):
    """The model cannot do what was asked. Raised before anything is sent."""


class AnswerFormatError(NbkitError, ValueError):
    """The answer is not of the form that was asked for. `text` is the answer."""

    def __init__(self, message: str, text: str) -> None:
        super().__init__(message)
        self.text = text

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.text)


class ToolLoopError(NbkitError):
    """A run with tools reached its limit of turns or money before the model was done.

    `conversation`: what was said; it ends with the calls that were not run, so a run of it goes on with them.
    `completions`: the answers so far. `cost`: USD of all of them, None where one is unknown.
    """

    def __init__(self, message: str, conversation: Any, completions: tuple[Any, ...], cost: float | None) -> None:
        super().__init__(message)
        self.conversation, self.completions, self.cost = conversation, completions, cost

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.conversation, self.completions, self.cost)


class AdapterError(NbkitError):
    """A call failed.

    `provider`, `model`: whom was asked. `status`: the HTTP status, None where there was none.
    `code`: the provider's own error code. `request_id`: the provider's id of the call.
    `retry_after`: seconds to wait, where the provider says so. `attempts`: how often it was tried.
    `body`: the start of the provider's answer, as text, cleaned of the key.
    `partial`: the completion so far, where a stream broke off.
    """

    def __init__(
        self,
        message: str,
        *,
        provider: str = "",
        model: str = "",
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        attempts: int = 1,
        body: str | None = None,
        partial: Any = None,
    ) -> None:
        super().__init__(message)
        self.provider, self.model = provider, model
        self.status, self.code, self.request_id = status, code, request_id
        self.retry_after, self.attempts, self.body, self.partial = retry_after, attempts, body, partial

    @property
    def message(self) -> str:
        """What happened, in the provider's words where it said any."""
        return str(self.args[0])

    @message.setter
    def message(self, message: str) -> None:
        self.args = (message,)

    def __str__(self) -> str:
        who = "/".join(part for part in (self.provider, self.model) if part)
        facts = [
            f"HTTP {self.status}" if self.status else "",
            f"code {self.code}" if self.code else "",
            f"request {self.request_id}" if self.request_id else "",
            f"retry after {self.retry_after:g} s" if self.retry_after is not None else "",
            f"{self.attempts} attempts" if self.attempts > 1 else "",
        ]
        said = ", ".join(fact for fact in facts if fact)
        return (f"{who}: " if who else "") + self.message + (f" ({said})" if said else "")

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, {**vars(self)})


def _rebuild(kind: type[AdapterError], message: str, state: dict[str, Any]) -> AdapterError:
    """Unpickle an AdapterError: keyword arguments do not survive Exception's own __reduce__."""
    error = kind(message)
    vars(error).update(state)
    return error


class TransportError(AdapterError):
    """No answer arrived: connection refused or lost, time-out, deadline passed, redirect refused."""


class AuthenticationError(AdapterError):
    """The provider did not accept the key (401, 403)."""


class BadRequestError(AdapterError):
    """The provider did not accept the request (400, 404, 413, 422 ...)."""


class ContextLengthError(BadRequestError):
    """The conversation is longer than the model reads."""


class ContentFilterError(BadRequestError):
    """The provider refused the content."""


class RateLimitError(AdapterError):
    """Too many requests, or the quota is used up (429)."""


class ProviderError(AdapterError):
    """The provider failed (5xx), or its answer cannot be understood."""


class StreamError(AdapterError):
    """A stream broke off before the provider said that the answer is complete; `.partial` holds what came."""
