"""The least that FastAPI can do: ``return {}``. What the machine's HTTP could give at most.

Served like the service itself: uvicorn on uvloop and httptools, no access log, so many workers on
one listening socket.
"""

import argparse
import socket

import uvicorn
from fastapi import FastAPI


def create() -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/")
    async def nothing() -> dict[str, str]:
        return {}

    return app


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--socket", type=int, required=True, help="inherited listening socket")
    given = parser.parse_args()
    config = uvicorn.Config(
        "bench.noop:create",
        factory=True,
        loop="uvloop",
        http="httptools",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
    )
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=given.socket)])


if __name__ == "__main__":
    main()
