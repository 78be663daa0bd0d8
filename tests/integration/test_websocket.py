# SPDX-License-Identifier: GPL-3.0-or-later
"""WebSocket as others understand it: Debian's python3-websockets and node's ws."""
import asyncio
import json
import os
import shutil
import socket
import struct
import subprocess

import pytest

from lib import proc
from lib.daemon import BUILD, environment
from lib.waiting import PATIENCE, until

websockets = pytest.importorskip('websockets')
HERE = os.path.dirname(os.path.realpath(__file__))
TEXTS = ['', 'Hello', 'ä€🧅', 'x' * 125, 'x' * 126, 'x' * 65535, 'x' * 65536]


def start(*args):
    return subprocess.Popen([os.path.join(BUILD, 'tests', 'ws_server'), *args],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, env=environment())


@pytest.fixture
def server():
    """The port of a server that echoes; it must end with 0 and no sanitizer report."""
    process = start()
    yield int(process.stdout.readline())
    _, err = process.communicate()
    assert (process.returncode, err) == (0, b'')


@pytest.fixture
def room():
    """A server that sends every text to everybody: its process, which has .port."""
    process = start('--broadcast')
    process.port = int(process.stdout.readline())
    yield process
    _, err = process.communicate()
    assert (process.returncode, err) == (0, b'')


class Raw:
    """A client that does nothing by itself: no pongs, no reading, no closing."""

    def __init__(self, port, buffer=None):
        self.sock = socket.socket()
        self.sock.settimeout(PATIENCE)
        if buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.sock.connect(('127.0.0.1', port))
        self.sock.sendall(b'GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n'
                          b'Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n'
                          b'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n')
        self.file = self.sock.makefile('rb')
        assert self.file.readline().startswith(b'HTTP/1.1 101 ')
        while self.file.readline() != b'\r\n':
            pass

    def send(self, first, payload=b'', mask=b'MASK'):
        n = len(payload)
        length = (bytes([0x80 | n]) if n < 126 else b'\xfe' + struct.pack('>H', n) if n < 65536
                  else b'\xff' + struct.pack('>Q', n))
        key = (mask * (n // 4 + 1))[:n]
        masked = (int.from_bytes(payload, 'big') ^ int.from_bytes(key, 'big')).to_bytes(n, 'big')
        self.sock.sendall(bytes([first]) + length + mask + masked)

    def frame(self):
        """First byte and payload; None at the end."""
        head = self.file.read(2)
        if not head:
            return None
        n = head[1]
        if n > 125:
            n = int.from_bytes(self.file.read(2 if n == 126 else 8), 'big')
        return head[0], self.file.read(n)

    def frames(self):
        return list(iter(self.frame, None))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.sock.close()


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 60))


def connect(port, **options):
    return websockets.connect(f'ws://127.0.0.1:{port}/ws', **options)


@pytest.mark.parametrize('options', [{}, {'compression': None}, {'subprotocols': ['chat']}])
def test_texts_come_back(server, options):
    async def talk():
        async with connect(server, **options) as ws:
            assert ws.extensions == [] and ws.subprotocol is None
            for text in TEXTS:
                await ws.send(text)
            assert [await ws.recv() for _ in TEXTS] == TEXTS
            await ws.send(iter(['in ', 'three ', 'pieces']))
            assert await ws.recv() == 'in three pieces'
            await (await ws.ping('a question'))
        assert (ws.close_code, ws.closed) == (1000, True)
    run(talk())


@pytest.mark.parametrize('message, code', [(b'binary', 1003), ('x' * 65537, 1009),
                                           ('close 4321', 4321), ('close 1001', 1001)])
def test_a_close_is_understood(server, message, code):
    async def talk():
        async with connect(server) as ws:
            await ws.send(message)
            with pytest.raises(websockets.ConnectionClosed) as e:
                await ws.recv()
            assert e.value.rcvd.code == code
    run(talk())


@pytest.mark.parametrize('origin, let_in', [
    (None, True), ('http://127.0.0.1:{}', True), ('http://LOCALHOST:{}', False),
    ('http://127.0.0.1', False), ('https://127.0.0.1:{}', False), ('null', False),
    ('http://evil.example', False)])
def test_only_our_own_page_may_enter(server, origin, let_in):
    async def talk():
        try:
            async with connect(server, origin=origin and origin.format(server)) as ws:
                await ws.send('x')
                assert await ws.recv() == 'x'
                return 101
        except websockets.InvalidStatusCode as e:
            return e.status_code
    assert run(talk()) == (101 if let_in else 403)


def test_many_at_once(server):
    async def one(n):
        async with connect(server) as ws:
            for i in range(20):
                await ws.send(f'{n} {i}')
                assert await ws.recv() == f'{n} {i}'

    async def all_of_them():
        await asyncio.gather(*(one(n) for n in range(50)))
    run(all_of_them())


def test_the_end_of_the_server_is_told():
    async def talk():
        process = start()
        async with connect(int(process.stdout.readline())) as ws:
            process.stdin.close()
            process.stdin = None
            with pytest.raises(websockets.ConnectionClosed) as e:
                await ws.recv()
            assert e.value.rcvd.code == 1001
        _, err = process.communicate()
        assert (process.returncode, err) == (0, b'')
    run(talk())


def close_frame(code):
    return 0x88, struct.pack('>H', code)


def test_whoever_still_sends_learns_why_it_ended(server):
    """No reset destroys the close frame."""
    with Raw(server) as c:
        c.send(0x81, b'x' * 65537)
        for _ in range(200):
            c.send(0x81, b'x' * 65000)
        assert c.frames() == [close_frame(1009)]


def test_a_flood_of_pings_is_ended(server):
    with Raw(server) as c:
        try:
            for _ in range(10000):
                c.send(0x89, b'ping')
        except ConnectionError:
            pass
        frames = c.frames()
        assert frames[-1] == close_frame(1008)
        assert len(frames) < 100


def test_a_million_fragments_are_not_taken(server):
    with Raw(server) as c:
        c.send(0x01)
        try:
            for _ in range(1000):
                c.sock.sendall(b'\x00\x80MASK' * 1000)
        except ConnectionError:
            pass
        assert c.frames() == [close_frame(1008)]


def flood(c, pieces):
    """All of it, or as much as is taken; what the server says to it at the end."""
    try:
        for piece in pieces:
            c.sock.sendall(piece)
    except ConnectionError:
        pass
    return c.frames()[-1]


def test_floods_leave_the_memory_as_it_was(room, sanitized):
    fragments = [b'\x01\x80MASK'] + [b'\x00\x80MASK' * 1000] * 20
    pings = [b'\x89\xfdMASK' + b'x' * 125] * 10000
    endless = [bytes([first]) + b'\xfe\x80\x00xxxx' + b'\x00' * 0x8000 for first in (1, 0, 0)]

    def all_of_them():
        for pieces, code in (fragments, 1008), (pings, 1008), (endless, 1009):
            with Raw(room.port) as c:
                assert flood(c, pieces) == close_frame(code)
    all_of_them()
    before = proc.pss(room.pid)
    for _ in range(5):
        all_of_them()
    if not sanitized:
        assert proc.pss(room.pid) - before < 1 << 20


def test_nobody_notices_who_does_not_read(room):
    """It is dropped with 1013; the others have everything, in the same order."""
    with Raw(room.port, buffer=4096) as deaf, Raw(room.port) as a, Raw(room.port) as b:
        texts = [f'{i} '.encode() + b'x' * 30000 for i in range(400)]
        for text in texts:
            a.send(0x81, text)
            assert b.frame() == a.frame() == (0x81, text)
        frames = deaf.frames()
        assert frames[-1] == close_frame(1013)
        heard = [text for _, text in frames[:-1]]
        assert heard == texts[:len(heard)] and len(heard) < len(texts)


def remembers(pid, canary):
    """Does the canary stand anywhere in the process's memory?"""
    with open(f'/proc/{pid}/maps') as maps, open(f'/proc/{pid}/mem', 'rb', 0) as memory:
        for line in maps:
            span, mode = line.split()[:2]
            begin, end = (int(x, 16) for x in span.split('-'))
            if mode[0] != 'r' or '[v' in line or end - begin > 1 << 30:
                continue
            try:
                memory.seek(begin)
                if canary in memory.read(end - begin):
                    return True
            except OSError:
                pass
    return False


@pytest.mark.skipif(os.geteuid() != 0, reason='looks into another process')
def test_what_was_said_is_forgotten(room):
    canary = b'canary-' + os.urandom(8).hex().encode()
    with Raw(room.port) as a, Raw(room.port) as b:
        for first, text in ((0x81, canary), (0x81, b'x' * 5000 + canary), (0x01, canary),
                            (0x00, canary), (0x80, b'')):
            a.send(first, text)
        for c in (a, b):
            for _ in range(3):
                assert canary in c.frame()[1]
        a.send(0x01, canary)  # a message that never ends
        until(lambda: remembers(room.pid, canary), 'what is not said to the end is there')
    until(lambda: not remembers(room.pid, canary), 'nothing is left', 5)


needs_node = pytest.mark.skipif(
    not shutil.which('node') or not os.path.isdir('/usr/share/nodejs/ws'), reason='no node-ws')


@needs_node
def test_node_ws_understands_it(server):
    done = subprocess.run(['node', os.path.join(HERE, 'ws_node.js'), str(server)],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    fine = {'same': True, 'extensions': '', 'code': 1000}
    assert json.loads(done.stdout) == {
        'plain': fine, 'compressing': fine, 'binary': 1003, 'large': 1009, 'asked': 4321,
        'foreign': 403, 'ours': 1000}


# In a room: each waits for what the other says.
NODE_IN_A_ROOM = '''
const {WebSocket} = require('/usr/share/nodejs/ws');
const ws = new WebSocket(process.argv[1]);
const heard = [];
ws.on('message', data => {
  const m = JSON.parse(data);
  heard.push(m.type);
  if (m.text === 'from Python') {
    ws.send(JSON.stringify({type: 'rename', name: 'node'}));
    ws.send(JSON.stringify({type: 'message', text: 'from node'}));
  } else if (m.text === 'good bye') {
    ws.close(1000);
  }
});
ws.on('close', code => console.log(JSON.stringify({code, heard})));
'''


@needs_node
def test_both_of_them_talk_in_a_room(daemon):
    daemon.json('create', 'chat', 'room')
    address = daemon.json('start', 'room')['backend'].removeprefix('tcp:')
    url = f'ws://{address}/ws'

    async def talk():
        async with websockets.connect(url, origin=f'http://{address}') as ws:
            async def hear(**wanted):
                got = json.loads(await ws.recv())
                assert {k: got[k] for k in wanted} == wanted
                return got
            welcome = await hear(type='welcome')
            node = await asyncio.create_subprocess_exec(
                'node', '-e', NODE_IN_A_ROOM, url, stdout=asyncio.subprocess.PIPE)
            other = (await hear(type='joined'))['name']
            await ws.send(json.dumps({'type': 'message', 'text': 'from Python'}))
            await hear(type='message', name=welcome['name'], text='from Python')
            await hear(type='renamed', old=other, name='node')
            await hear(type='message', name='node', text='from node')
            await ws.send(json.dumps({'type': 'message', 'text': 'good bye'}))
            await hear(type='message', text='good bye')
            await hear(type='left', name='node')
            out, _ = await node.communicate()
            assert json.loads(out) == {
                'code': 1000, 'heard': ['welcome', 'message', 'renamed', 'message', 'message']}
    run(talk())
