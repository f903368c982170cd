"""What one connection may do: requests come one after the other, and what comes around a body has bounds."""

import contextlib
from asyncio import TimerHandle, Transport
from collections.abc import Hashable
from functools import lru_cache
from typing import Final, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from chatwren.domain.addresses import network_of
from chatwren.domain.errors import ChatwrenError, Invalid, Transient, Unavailable
from chatwren.domain.sizes import size
from chatwren.web.http.connections import ClientConnections
from chatwren.web.http.errors import HeadersTooLarge, TooSlow, plain_answer
from chatwren.web.http.memory import HELD, LITTLE, OWNER, Held, Memory
from chatwren.web.http.writes import join

MAX_HEAD_BYTES: Final = 32 * 1024
"""Request line and headers together; also what follows them and is no body."""
MAX_HEADERS: Final = 100
"""Each costs some 100 bytes besides its own."""
MAX_AHEAD_BYTES: Final = 8 * 1024
"""Requests that come before their turn may have so many."""
MAX_BLANK_BYTES: Final = 64
"""Empty lines before a request: some clients send one after a body."""
MAX_BLANK_LINES: Final = 64
"""Of one request. At each its end may be, and to ask the parser costs as much as to parse a whole piece."""
MAX_UNREAD_BYTES: Final = 64 * 1024
"""Of chunks that come once the answer has begun: so many are parsed, in case that they end soon."""

_HEAD_SECONDS = 10.0
_REST_SECONDS = 5.0
"""How long may come what nobody reads: the answer is out, and whoever sends on hears it first."""
STALL_SECONDS: Final = 60.0
"""How long a client may take nothing of what is sent to it."""
_REFUSED_SECONDS = 5
_HEAD_COSTS = 8
"""How many times its bytes a head takes: with every layer that has read it, 247 KB for one of 30 KB."""
_READING = frozenset({"GET", "HEAD"})
_LENGTH_DIGITS = 20
"""The longest Content-Length that anybody means has so many: no layer reads a longer one as a number."""
_PIECE_BYTES = 16 * 1024
"""Parsed at once, where it is no body of a known length."""
_network = lru_cache(4096)(network_of)
_BLANK = b"\r\n\r\n"
"""Where a head ends, and a body that comes in chunks; the parser takes no other."""


class BoundedConfig(uvicorn.Config):
    """What the protocols of one server share."""

    connections: ClientConnections
    memory: Memory


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with bounds on connections and on what comes around a request, and with answers in our form.

    uvicorn collects headers as long as they come, also those after a body, waits for their end for ever, accepts as
    many clients as come, and of requests that come at once tells only the last that the client has gone.
    """

    _head_open = _message_open = _deaf = False
    _under_way: RequestResponseCycle | None = None
    """The request whose answer is not out."""
    _aside = 0
    """Bytes of empty lines and a head, or of chunks' sizes and trailers, since there was anything else."""
    _coming = 0
    """Bytes that came and are not parsed."""
    _length = 0
    _body_left = 0
    """Bytes that will come of a body of a known length."""
    _unread = 0
    """Bytes of chunks that came since the answer began."""
    _blank_lines_left = MAX_BLANK_LINES
    _edge = b""
    _answered: tuple[Hashable, ...] = (None,)
    """Whose was the request before."""
    _timer: TimerHandle | None = None
    _stall_timer: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Find room for it, and give the first request its time."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=LITTLE)  # what is more counts
        self._ahead = bytearray()
        self._held = Held()
        self._connections = cast("BoundedConfig", self.config).connections
        self._memory = cast("BoundedConfig", self.config).memory
        if self._connections.enter(self, self.client[0] if self.client else ""):
            self._start_timer()
        else:
            self._say(
                Unavailable(
                    "There are too many connections.", code="too_many_connections", retry_after=_REFUSED_SECONDS
                )
            )
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it and its time limits."""
        self._stop_timer()
        self.resume_writing()
        self._connections.leave(self)
        super().connection_lost(exc)
        if self._under_way is not None:
            self._memory.leave(self._held)
        else:
            self._memory.drop(self._held)
        self._forget()

    def data_received(self, data: bytes) -> None:
        """Parse what came, piece by piece: the next request begins a piece, and waits for the answer to this one."""
        if not self._hears():
            return
        self._coming = len(data)
        if self._coming > LITTLE:
            self._count()  # where there is no room, nothing is begun
        seen = self._edge + data  # a blank line may come in two reads
        at = len(self._edge)
        self._edge = seen[1 - len(_BLANK) :]
        while at < len(seen) and self._hears():
            answering = self._answering()
            if answering is not None:
                self._keep(answering, seen[at:])
                break
            if not self._message_open and seen[at] in b"\r\n":
                at = self._skip_blank(seen, at)
                continue
            end = self._end_of_piece(seen, at)
            self._parse(seen[at:end])
            at = end
        if self._head_open and self._timer is None:
            self._start_timer()
        self._coming = 0
        self._count()

    def on_message_begin(self) -> None:
        """Begin to count.

        Raises:
            ValueError: the answer to the request before is not out, so that it ended elsewhere than we thought.
        """
        if self._answering() is not None:
            raise ValueError
        self._head_open = self._message_open = True
        self._length = 0
        self._stop_timer()  # of the connection's beginning; most heads come whole, and need none of their own
        super().on_message_begin()
        self.scope["state"][HELD] = self._held

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header of the head. One that comes after the body was seen by no layer that rules by headers.

        Raises:
            ValueError: there are too many, or the body's length is no number that anybody means.
        """
        if not self._head_open:
            return
        super().on_header(name, value)
        if len(self.headers) > MAX_HEADERS:
            self._refuse(HeadersTooLarge(f"There are more than {MAX_HEADERS} headers."))
            raise ValueError
        if self.headers[-1][0] == b"content-length":
            if len(value) > _LENGTH_DIGITS:
                raise ValueError
            self._length = int(value)

    def on_headers_complete(self) -> None:
        """From here on the application bounds what comes.

        Raises:
            ValueError: the request is for a proxy (`GET http://…`), whose Host would be another than the one in it.
        """
        if not self.url.startswith(b"/"):
            raise ValueError(self.url)
        self._head_open = False
        self._held.head = _HEAD_COSTS * self._aside
        self._held.kept += self._held.head
        self._aside = 0
        self._body_left = self._length
        self._stop_timer()
        self._connections.busy(self)
        super().on_headers_complete()
        self._under_way = self.cycle
        join(self.cycle, self.loop)

    def on_body(self, body: bytes) -> None:
        """Count what is left. It goes to nobody once the answer has begun: whoever streams one would throw it away."""
        self._aside = 0
        self._body_left = max(0, self._body_left - len(body))
        if self._under_way is not None and not self._under_way.response_started:
            self._held.kept += len(body)
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Be ready for the next, unless the parser takes none: after an Upgrade it does not know a body's end.

        Nor where the end was not looked for: a part of the next may have been in the same piece.
        """
        self._message_open = False
        self._aside = self._body_left = self._unread = 0
        looked_for = self._blank_lines_left > 0
        self._blank_lines_left = MAX_BLANK_LINES
        if self._under_way is not None:  # else its answer is out, and what is held is the next one's
            self._held.whole = True
            if self.parser.should_upgrade() or not self.parser.should_keep_alive() or not looked_for:
                self._under_way.keep_alive = False
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """It waits for the next request; not for long for the rest of this one, of which nobody reads more."""
        super().on_response_complete()
        self._connections.idle(self)
        ahead = bytes(self._ahead)
        self._answered = self.owners()
        self._memory.drop(self._held)
        self._forget()
        if self._message_open:
            self._start_rest()
        elif ahead:
            self.data_received(ahead)

    def pause_writing(self) -> None:
        """The client reads slower than we write: it has its time to go on."""
        super().pause_writing()
        self._start_stall()
        self.loop.call_soon(self._count)  # what is being written counts until then

    def resume_writing(self) -> None:
        """It has read on."""
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
        super().resume_writing()
        self._count()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        self._refuse(Invalid(msg))

    def owners(self) -> tuple[Hashable, ...]:
        """For whom: the client's network, and in it the user who asks, or strangers."""
        if self._under_way is None and self.flow.write_paused:
            return self._answered
        scope = self._under_way.scope if self._under_way is not None else None
        client = scope["client"] if scope is not None else self.client
        network = _network(client[0] if client else "")
        return network, (scope["state"].get(OWNER) if scope is not None else None) or (network, None)

    def may_end(self) -> bool:
        """Whether its request has not come whole or only reads, so that nothing was done for it."""
        cycle = self._answering()
        return cycle is None or cycle.scope["method"] in _READING

    def end(self) -> None:
        """Hold nothing more, and say why unless an answer has begun."""
        self._deaf = True
        self._end(
            Unavailable(
                "The server has no memory left for this request.", code="memory_full", retry_after=_REFUSED_SECONDS
            )
        )

    def _count(self) -> None:
        unread = self.transport.get_write_buffer_size() if self.flow.write_paused else 0
        self._held.loose = self._coming + self._aside + len(self._ahead) + unread
        self._memory.count(self._held, self)

    def _forget(self) -> None:
        """Let go of the request: as long as the connection waits, its head and what nobody read would stay."""
        self._under_way = None
        self.cycle = self.scope = self.headers = None  # type: ignore[assignment]
        self.url = b""
        self._held = Held()
        self._ahead.clear()
        self._aside = self._coming = 0

    def _hears(self) -> bool:
        """Whether what comes is looked at, and not only thrown away."""
        return not self._deaf and not self.transport.is_closing()

    def _answering(self) -> RequestResponseCycle | None:
        """The request that came whole and whose answer is not out."""
        return None if self._message_open else self._under_way

    def _keep(self, cycle: RequestResponseCycle, data: bytes) -> None:
        """Keep what comes ahead of its turn; of somebody who sends much the connection ends with this answer.

        It is read all the same: else nobody would notice that the client has gone.
        """
        if cycle.keep_alive:
            self._ahead += data
            if len(self._ahead) > MAX_AHEAD_BYTES:
                self._ahead.clear()
                cycle.keep_alive = False

    def _skip_blank(self, seen: bytes, at: int) -> int:
        """Where the empty lines before a request end, unless they are too many."""
        some = seen[at : at + MAX_BLANK_BYTES + 1]
        skipped = len(some) - len(some.lstrip(b"\r\n"))
        self._aside += skipped
        if self._aside > MAX_BLANK_BYTES:
            self._refuse(Invalid(f"Before the request are more than {MAX_BLANK_BYTES} bytes of empty lines."))
        return at + skipped

    def _end_of_piece(self, seen: bytes, at: int) -> int:
        """Where ends what is parsed next: not after the end of the request, as long as that is looked for."""
        if self._body_left:
            return min(len(seen), at + self._body_left)
        end = min(len(seen), at + _PIECE_BYTES)
        if not self._blank_lines_left:
            return end
        found = seen.find(_BLANK, max(0, at + 1 - len(_BLANK)), end)
        if found < 0:
            return end
        self._blank_lines_left -= 1
        return found + len(_BLANK)

    def _is_heard(self, piece: bytes) -> bool:
        """Whether somebody reads what comes in chunks, or it may still end, and where."""
        if not (self._under_way is None or self._under_way.response_started):
            return True
        self._unread += len(piece)
        return self._unread <= MAX_UNREAD_BYTES and self._blank_lines_left > 0

    def _parse(self, piece: bytes) -> None:
        if not self._body_left:
            if self._message_open and not self._head_open and not self._is_heard(piece):
                self._deaf = True  # what comes is thrown away, so that whoever sends on hears the answer
                return
            self._aside += len(piece)
            if self._aside > MAX_HEAD_BYTES:
                self._refuse(HeadersTooLarge(f"The headers are longer than {size(MAX_HEAD_BYTES)}."))
                return
        super().data_received(piece)

    def _start_timer(self) -> None:
        self._stop_timer()
        slow = TooSlow(f"The headers did not come within {_HEAD_SECONDS:.0f} seconds.")
        self._timer = self.loop.call_later(_HEAD_SECONDS, self._refuse, slow)

    def _start_stall(self) -> None:
        unsent = self.transport.get_write_buffer_size()
        self._stall_timer = self.loop.call_later(STALL_SECONDS, self._may_have_stalled, unsent)

    def _may_have_stalled(self, unsent: int) -> None:
        """End it if nothing was sent meanwhile: a long answer takes its time over a slow line."""
        if self.transport.get_write_buffer_size() < unsent:
            self._start_stall()
        else:
            self.transport.abort()

    def _start_rest(self) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(_REST_SECONDS, self.transport.close)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, error: ChatwrenError) -> None:
        """Hear nothing more. If an answer is under way the connection ends after it, else with this one."""
        if not self._hears():
            return
        self._deaf = True
        cycle = self._answering()
        if cycle is None:
            self._end(error)
        else:
            cycle.keep_alive = False

    def _end(self, error: ChatwrenError) -> None:
        cycle = self._under_way
        self._start_rest()
        self._connections.idle(self)
        self._memory.drop(self._held)
        self._held.end()
        self._forget()
        if cycle is not None:  # it would read the body
            cycle.disconnected = True
            cycle.body = bytearray()
            self.flow.resume_reading()
        if self.flow.write_paused:
            self.resume_writing()
            self.transport.abort()
            return
        if self.transport.is_closing() or (cycle is not None and cycle.response_started):
            self.transport.close()
            return
        self._say(error)
        with contextlib.suppress(OSError):
            self.transport.write_eof()

    def _say(self, error: ChatwrenError) -> None:
        retry = [(b"retry-after", b"%d" % error.retry_after)] if isinstance(error, Transient) else []
        self.transport.write(plain_answer(error, more_headers=retry))
