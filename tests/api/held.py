"""A request of which the last byte is held back, so that something can happen while it is under way."""

import http.client
import json
from types import TracebackType
from typing import Any, Self
from unittest.mock import patch

from chatwren.service import sessions
from tests.api.conftest import Person
from tests.waiting import wait_until


class Held:
    """Under way within its context, where the guard has asked who sends it and let it through.

    Args:
        person: who sends it.
        method: its method.
        path: where to.
        given: its body, as httpx takes it.
    """

    def __init__(self, person: Person, method: str, path: str, **given: Any) -> None:
        self._person = person
        self._request = person.http.build_request(method, path, **given)
        self._asked = patch.object(sessions, "_KNOWN_SECONDS", 0)  # nobody is supposed to be who they were
        self._connection = http.client.HTTPConnection("127.0.0.1", person.server.port, timeout=30)

    def __enter__(self) -> Self:
        self._asked.start()
        server, session = self._person.server, "SELECT FROM session WHERE user_id = $1 AND last_seen_at > now()"
        server.sql("UPDATE session SET last_seen_at = now() - interval '6 minutes' WHERE user_id = $1", self._person.id)
        self._connection.putrequest(self._request.method, self._request.url.raw_path.decode(), skip_host=True)
        for name, value in self._request.headers.items():
            self._connection.putheader(name, value)
        self._connection.endheaders(self._request.read()[:-1])
        # The guard notes that it is used.
        wait_until(lambda: server.sql(f"{session} - interval '5 minutes'", self._person.id))
        return self

    def finish(self) -> tuple[int, Any]:
        """Send the last byte. The answer's status and body."""
        self._connection.send(self._request.read()[-1:])
        answer = self._connection.getresponse()
        return answer.status, json.loads(answer.read())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
        self._asked.stop()
