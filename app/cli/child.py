"""What a child process of ``serve`` runs: one ASGI application on the parent's listening socket.

Started by its path and not as ``app.cli.child``, so that it loads the application and none of the
commands. Its standard input is a pipe that the parent holds: when the parent dies, however it
dies, the pipe ends and the child stops by itself.
"""

import argparse
import os
import signal
import socket
import threading

import uvicorn


def follow_parent() -> None:
    """End this process, gracefully, when the parent's end of standard input closes."""

    def wait() -> None:
        while os.read(0, 1):  # not sys.stdin, whose lock would be held at the interpreter's end
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="parent", daemon=True).start()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("application", help="module:factory")
    parser.add_argument("--socket", type=int, required=True, help="inherited listening socket")
    parser.add_argument("--grace", type=int, default=20, help="seconds for running requests")
    given = parser.parse_args()
    follow_parent()
    config = uvicorn.Config(
        given.application,
        factory=True,
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        # Whoever may speak for another address is named by the operator; nobody by default.
        proxy_headers="FORWARDED_ALLOW_IPS" in os.environ,
        timeout_graceful_shutdown=given.grace,
    )
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=given.socket)])


if __name__ == "__main__":
    main()
