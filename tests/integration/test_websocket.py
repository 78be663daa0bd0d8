# SPDX-License-Identifier: GPL-3.0-or-later
"""WebSocket as others understand it: Debian's python3-websockets and node's ws."""
import asyncio
import json
import os
import shutil
import subprocess

import pytest

from lib.daemon import BUILD, environment

websockets = pytest.importorskip('websockets')
HERE = os.path.dirname(os.path.realpath(__file__))
TEXTS = ['', 'Hello', 'ä€🧅', 'x' * 125, 'x' * 126, 'x' * 65535, 'x' * 65536]


@pytest.fixture
def server():
    """The port of a server that echoes; it must end with 0 and no sanitizer report."""
    process = subprocess.Popen([os.path.join(BUILD, 'tests', 'ws_server')],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, env=environment())
    yield int(process.stdout.readline())
    _, err = process.communicate()
    assert (process.returncode, err) == (0, b'')


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
        process = subprocess.Popen([os.path.join(BUILD, 'tests', 'ws_server')],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   env=environment())
        async with connect(int(process.stdout.readline())) as ws:
            process.stdin.close()
            with pytest.raises(websockets.ConnectionClosed) as e:
                await ws.recv()
            assert e.value.rcvd.code == 1001
        process.stdout.close()
        assert process.wait() == 0
    run(talk())


@pytest.mark.skipif(not shutil.which('node') or not os.path.isdir('/usr/share/nodejs/ws'),
                    reason='no node-ws')
def test_node_ws_understands_it(server):
    done = subprocess.run(['node', os.path.join(HERE, 'ws_node.js'), str(server)],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    fine = {'same': True, 'extensions': '', 'code': 1000}
    assert json.loads(done.stdout) == {
        'plain': fine, 'compressing': fine, 'binary': 1003, 'large': 1009, 'asked': 4321,
        'foreign': 403, 'ours': 1000}
