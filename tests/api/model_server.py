"""A server of a language model that behaves as it is told to, well or badly. One request a connection."""

import json
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

Behaviour = Callable[[socket.socket, "ModelServer"], None]


class ModelServer:
    """Listens as long as its context.

    Attributes:
        behave: what it does with a request that it has read.
        heads: of the requests that came.
        asked: their bodies.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        self.behave: Behaviour = says([])
        self.heads: list[str] = []
        self.asked: list[dict[str, Any]] = []
        self.let_go = threading.Event()
        """Set when whoever keeps a connection waiting is to end."""

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.let_go.set()
        self._listener.close()

    @property
    def message(self) -> str:
        """The text that was given to be reworded last."""
        found: str = json.loads(self.asked[-1]["messages"][-1]["content"])["message"]
        return found

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            found = b""
            while b"\r\n\r\n" not in found:
                found += connection.recv(65_536)
            head, _, body = found.partition(b"\r\n\r\n")
            lines = head.decode().lower().split("\r\n")
            length = next(int(line.partition(":")[2]) for line in lines if line.startswith("content-length"))
            while len(body) < length:
                body += connection.recv(65_536)
            self.heads.append(head.decode())
            self.asked.append(json.loads(body))
            try:
                self.behave(connection, self)
            except OSError:
                return  # whoever asked has left


def answers(body: bytes, *, status: str = "200 OK", head: str = "") -> Behaviour:
    """Gives an answer of HTTP."""

    def behave(connection: socket.socket, _: ModelServer) -> None:
        lines = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{head}\r\n"
        connection.sendall(lines.encode() + body)

    return behave


def content(said: object) -> Behaviour:
    """Answers as the API does, with this as what the model says."""
    return answers(json.dumps({"choices": [{"message": {"role": "assistant", "content": said}}]}).encode())


def says(texts: list[str]) -> Behaviour:
    """A model that answers as it is asked to."""
    return content(json.dumps(texts))


def is_silent(_: socket.socket, server: ModelServer) -> None:
    """Never answers."""
    server.let_go.wait()


def never_ends(connection: socket.socket, server: ModelServer) -> None:
    """Answers a byte at a time, for ever."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while not server.let_go.wait(0.01):
        connection.sendall(b" ")


def is_huge(connection: socket.socket, server: ModelServer) -> None:
    """Answers as much as is taken."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while not server.let_go.is_set():
        connection.sendall(b" " * 65_536)


def breaks_off(connection: socket.socket, _: ModelServer) -> None:
    """Closes in the middle of its answer."""
    connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"choices": [')


def hangs_up(_: socket.socket, __: ModelServer) -> None:
    """Closes without an answer."""
