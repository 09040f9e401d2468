"""A test that calls another machine fails."""

import socket

import pytest
from pytest_socket import SocketConnectBlockedError


def test_other_machines_are_out_of_reach() -> None:
    # pytest-socket warns first, and a warning is an error here.
    refused = pytest.raises((SocketConnectBlockedError, UserWarning), match=r"192\.0\.2\.1")
    with socket.socket() as door, refused:
        door.connect(("192.0.2.1", 80))  # an address that belongs to nobody (RFC 5737)


def test_this_machine_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=5).close()
