"""What a child process of ``serve`` runs: one ASGI application on the parent's listening socket.

Started by its path and not as ``app.cli.child``, so that it loads the application and none of the
commands. Its standard input is a pipe that the parent holds. The parent starts it early; it loads
the application's files while the parent prepares the database, then waits for one line: its
environment, as JSON. When the parent dies, however it dies, the pipe ends and the child stops by
itself.
"""

import argparse
import gc
import importlib
import json
import os
import signal
import socket
import threading

import uvicorn


def told_to_go() -> bool:
    """Wait for the parent's line and take the environment from it; False if there is none."""
    line = b""
    while not line.endswith(b"\n"):
        # Not sys.stdin, whose lock would be held by the waiting thread when the interpreter ends.
        part = os.read(0, 1)
        if not part:
            return False
        line += part
    os.environ.update(json.loads(line))
    return True


def follow_parent() -> None:
    """End this process, gracefully, when the parent's end of standard input closes."""

    def wait() -> None:
        while os.read(0, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="parent", daemon=True).start()


_NEW_OBJECTS = 20_000  # before Python looks for garbage among them; a table of figures has 50,000


class _Server(uvicorn.Server):
    """Looks once at all that was loaded, and never again: going through it takes 100 ms each time
    that Python looks for garbage in everything. And seldom at what is new: hardly any of it is in
    circles, and looking took more than half the time in which thousands of figures are made."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        gc.collect()
        gc.freeze()
        gc.set_threshold(_NEW_OBJECTS)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("application", help="module:factory")
    parser.add_argument("--socket", type=int, required=True, help="inherited listening socket")
    parser.add_argument("--grace", type=int, default=20, help="seconds for running requests")
    given = parser.parse_args()
    importlib.import_module(given.application.partition(":")[0])
    if not told_to_go():
        return
    follow_parent()
    config = uvicorn.Config(
        given.application,
        factory=True,
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        http="app.web.protocol:CarefulProtocol",
        proxy_headers=False,  # web.trusted_proxies decides who may speak for another address
        timeout_graceful_shutdown=given.grace,
    )
    _Server(config).run(sockets=[socket.socket(fileno=given.socket)])


if __name__ == "__main__":
    main()
