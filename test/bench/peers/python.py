"""python-socketio on aiohttp."""
import os
import ssl

import socketio
from aiohttp import web

manager = socketio.AsyncRedisManager(os.environ["REDIS"]) if os.environ.get("REDIS") else None
sio = socketio.AsyncServer(
    async_mode="aiohttp",
    client_manager=manager,
    ping_interval=int(os.environ.get("PING_INTERVAL", "25000")) / 1000,
    async_handlers=False,
    http_compression=False,
)


@sio.event
async def echo(sid, x):
    await sio.emit("echo", x, to=sid)


@sio.event
async def bcast(sid, n, x):
    await sio.emit("msg", (n, x))


@sio.event
async def join(sid, room):
    sio.enter_room(sid, room)


@sio.event
async def leave(sid, room):
    sio.leave_room(sid, room)


@sio.event
async def room(sid, name, x):
    await sio.emit("msg", (0, x), room=name)


app = web.Application()
sio.attach(app)
context = None
if os.environ.get("TLS_CERT"):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(os.environ["TLS_CERT"], os.environ["TLS_KEY"])
web.run_app(
    app,
    host="127.0.0.1",
    port=int(os.environ["PORT"]),
    backlog=8192,
    ssl_context=context,
    access_log=None,
    print=lambda *_: print("listening", flush=True),
)
