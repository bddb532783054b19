"""DomainFlow beside a web application, in one event loop: campaigns are created and looked at over HTTP.

    python examples/embed_beside_web.py [HOME] [--once]

    POST /campaigns         creates and starts a campaign of 300 names against the lab
    GET  /campaigns/{id}    its view

With `--once` it takes a free port, talks to itself until a campaign is completed, and ends. Needs the extra `console`.
"""

import asyncio
import json
import socket
import sys
import time
from http.client import HTTPConnection
from pathlib import Path

import msgspec
import uvicorn
from embed_script import SPEC
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from domainflow import AsyncRuntime, Principal
from domainflow.aio import AsyncOperations
from domainflow.errors import NotFound
from domainflow.lab.process import Lab


def web(operations: AsyncOperations) -> Starlette:
    """Make the application. Every handler awaits; none blocks the loop."""

    async def create(_: Request) -> JSONResponse:
        campaign = await operations.create_campaign(SPEC)
        await campaign.start()
        return JSONResponse(msgspec.to_builtins(await campaign.view()), 201)

    async def show(request: Request) -> JSONResponse:
        campaign = await operations.campaign(request.path_params["id"])
        return JSONResponse(msgspec.to_builtins(await campaign.view()))

    async def not_found(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": str(error)}, 404)

    routes = [Route("/campaigns", create, methods=["POST"]), Route("/campaigns/{id}", show)]
    return Starlette(routes=routes, exception_handlers={NotFound: not_found})


def follow(port: int) -> None:
    """Create a campaign over HTTP and look at it until it rests. Blocking, so it runs on a thread."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    method, path, status = "POST", "/campaigns", "queued"
    while status in {"queued", "running"}:
        connection.request(method, path)
        body = json.load(connection.getresponse())
        method, path, status = "GET", f"/campaigns/{body['id']}", body["status"]
        time.sleep(0.1)
    connection.close()
    print(f"GET {path} says {status}: {body['phases'][-1]['counts']}")


async def main(home: Path | None, *, once: bool) -> None:
    """Open the runtime, serve beside it, close it when the server has ended."""
    async with AsyncRuntime.open(home=home) as runtime:
        with Lab.start(runtime.home, seed=7), socket.create_server(("127.0.0.1", 0 if once else 8000)) as door:
            operations = runtime.as_principal(Principal(id="web", roles=("operator",), tenant="acme"))
            server = uvicorn.Server(uvicorn.Config(web(operations), log_level="warning"))
            serving = asyncio.create_task(server.serve(sockets=[door]))
            if once:
                await asyncio.to_thread(follow, door.getsockname()[1])
                server.should_exit = True
            await serving


if __name__ == "__main__":
    paths = [Path(word) for word in sys.argv[1:] if word != "--once"]
    asyncio.run(main(paths[0] if paths else None, once="--once" in sys.argv))
