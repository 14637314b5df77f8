"""A server on python-socketio: peer.py --redis URL [--channel NAME] [--json | --one-argument] [--write-only].

It prints "listening on ADDR" when it hears the other nodes in that Redis. Its manager is the AsyncRedisManager that is
installed. With --json it writes and reads as version 5.15.1 and later do, on top of a version up to 5.13; with
--one-argument as 5.14.2 to 5.15.0 do.

With --write-only it is a process without clients: it prints nothing before it emits what the lines of JSON on its
standard input say, and "done" for each. They are as those of test/testemitter, or those of TestPythonWriter.
"""
import argparse
import asyncio
import base64
import json
import sys

from aiohttp import web
import socketio
from socketio.packet import Packet


class JSONManager(socketio.AsyncRedisManager):
    """Has the messages of python-socketio 5.15.1, and its enter_room and leave_room."""

    async def emit(self, event, data, namespace=None, room=None, skip_sid=None, callback=None, **kwargs):
        if kwargs.get('ignore_queue'):
            return await super().emit(event, data, namespace=namespace, room=room, skip_sid=skip_sid,
                                      callback=callback, **kwargs)
        namespace = namespace or '/'
        if callback is not None:
            callback = (room, namespace, self._generate_ack_id(room, callback))
        data = self.laid_out(data)
        packet = Packet(data=data)
        binary = packet._data_is_binary(data)
        if binary:
            data, attachments = packet._deconstruct_binary(data)
            data = [data, *[base64.b64encode(a).decode() for a in attachments]]
        message = {'method': 'emit', 'event': event, 'data': data, 'binary': binary, 'namespace': namespace,
                   'room': room, 'skip_sid': skip_sid, 'callback': callback, 'host_id': self.host_id}
        await self._handle_emit(self.understood(message))
        await self._publish(message)

    async def close_room(self, room, namespace=None):
        message = {'method': 'close_room', 'room': room, 'namespace': namespace or '/'}
        await self._handle_close_room(message)
        await self._publish(message)

    async def _publish(self, data):
        data.setdefault('host_id', self.host_id)
        await self.redis.publish(self.channel, json.dumps(data))

    async def _listen(self):
        async for text in super()._listen():
            message = json.loads(text)
            own = message.get('host_id') == self.host_id
            method = message['method']
            if own != (method == 'callback'):
                continue
            if method in ('enter_room', 'leave_room'):
                sid, namespace = message['sid'], message['namespace']
                if self.is_connected(sid, namespace):
                    change = socketio.asyncio_manager.AsyncManager
                    getattr(change, method)(self, sid, namespace, message['room'])
                continue
            yield self.understood(message)

    def understood(self, message):
        """Lays out the arguments of an event for this version."""
        data = message.get('data')
        if message['method'] != 'emit' or not isinstance(data, list):
            return message
        if message['binary']:
            attachments = [base64.b64decode(a) for a in data[1:]]
            data = Packet()._reconstruct_binary_internal(data[0], attachments)
        return {**message, 'data': self.taken_out(data)}

    def laid_out(self, data):
        return list(data) if isinstance(data, tuple) else [data]

    def taken_out(self, data):
        return data[0] if len(data) == 1 else tuple(data)

    async def remote(self, method, sid, namespace, room):
        await self._publish({'method': method, 'sid': sid, 'room': room, 'namespace': namespace})


class OneArgumentManager(JSONManager):
    """Has the messages of python-socketio 5.14.2 to 5.15.0: a tuple becomes a list in JSON, and stays one."""

    def laid_out(self, data):
        return data

    def taken_out(self, data):
        return data


def serve(sio, namespace):
    """Lets a namespace answer the events of the tests."""
    # Each event has a task of its own, and what these publish would pass each other.
    turn = asyncio.Lock()

    def on(handler):
        async def in_turn(*args):
            async with turn:
                return await handler(*args)
        free = handler.__name__ == 'call'
        sio.on(handler.__name__.replace('_', '-'), handler if free else in_turn, namespace=namespace)

    @on
    async def tell(sid, x):
        await sio.emit('told', x, namespace=namespace)

    @on
    async def tell_two(sid, x, y):
        await sio.emit('told', (x, y), namespace=namespace)

    @on
    async def tell_nothing(sid):
        await sio.emit('told', namespace=namespace)

    @on
    async def tell_room(sid, room, x):
        await sio.emit('told', x, room=room, namespace=namespace)

    @on
    async def tell_but(sid, sids, x):
        await sio.emit('told', x, skip_sid=sids, namespace=namespace)

    @on
    async def enter(sid, room):
        sio.enter_room(sid, room, namespace=namespace)
        return True

    @on
    async def enter_there(sid, other, room):
        await sio.manager.remote('enter_room', other, namespace, room)

    @on
    async def exit_there(sid, other, room):
        await sio.manager.remote('leave_room', other, namespace, room)

    @on
    async def close(sid, room):
        await sio.close_room(room, namespace=namespace)

    @on
    async def drop(sid, other):
        await sio.disconnect(other, namespace=namespace)

    @on
    async def call(sid, other, x):
        return await sio.call('question', x, to=other, namespace=namespace, timeout=5)


async def listens(manager, others):
    while (await manager.redis.pubsub_numsub(manager.channel))[0][1] <= others:
        await asyncio.sleep(0.01)


async def follow(manager, order):
    """Does what a line for test/testemitter says, as far as Python has words for it."""
    namespace = order.get('Namespace') or '/'
    rooms = order.get('Rooms') or None
    if order['Do'] == 'emit':
        args = order['Args'] + ([base64.b64decode(order['Binary'])] if order.get('Binary') else [])
        await manager.emit(order['Event'], tuple(args), namespace=namespace, room=rooms, skip_sid=order.get('Except'))
    elif order['Do'] == 'disconnect':
        await manager.disconnect(rooms[0], namespace)
    else:
        method = {'join': 'enter_room', 'leave': 'leave_room'}[order['Do']]
        for room in order['Join']:
            await manager.remote(method, rooms[0], namespace, room)


async def write(manager):
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        message = json.loads(line)
        if 'Do' in message:
            await follow(manager, message)
            print('done', flush=True)
            continue
        if message.get('bytes'):
            message['data'] = bytes(message['data'])
        if message.get('tuple'):
            message['data'] = tuple(message['data'])
        if message.get('close'):
            await manager.close_room(message['close'])
        elif message.get('drop'):
            await manager.disconnect(message['drop'], '/')
        else:
            await manager.emit(message['event'], message.get('data'), room=message.get('room'),
                               skip_sid=message.get('skip'))
        print('done', flush=True)


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--redis', required=True)
    parser.add_argument('--channel', default='socketio')
    parser.add_argument('--json', action='store_true')
    parser.add_argument('--one-argument', action='store_true')
    parser.add_argument('--write-only', action='store_true')
    args = parser.parse_args()
    kind = socketio.AsyncRedisManager
    if args.json:
        kind = JSONManager
    if args.one_argument:
        kind = OneArgumentManager
    manager = kind(args.redis, channel=args.channel, write_only=args.write_only)
    if args.write_only:
        return await write(manager)
    sio = socketio.AsyncServer(client_manager=manager, async_mode='aiohttp', cors_allowed_origins='*')
    for namespace in ('/', '/custom'):
        sio.on('connect', lambda sid, environ, auth=None: None, namespace=namespace)
        serve(sio, namespace)
    others = (await manager.redis.pubsub_numsub(manager.channel))[0][1]
    sio.manager_initialized = True
    manager.initialize()
    await listens(manager, others)
    app = web.Application()
    sio.attach(app)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, '127.0.0.1', 0)
    await site.start()
    host, port = site._server.sockets[0].getsockname()
    print(f'listening on {host}:{port}', flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
