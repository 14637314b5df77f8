"""What the client of python-socketio sees: client.py --url URL --transports polling|websocket|upgrade.

The outcome of each check is a line of JSON on the standard output, as in test/node/check.mjs.
"""
import argparse
import asyncio
import json
import sys
import time

import socketio

TRANSPORTS = {'polling': ['polling'], 'websocket': ['websocket'], 'upgrade': ['polling', 'websocket']}
LIMIT = 10
BYTES = bytes(range(256))


class Client:
    """A client that keeps what came until it is asked for."""

    def __init__(self):
        self.sio = socketio.AsyncClient(reconnection=False)
        self.queues = {}

    def queue(self, namespace, event):
        return self.queues.setdefault((namespace, event), asyncio.Queue())

    async def connect(self, namespaces=('/',), auth=None, wait=LIMIT):
        for namespace in namespaces:
            for event in ('auth', 'echo', 'msg', 'message-back', 'disconnect'):
                def keep(*args, key=(namespace, event)):
                    self.queue(*key).put_nowait(list(args))
                self.sio.on(event, keep, namespace=namespace)
            self.sio.on('question', lambda x: {'x': x, 'bytes': BYTES}, namespace=namespace)
        await self.sio.connect(ARGS.url, transports=TRANSPORTS[ARGS.transports], namespaces=list(namespaces), auth=auth,
                               wait_timeout=wait)
        return self

    async def next(self, event, namespace='/'):
        return await asyncio.wait_for(self.queue(namespace, event).get(), LIMIT)

    async def ask(self, event, *args, namespace='/'):
        return await self.sio.call(event, args, namespace=namespace, timeout=LIMIT)


def equal(got, want, what='got'):
    if got != want:
        raise AssertionError(f'{what}: {got!r:.200}, want {want!r:.200}')


async def check_connect(c):
    await c.connect(auth={'token': 'tökén'})
    equal(await c.next('auth'), [{'token': 'tökén'}], 'auth')
    equal((await c.ask('whoami'))['id'], c.sio.get_sid(), 'id')


async def check_values(c):
    await c.connect()
    for value in ['', 'Ünïcödé 日本語 👩‍👩‍👧', 1, -1.5, True, [None], [], {}, {'a': [1, {'b': None}]}, '0123456789' * 10_000,
                  BYTES, b'', {'a': [BYTES, 'ü', b'second']}, bytes(100_000)]:
        await c.sio.emit('echo', value)
        equal(await c.next('echo'), [value], 'echo')
    # This client takes no more than 16 packets of one poll, whatever server sends them.
    for start in range(0, 300, 10):
        for n in range(start, start + 10):
            await c.sio.emit('echo', n)
        for n in range(start, start + 10):
            equal(await c.next('echo'), [n], f'echo {n}')


async def check_acks(c):
    await c.connect()
    equal(await c.ask('message-with-ack', 1, 'ü', BYTES), (1, 'ü', BYTES), 'ack')
    await c.ask('join', 'asked')
    equal(await c.ask('ask', 'asked', '?'), [{'x': '?', 'bytes': BYTES}], 'answers')


async def check_namespaces(c):
    await c.connect(('/', '/custom'), auth={'n': 1})
    for namespace in ('/', '/custom'):
        equal(await c.next('auth', namespace), [{'n': 1}], f'auth of {namespace}')
        await c.sio.emit('message', (namespace, BYTES), namespace=namespace)
        equal(await c.next('message-back', namespace), [namespace, BYTES], namespace)


async def check_unknown_namespace(c):
    try:
        await c.connect(('/unknown',), wait=1)
    except socketio.exceptions.ConnectionError:
        return
    raise AssertionError('connected')


async def check_rooms_and_kick(c):
    other = Client()
    try:
        await c.connect()
        await other.connect()
        for client in (c, other):
            await client.ask('join', 'r')
        await c.sio.emit('room', ('r', BYTES))
        for client in (c, other):
            equal(await client.next('msg'), [0, BYTES], 'room')
        await c.sio.emit('others', 'x')
        equal(await other.next('msg'), [0, 'x'], 'others')
        await c.sio.emit('kick', other.sio.get_sid())
        await other.next('disconnect')
    finally:
        await other.sio.disconnect()


async def main():
    failed = False
    for name, check in list(globals().items()):
        if not name.startswith('check_'):
            continue
        result = {'check': name[6:].replace('_', ' '), 'ok': True}
        start = time.monotonic()
        client = Client()
        try:
            await asyncio.wait_for(check(client), 6 * LIMIT)
        except Exception as e:
            failed = True
            result.update(ok=False, error=f'{type(e).__name__}: {e}')
        finally:
            await client.sio.disconnect()
        result['ms'] = round(1000 * (time.monotonic() - start))
        print(json.dumps(result), flush=True)
    sys.exit(failed)


parser = argparse.ArgumentParser()
parser.add_argument('--url', required=True)
parser.add_argument('--transports', choices=TRANSPORTS, default='upgrade')
ARGS = parser.parse_args()
asyncio.run(main())
