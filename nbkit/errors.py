"""Every exception of nbkit.

NbkitError
├── ConfigError                      a setting, a row of the overrides file or an address is wrong
│   ├── ArgumentError                a wrong argument (TypeError, ValueError); says what was expected
│   ├── ApiKeyNotFoundError          none of the provider's key variables is set
│   └── UntrustedEndpointError       the catalog would send a call to a host that was not reviewed
├── CatalogError                     models.dev's data could not be read
├── LedgerError                      the record of paid calls cannot be read
├── ModelNotFoundError               no model of that name (LookupError); says the nearest names
├── ReplayMissError                  no answer to this request was kept; says how to make one
├── ProviderNotSupportedError        nbkit does not speak the provider's protocol; says what to do
├── ConversationError                a conversation of the wrong form (ValueError); names the turn
├── UnsupportedFeatureError          the model cannot do what the request needs; raised before it is sent
├── BudgetExceededError              a call might cost more than a budget has left; it was not sent
├── AnswerFormatError                the answer does not have the requested form (ValueError)
├── ToolLoopError                    a run with tools reached its limit; holds the conversation and its cost
└── AdapterError                     a call failed; carries provider, model, status, attempts ...
    ├── TransportError               no answer: connection, timeout, reset, redirect
    ├── AuthenticationError          401, 403
    ├── BadRequestError              400, 404, 413, 422 ...
    │   ├── ContextLengthError       the conversation is longer than the model's context
    │   └── ContentFilterError       the provider refused the content
    ├── RateLimitError               429; `retry_after` in seconds where the provider gives it
    ├── ProviderError                5xx, or an answer that cannot be understood
    └── StreamError                  a stream broke off; `partial` is the completion so far

Errors hold plain data only (no request, header or key), so they are safe to log and to pickle.

In a notebook each is one line: its message explains itself, and `%tb` shows where it comes from. Anything else that is
raised is a mistake of nbkit's own, or of another package, and keeps its traceback.
"""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable
from typing import Any


class NbkitError(Exception):
    """The base of every exception that nbkit raises on purpose.

    `errors`: those of the models that were asked before, where a call has fallbacks; the message names them, too.
    """

    errors: tuple[NbkitError, ...] = ()

    def __str__(self) -> str:
        return super().__str__() + self._tell_errors()

    def _tell_errors(self) -> str:
        before = "; ".join(map(str, self.errors))
        return f"; before it {before}" if before else ""

    @property
    def _render_traceback_(self) -> Callable[[], list[str]]:
        """A function that IPython calls for its text, in the place of a traceback, when the error leaves a cell.

        Later the attribute is missing, so that `%tb` shows the whole traceback as IPython makes it.
        """
        if sys.exc_info()[1] is not self:
            raise AttributeError("_render_traceback_")
        return lambda: [_write_line(self)]


def _write_line(error: NbkitError) -> str:
    """Write an error in one line, with the line of the cell that led to it where the cell has several."""
    message = " ".join("".join(one if one.isprintable() else " " for one in str(error)).split())
    place, trace = "", error.__traceback__
    while trace:
        file = trace.tb_frame.f_code.co_filename
        if trace.tb_frame.f_globals.get("__name__") == "__main__" and len(linecache.getlines(file)) > 1:
            place = f"line {trace.tb_lineno}; "
        trace = trace.tb_next
    return f"\x1b[31m{type(error).__name__}\x1b[39m: {message} ({place}%tb shows the traceback)"


def name_plural(variable: str) -> str:
    """Name the variable that holds several keys, by that of one key: OPENAI_API_KEYS."""
    return f"{variable}S"


class ConfigError(NbkitError):
    """A setting, a row of the overrides file or an endpoint's address is wrong."""


class ArgumentError(ConfigError, TypeError, ValueError):
    """An argument of a public function is wrong; the message says what was expected and what was given."""


class ApiKeyNotFoundError(ConfigError):
    """None of the provider's key variables is set.

    `provider`: whose key is missing. `variables`: the environment variables that may hold it.
    """

    def __init__(self, provider: str, variables: tuple[str, ...]) -> None:
        self.provider, self.variables = provider, variables
        where = f"set {' or '.join(variables)}" if variables else "no variable is known to hold it"
        several = f" ({name_plural(variables[0])} for several keys, separated by commas)" if variables else ""
        ask = f"; nbkit.set_key({provider!r}) asks for one" if variables else ""
        super().__init__(f"no API key for {provider}: {where}, or pass api_key={several}{ask}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.provider, self.variables), {**vars(self)}


class UntrustedEndpointError(ConfigError):
    """The catalog would send a call to a host, or with a variable, that was not reviewed. Raised before it is sent.

    `host`: where the catalog points to now. `shipped`: the provider's hosts that came with nbkit. `variables`: the
    environment variables that would be sent there, and were not reviewed.
    """

    def __init__(self, provider: str, host: str, shipped: tuple[str, ...], variables: tuple[str, ...] = ()) -> None:
        self.provider, self.host, self.shipped, self.variables = provider, host, shipped, variables
        who = f"{provider} now" if shipped else f"{provider}, which did not come with nbkit,"
        hosts = f" (shipped: {', '.join(shipped)})" if shipped else ""
        names = f", with {' and '.join(variables)}" if variables else ""
        super().__init__(
            f"{who} points to {host}{hosts}{names}; pass base_url= and api_key= yourself, or nbkit.trust({provider!r})"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.provider, self.host, self.shipped, self.variables)


class CatalogError(NbkitError):
    """models.dev's data could not be fetched or read."""


class LedgerError(NbkitError):
    """The record of paid calls cannot be read."""


class ModelNotFoundError(NbkitError, LookupError):
    """No model, or more than one, has that name. `name`: as it was given; `nearest`: ids that come close."""

    def __init__(self, name: str, nearest: tuple[str, ...] = (), why: str = "") -> None:
        self.name, self.nearest, self.why = name, nearest, why
        text = why or f"no model {name!r}"
        if not (why or nearest):
            text += "; nbkit.search('words') lists models"
        if nearest:
            text += f"; did you mean {', '.join(nearest)}?"
        super().__init__(text)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.name, self.nearest, self.why)


class ReplayMissError(NbkitError):
    """No answer to this request was kept, and `replay(mode="only")` sends nothing.

    `model`: the model id. `place`: where answers are kept. `request`: the digest of the request. `number`: which answer
    to this request was wanted, from 0. `prompt`: what was asked, or its beginning.
    """

    def __init__(self, model: str, place: str, request: str, number: int, prompt: str) -> None:
        self.model, self.place, self.request, self.number, self.prompt = model, place, request, number, prompt
        which = f"answer {number + 1} to this request" if number else "answer to this request"
        super().__init__(
            f"{model}: {place} has no {which}: {prompt!r} (request {request[:12]}). Nothing was sent: mode='only'. "
            "Run the notebook once with mode='auto', which asks the model and keeps its answer"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.model, self.place, self.request, self.number, self.prompt)


class ProviderNotSupportedError(NbkitError):
    """nbkit does not speak the provider's protocol, or does not know its address; the message says what to pass."""


class ConversationError(NbkitError, ValueError):
    """A conversation has the wrong form; the message names the turn's index and what was expected."""


class UnsupportedFeatureError(NbkitError):
    """The model cannot do what the request needs. Raised before anything is sent.

    `model`: the model id. `feature`: what it lacks, as the capability is called (`vision`, `tools`), the media type
    that it does not read, or `strict` for a request that would have to be changed; "" where it has no name.
    """

    def __init__(self, message: str, *, model: str = "", feature: str = "") -> None:
        super().__init__(message)
        self.model, self.feature = model, feature

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args[0], {**vars(self)})


class BudgetExceededError(NbkitError):
    """A call might cost more than a budget has left. Raised before it is sent.

    `model`: the model id. `usd`: the budget in USD, `per`: what it is for ("block", "day" ...), `spent` and `reserved`:
    USD of it that are gone. `most`: what the call may cost in USD; None where that is not known.
    """

    def __init__(
        self,
        message: str,
        *,
        model: str = "",
        usd: float = 0.0,
        per: str = "",
        spent: float = 0.0,
        reserved: float = 0.0,
        most: float | None = None,
    ) -> None:
        super().__init__(message)
        self.model, self.usd, self.per = model, usd, per
        self.spent, self.reserved, self.most = spent, reserved, most

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args[0], {**vars(self)})


class AnswerFormatError(NbkitError, ValueError):
    """The answer does not have the requested form. `text` is the answer."""

    def __init__(self, message: str, text: str) -> None:
        super().__init__(message)
        self.text = text

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.text)


class ToolLoopError(NbkitError):
    """A run with tools reached its limit of turns or money before the model was done.

    `conversation`: the turns so far; it ends with the calls that were not run, so a run of it goes on with them.
    `completions`: the answers so far. `cost`: USD of all of them, None where one is unknown.
    """

    def __init__(self, message: str, conversation: Any, completions: tuple[Any, ...], cost: float | None) -> None:
        super().__init__(message)
        self.conversation, self.completions, self.cost = conversation, completions, cost

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.conversation, self.completions, self.cost)


class AdapterError(NbkitError):
    """A call failed.

    `provider`, `model`: of the call. `status`: the HTTP status, None without an answer.
    `code`: the provider's own error code. `request_id`: the provider's id of the call.
    `retry_after`: seconds to wait, where the provider gives them. `attempts`: how many requests were sent.
    `body`: the start of the provider's answer, as text without the key.
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
        """What happened, in the provider's words where its answer has any."""
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
        details = ", ".join(fact for fact in facts if fact)
        return (f"{who}: " if who else "") + self.message + (f" ({details})" if details else "") + self._tell_errors()

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, {**vars(self)})


def _rebuild(kind: type[NbkitError], message: str, state: dict[str, Any]) -> NbkitError:
    """Unpickle an error: keyword arguments do not survive Exception's own __reduce__."""
    error = kind(message)
    vars(error).update(state)
    return error


class TransportError(AdapterError):
    """No answer arrived: connection refused or lost, timeout, deadline passed, redirect refused."""


class AuthenticationError(AdapterError):
    """The provider did not accept the key (401, 403)."""


class BadRequestError(AdapterError):
    """The provider did not accept the request (400, 404, 413, 422 ...)."""


class ContextLengthError(BadRequestError):
    """The conversation is longer than the model's context."""


class ContentFilterError(BadRequestError):
    """The provider refused the content."""


class RateLimitError(AdapterError):
    """Too many requests, or the quota is used up (429)."""


class ProviderError(AdapterError):
    """The provider failed (5xx), or its answer cannot be understood."""


class StreamError(AdapterError):
    """A stream broke off before the provider's sign that the answer is complete; `partial` is the completion so far."""
