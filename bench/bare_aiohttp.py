"""A bare endpoint of aiohttp and uvloop, which prints its port: what the HTTP side of the daemons cannot exceed."""

import asyncio

import uvloop
from aiohttp import web


async def answer(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(body=b"")


async def serve() -> None:
    app = web.Application()
    app.router.add_post("/v1/tasks", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


def main() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())


if __name__ == "__main__":
    main()
