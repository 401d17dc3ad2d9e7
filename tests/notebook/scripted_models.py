"""Adapters that answer by a script and at a pace, for comparisons that must fail, wait or be stopped."""

import asyncio
import time

from nbkit.adapters.adapter import BaseAdapter
from nbkit.billing.cost import Cost
from nbkit.conversation.completion import Bill, Change, ChatCompletion, ChatCompletionChunk, Timing, Usage
from nbkit.conversation.turns import Conversation
from nbkit.providers.endpoints import Endpoint


class Scripted(BaseAdapter):
    """Answers with `pieces` (its turn's, where there are several lists), `wait` seconds before each.

    An exception among the pieces is raised there; `None` waits for ever.
    """

    def __init__(self, name, *turns, wait=0.0, price=0.000001, reasoning=""):
        super().__init__(Endpoint("scripted", name, "openai-chat", "", cost=Cost({"input": 1.0})), name=name.title())
        self.turns, self.wait, self.price, self.reasoning = turns or (["Hi"],), wait, price, reasoning
        self.asked = []
        self.options = []

    def astream(self, conversation, **options):
        self.asked.append(Conversation(conversation))
        self.options.append(options)
        return _Stream(self, self.turns[min(len(self.asked), len(self.turns)) - 1])


class _Stream:
    def __init__(self, model, pieces):
        self.model, self.pieces, self.text, self.complete = model, pieces, [], False
        self.began = time.monotonic()
        self.first = None

    async def __aenter__(self):
        return self

    async def __aexit__(self, *exc):
        await asyncio.sleep(0)

    async def __aiter__(self):
        due = time.monotonic()
        if self.model.reasoning:
            yield ChatCompletionChunk(reasoning=self.model.reasoning)
        for piece in self.pieces:
            if isinstance(piece, Exception):
                raise piece
            if piece is None:
                await asyncio.Event().wait()
            due += self.model.wait
            if (delay := due - time.monotonic()) > 0:
                await asyncio.sleep(delay)
            self.first = self.first or time.monotonic() - self.began
            self.text.append(piece)
            yield ChatCompletionChunk(text=piece)
        self.complete = True

    @property
    def completion(self):
        usage = Usage(input=10, output=len(self.text))
        usd = None if self.model.price is None else self.model.price * usage.total_tokens
        return ChatCompletion(
            text="".join(self.text),
            model=self.model.model_id,
            finish_reason="stop" if self.complete else None,
            usage=usage,
            bill=Bill(usd, "catalog" if self.complete else "partial"),
            timing=Timing(self.first, time.monotonic() - self.began),
            changes=(Change("dropped", "temperature", "the model does not take it"),) if self.model.reasoning else (),
        )
