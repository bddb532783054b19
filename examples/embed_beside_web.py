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
from starlette.responses import Response
from starlette.routing import Route

from domainflow import AsyncRuntime, Principal
from domainflow.aio import AsyncOperations
from domainflow.errors import NotFound
from domainflow.lab.process import Lab

PORT = 8000


def web(operations: AsyncOperations) -> Starlette:
    """Make the application. Every handler awaits; none blocks the loop."""

    async def create(_: Request) -> Response:
        campaign = await operations.create_campaign(SPEC)
        await campaign.start()
        return answer(await campaign.view(), status=201)

    async def show(request: Request) -> Response:
        return answer(await (await operations.campaign(request.path_params["id"])).view())

    async def not_found(_: Request, error: Exception) -> Response:
        return answer({"error": str(error)}, status=404)

    routes = [Route("/campaigns", create, methods=["POST"]), Route("/campaigns/{id}", show)]
    return Starlette(routes=routes, exception_handlers={NotFound: not_found})


def answer(body: object, status: int = 200) -> Response:
    """Return a value as JSON."""
    return Response(msgspec.json.encode(body), status, media_type="application/json")


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
        with Lab.start(runtime.home, seed=7), socket.create_server(("127.0.0.1", 0 if once else PORT)) as door:
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
