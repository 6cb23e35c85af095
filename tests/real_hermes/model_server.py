"""A language model that says what it was told to: an OpenAI-compatible server on the loopback interface."""

import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

NAME = "scripted-model"
UNASKED = "Nothing to add."
"""The answer to whatever no script is for: titles, summaries, reviews of Hermes's own."""


class Call(NamedTuple):
    """One use of a tool."""

    tool: str
    arguments: dict[str, Any]


Turn = str | Sequence[Call]
"""Tools to use at once, or, as text, the end of the request."""


class ModelServer:
    """Serves while it is entered.

    ``script`` says, for each prompt, the turns of the answer. Which turn is due follows from the conversation that is
    sent, so that a request that Hermes repeats, in the same process or in another, gets the same answer again.
    ``look`` is called whenever tools are about to be used.
    """

    def __init__(self, script: Mapping[str, Sequence[Turn]], look: Callable[[], Any] = lambda: None) -> None:
        self.script = script
        self.requests: list[dict[str, Any]] = []
        """Bodies of all chat requests, in order."""
        self.seen: list[Any] = []
        """What ``look`` saw, in order."""
        self._look = look
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def answer(self, request: dict[str, Any]) -> Turn:
        """What the model does next. Only the agent itself may use tools; Hermes's other requests have none."""
        self.requests.append(request)
        messages = request["messages"]
        asked = max((place for place, one in enumerate(messages) if one["role"] == "user"), default=-1)
        if asked < 0 or not request.get("tools"):
            return UNASKED
        text = json.dumps(messages[asked]["content"])
        turns = next((turns for prompt, turns in self.script.items() if prompt in text), ())
        done = sum(one["role"] == "assistant" for one in messages[asked:])
        turn = turns[done] if done < len(turns) else UNASKED
        if not isinstance(turn, str):
            self.seen.append(self._look())
        return turn

    def __enter__(self) -> "ModelServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(model: ModelServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format, *arguments):
            """Nothing: pytest shows standard error as if it were a fault."""

        def do_GET(self):
            models = [{"id": NAME, "object": "model", "owned_by": "tests", "context_length": 128_000}]
            if self.path == "/v1/models":
                self._send("application/json", json.dumps({"object": "list", "data": models}))
            else:
                self.send_error(404)

        def do_POST(self):
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path != "/v1/chat/completions":
                self.send_error(404)
                return
            turn = model.answer(request)
            if request.get("stream"):
                events = [json.dumps(one) for one in _chunks(turn)]
                self._send("text/event-stream", "".join(f"data: {one}\n\n" for one in [*events, "[DONE]"]))
            else:
                self._send("application/json", json.dumps(_completion(turn)))

        def _send(self, kind, text):
            body = text.encode()
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler


_SAME = {"id": "scripted", "created": 0, "model": NAME}
_USAGE = {"prompt_tokens": 1000, "completion_tokens": 10, "total_tokens": 1010}


def _message(turn: Turn) -> tuple[dict[str, Any], str]:
    """An assistant's message, and why it ends."""
    if isinstance(turn, str):
        return {"role": "assistant", "content": turn}, "stop"
    calls = [
        {
            "index": number,
            "id": f"call-{os.urandom(4).hex()}",  # Hermes drops results of an id it has seen
            "type": "function",
            "function": {"name": call.tool, "arguments": json.dumps(call.arguments)},
        }
        for number, call in enumerate(turn)
    ]
    return {"role": "assistant", "content": None, "tool_calls": calls}, "tool_calls"


def _completion(turn: Turn) -> dict[str, Any]:
    message, why = _message(turn)
    choice = {"index": 0, "message": message, "finish_reason": why}
    return _SAME | {"object": "chat.completion", "choices": [choice], "usage": _USAGE}


def _chunks(turn: Turn) -> list[dict[str, Any]]:
    """The same as a stream: the message in one piece, why it ends, what it cost."""
    message, why = _message(turn)
    same = _SAME | {"object": "chat.completion.chunk"}
    return [
        same | {"choices": [{"index": 0, "delta": message, "finish_reason": None}]},
        same | {"choices": [{"index": 0, "delta": {}, "finish_reason": why}]},
        same | {"choices": [], "usage": _USAGE},
    ]
