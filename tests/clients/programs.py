"""The clients by name: how each is asked to send, and whether it is on this machine."""

import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.clients import python_clients
from tests.clients.asked import Answered, Asked, File

_HERE = Path(__file__).parent
_NODE = _HERE / "node"
_SECONDS = 90


@dataclass(frozen=True, slots=True)
class Client:
    """A client.

    Attributes:
        send: has it send what is asked.
        forms: which it is used with.
        program: that has to be on the machine; "": it is a package of the tests.
    """

    send: Callable[[Asked], Answered]
    forms: tuple[str, ...] = ("multipart", "json", "urlencoded")
    program: str = ""

    def missing(self) -> str | None:
        """Why it cannot be tried here; None: it can."""
        if not self.program:
            return None
        if shutil.which(self.program) is None:
            return f"no {self.program} on PATH"
        if self.program == "php" and "curl" not in run(("php", "-m"), "").split():
            return "no curl in PHP (Debian: php-curl)"
        return None


def run(command: Sequence[str], stdin: str) -> str:
    """What a program prints.

    Raises:
        AssertionError: it failed; with what it says of that.
    """
    done = subprocess.run(
        command, input=stdin, cwd=_HERE, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"
    return done.stdout


def curl(asked: Asked, *arguments: str) -> Answered:
    """What curl is answered that is called with these arguments."""
    command = ("curl", "--silent", "--show-error", "--write-out", "\n%{http_code}", asked.url)
    body, _, status = run((*command, "--header", f"cookie: {asked.cookie}", *arguments), "").rpartition("\n")
    return Answered(int(status), json.loads(body))


def curl_file(one: File) -> str:
    """The argument of `-F` by which curl sends a file."""
    options = [f"{one.field}=@{_quoted(str(one.path))}"]
    options += [f"type={one.type}"] if one.type else []
    options += [f"filename={_quoted(one.name)}"] if one.name else []
    return ";".join(options)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _by_program(command: Sequence[str], asked: Asked) -> Answered:
    return Answered(**json.loads(run(command, asked.text())))


def _by_node(client: str, asked: Asked) -> Answered:
    assert (_NODE / "node_modules").is_dir(), "The packages of Node's clients are not there: make test-clients"
    return _by_program(("node", str(_NODE / "send.mjs"), client), asked)


def _by_curl(asked: Asked) -> Answered:
    if asked.form == "json":
        body = json.dumps({**asked.fields, **asked.objects})
        return curl(asked, "--header", "content-type: application/json", "--data-binary", body)
    option = "--form-string" if asked.form == "multipart" else "--data-urlencode"
    fields = [word for name, value in asked.members().items() for word in (option, f"{name}={value}")]
    files = [word for one in asked.files for word in ("--form", curl_file(one))]
    return curl(asked, *fields, *files)


CLIENTS = {
    "requests": Client(python_clients.by_requests),
    "httpx": Client(python_clients.by_httpx),
    "aiohttp": Client(python_clients.by_aiohttp),
    "fetch": Client(partial(_by_node, "fetch"), program="node"),
    "axios": Client(partial(_by_node, "axios"), program="node"),
    "got": Client(partial(_by_node, "got"), program="node"),
    "form-data": Client(partial(_by_node, "form-data"), ("multipart",), program="node"),
    "php": Client(partial(_by_program, ("php", str(_HERE / "send.php"))), program="php"),
    "curl": Client(_by_curl, program="curl"),
}
