# The public names of nbkit, each once: a line a name. __init__.py reads these lines when nbkit is imported, so a line
# has the form `from ROOM import NAME as NAME` and nothing else; tests/test_house.py pins the list.
import pandas as pd

from nbkit import errors as errors
from nbkit import settings as settings
from nbkit.adapters.adapter import BaseAdapter as BaseAdapter
from nbkit.adapters.factory import AdapterFactory as AdapterFactory
from nbkit.adapters.factory import get_adapter as get_adapter
from nbkit.adapters.limits import limit as limit
from nbkit.adapters.recorder import record as record
from nbkit.billing.entry import tag as tag
from nbkit.billing.tokens import count_tokens as count_tokens
from nbkit.bookkeeping.budgets import budget as budget
from nbkit.bookkeeping.ledger import ledger as ledger
from nbkit.bookkeeping.replay import replay as replay
from nbkit.choose.changes import changes as changes
from nbkit.choose.coverage import provider_table as provider_table
from nbkit.choose.estimate import estimate as estimate
from nbkit.choose.frame import aload_catalog as aload_catalog
from nbkit.choose.frame import demo_models as demo_models
from nbkit.choose.frame import load_catalog as load_catalog
from nbkit.choose.local_models import local_models as local_models
from nbkit.choose.offers import offers as offers
from nbkit.choose.search import search as search
from nbkit.conversation.completion import ChatCompletion as ChatCompletion
from nbkit.conversation.completion import ChatCompletionChunk as ChatCompletionChunk
from nbkit.conversation.media import attach as attach
from nbkit.conversation.options import ExecuteOptions as ExecuteOptions
from nbkit.conversation.tools import Tool as Tool
from nbkit.conversation.turns import ContentTurn as ContentTurn
from nbkit.conversation.turns import Conversation as Conversation
from nbkit.conversation.turns import ToolOutputTurn as ToolOutputTurn
from nbkit.conversation.turns import ToolsCallTurn as ToolsCallTurn
from nbkit.conversation.turns import Turn as Turn
from nbkit.judging.ranking import rank as rank
from nbkit.notebook import plots as plots
from nbkit.notebook.chat import Chat as Chat
from nbkit.notebook.compare import compare as compare
from nbkit.notebook.grid import grid as grid
from nbkit.notebook.show import show as show
from nbkit.notebook.widgets.pick import pick as pick
from nbkit.providers.env_file import load_env as load_env
from nbkit.providers.health import health as health
from nbkit.providers.models import Model as Model
from nbkit.providers.models import ModelFilter as ModelFilter
from nbkit.providers.models import get_model as get_model
from nbkit.providers.session_keys import set_key as set_key
from nbkit.providers.trust import trust as trust
from nbkit.telemetry.hooks import on as on
from nbkit.telemetry.listeners import trace as trace

__version__: str

catalog: pd.DataFrame

def _write_completion(completion: ChatCompletion) -> dict[str, str]: ...
def _write_conversation(conversation: Conversation) -> dict[str, str]: ...
def load_ipython_extension(ipython: object) -> None: ...
def unload_ipython_extension(ipython: object) -> None: ...
