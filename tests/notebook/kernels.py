"""A real ipykernel, and what it sends: for what happens live."""

import json
import os
import time
import zlib
from pathlib import Path
from queue import Empty

import scripted_models
from jupyter_client.manager import KernelManager

PATIENCE = scripted_models.PATIENCE
SETUP = f"""
import sys, threading
sys.path.insert(0, {str(Path(scripted_models.__file__).parent)!r})
import nbkit
from nbkit.errors import *
from nbkit.bulk import portal
from nbkit.notebook.compare import compare
from nbkit.notebook.chat import Chat
from interrupts import call_when_main_waits
from scripted_models import Scripted
"""


class Kernel:
    """Runs cells as a front end does, and collects the messages of IOPub in `messages`."""

    def __init__(self, directory):
        self.manager = KernelManager(kernel_name="python3", transport="ipc", ip=str(directory / "kernel"))
        self.manager.start_kernel(env=_environment(directory))
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE)
        self.messages = []
        self.run(SETUP)

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def run(self, code, *, person=True, cell=None, deleted=()):
        """Run a cell; its messages. `person`: whether the front end could ask somebody for input. `cell`: its id.
        `deleted`: the ids of cells that were deleted before; None: a front end that does not tell, unlike Jupyter's."""
        start = len(self.messages)
        cell = self.begin(code, person=person, cell=cell, deleted=deleted)
        self.until(lambda: any(is_end(message, cell) for message in self.messages[start:]))
        return self.messages[start:]

    def begin(self, code, *, person=True, cell=None, deleted=()):
        metadata = {"cellId": cell} if cell else {}
        metadata |= {} if deleted is None else {"deletedCells": list(deleted)}
        content = {"code": code, "silent": False, "store_history": True, "allow_stdin": person}
        message = self.client.session.msg("execute_request", content, metadata=metadata)
        self.client.shell_channel.send(message)
        return message["header"]["msg_id"]

    def until(self, true):
        """Listen until something is true."""
        end = time.monotonic() + PATIENCE
        while not true():
            try:
                message = self.client.get_iopub_msg(timeout=0.05)
            except Empty:
                assert time.monotonic() < end, f"it did not happen: {[m['msg_type'] for m in self.messages[-10:]]}"
                continue
            self.messages.append(message)
            assert message["msg_type"] != "error", message["content"]["traceback"]

    def value(self, expression):
        """The value of an expression, as JSON brings it."""
        messages = self.run(f"import json; print(json.dumps({expression}))")
        return json.loads("".join(m["content"]["text"] for m in messages if m["msg_type"] == "stream"))

    def send(self, comm, content, *buffers):
        """Send a widget a message, as its view does."""
        data = {"method": "custom", "content": content}
        session, message = self.client.session, {"comm_id": comm, "data": data}
        session.send(self.client.shell_channel.socket, "comm_msg", message, buffers=list(buffers))

    def widget(self):
        """The comm of the last widget made."""
        return self.widgets()[-1]

    def widgets(self):
        """The comms of the widgets, as they were made."""
        opened = [message["content"] for message in self.messages if message["msg_type"] == "comm_open"]
        return [content["comm_id"] for content in opened if content["data"]["state"]["_model_module"] == "anywidget"]

    def sent(self, comm):
        """The custom messages that a widget has sent."""
        return [data["content"] for data in self._comm_data(comm) if data["method"] == "custom"]

    def states(self, comm):
        """The snapshots that a widget has kept in its trait `state`."""
        kept = [m for m in self._comm_messages(comm) if ["state"] in m["content"]["data"].get("buffer_paths", [])]
        return [json.loads(zlib.decompress(message["buffers"][0])) for message in kept]

    def _comm_data(self, comm):
        return [message["content"]["data"] for message in self._comm_messages(comm)]

    def _comm_messages(self, comm):
        messages = [m for m in self.messages if m["msg_type"] == "comm_msg"]
        return [message for message in messages if message["content"]["comm_id"] == comm]


def displays(messages, mime, kind="display_data"):
    """The bundles among some messages that have a form."""
    return [m["content"]["data"] for m in messages if m["msg_type"] == kind and mime in m["content"]["data"]]


def is_end(message, cell):
    """Whether a message ends a cell."""
    idle = message["msg_type"] == "status" and message["content"]["execution_state"] == "idle"
    return idle and message["parent_header"].get("msg_id") == cell


def _environment(directory):
    return os.environ | {
        "IPYTHONDIR": str(directory),
        "NBKIT_OFFLINE": "1",
        "NBKIT_DEMO_TOKENS_PER_SECOND": "0",
        "NBKIT_CACHE_DIR": str(directory),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
