"""What a client reads of a connection, byte for byte."""

import contextlib
import socket


def rest(connection: socket.socket) -> bytes:
    """All that comes until the end."""
    got = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            got += piece
    return got


def read_until(connection: socket.socket, awaited: bytes) -> bytes:
    """All that comes until this has come."""
    got = b""
    while awaited not in got:
        piece = connection.recv(65536)
        assert piece, got
        got += piece
    return got
