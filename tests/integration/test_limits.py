# SPDX-License-Identifier: GPL-3.0-or-later
"""Many, slow and silent visitors: the others do not notice."""
import os
import resource
import socket
import time

import pytest

from lib import proc
from lib.http import Closed, Connection, connect, fetch
from lib.waiting import until

KEEP = ['--no-autostop-sharing']
GET = b'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n'


@pytest.fixture(autouse=True)
def many_descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20000), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def impatient(make_daemon, *options, **limits):
    """A daemon whose timeouts are short enough to be waited for."""
    daemon = make_daemon()
    path = os.path.join(daemon.dir, 'limits.conf')
    with open(path, 'w') as f:
        f.write('[limits]\n' + ''.join(f'{k.replace("_", "-")} = {v}\n'
                                       for k, v in limits.items()))
    daemon.args += ['--config', path]
    daemon.start()
    file = daemon.file('big', b'')
    os.truncate(file, 1 << 30)
    return daemon, daemon.share('docs', file, options=[*KEEP, *options])


def closed_within(sock, seconds):
    sock.settimeout(seconds)
    data = b''
    try:
        while True:
            part = sock.recv(65536)
            if not part:
                return data
            data += part
    except ConnectionResetError:
        return data


def test_1000_idle_connections_are_kept_and_cost_little(daemon, sanitized):
    service = daemon.share('docs', daemon.file('a'), options=['--max-connections', '2000', *KEEP])
    before, fds = proc.rss(daemon.pid), len(proc.fds(daemon.pid))
    crowd = [connect(service['backend']) for _ in range(1000)]
    for s in crowd[:500]:
        s.sendall(GET + b'\r\n')
    for s in crowd[:500]:
        assert s.recv(65536).startswith(b'HTTP/1.1 200')
    begun = time.monotonic()
    assert fetch(service['backend']).status == 200
    assert time.monotonic() - begun < (2 if sanitized else 0.2)
    for s in crowd[500:]:
        s.sendall(GET + b'\r\n')
        assert s.recv(65536).startswith(b'HTTP/1.1 200')
    if not sanitized:
        assert proc.rss(daemon.pid) - before < 16 << 20
    for s in crowd:
        s.close()
    until(lambda: len(proc.fds(daemon.pid)) <= fds + 2, 'descriptors are back')


def test_above_the_limit_visitors_get_503_at_once(daemon):
    service = daemon.share('docs', daemon.file('a'), options=['--max-connections', '5', *KEEP])
    inside = [Connection(service['backend']) for _ in range(5)]
    for c in inside:
        assert c.request().status == 200
    with Connection(service['backend']) as c:
        answer = c.request()
        assert answer.status == 503 and int(answer['retry-after']) > 0
        assert c.at_end()
    inside[0].close()
    until(lambda: fetch(service['backend']).status == 200, 'a place is free')
    for c in inside[1:]:
        assert c.request().status == 200
        c.close()


def test_a_slow_head_has_one_deadline(make_daemon):
    """A byte now and then does not extend it (slowloris)."""
    _, service = impatient(make_daemon, head_seconds=2)
    crowd = [connect(service['backend']) for _ in range(50)]
    begun = time.monotonic()
    for s in crowd:
        s.sendall(GET)
        s.setblocking(False)
    waiting = list(crowd)
    while waiting and time.monotonic() - begun < 20:
        for s in list(waiting):
            try:
                s.sendall(b'X')
                answer = s.recv(4096)
                assert answer == b'' or b' 408 ' in answer.split(b'\r\n')[0]
                waiting.remove(s)
            except BlockingIOError:
                pass
            except OSError:
                waiting.remove(s)
        time.sleep(0.2)  # the attacker's rhythm
        assert fetch(service['backend']).status == 200
    assert 1.5 < time.monotonic() - begun < 15
    for s in crowd:
        s.close()
    # One that says nothing at all.
    assert closed_within(connect(service['backend']), 15) == b''


def test_idle_connections_are_closed_in_time(make_daemon):
    _, service = impatient(make_daemon, idle_seconds=1)
    with Connection(service['backend']) as c:
        assert c.request().status == 200
        begun = time.monotonic()
        assert closed_within(c.sock, 15) == b''
        assert time.monotonic() - begun > 0.5


def test_a_reader_that_stops_is_cut_in_time(make_daemon):
    daemon, service = impatient(make_daemon, write_seconds=2)
    s = connect(service['backend'])
    s.sendall(b'GET /download HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
    until(lambda: daemon.show('docs')['transfers']['active'] == 1, 'it has begun')
    until(lambda: daemon.show('docs')['transfers']['active'] == 0, 'it was cut', 30)
    s.close()


def test_readers_that_do_not_read_take_bounded_memory(daemon, sanitized):
    file = daemon.file('big', b'')
    os.truncate(file, 1 << 30)
    service = daemon.share('docs', file, options=['--max-connections', '2000', *KEEP])
    before = proc.rss(daemon.pid)
    crowd = []
    for _ in range(300):
        s = connect(service['backend'])
        s.sendall(b'GET /download HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
        crowd.append(s)
    for s in crowd:
        assert s.recv(100)
    assert fetch(service['backend']).status == 200
    if not sanitized:
        assert proc.rss(daemon.pid) - before < 80 << 20
    for s in crowd:
        s.close()
    until(lambda: daemon.show('docs')['transfers']['active'] == 0, 'all have ended')


def test_slow_readers_hold_up_nobody(daemon, sanitized):
    file = daemon.file('big', b'')
    os.truncate(file, 64 << 20)
    daemon.file('d/page', b'x')
    slow = daemon.share('docs', file, options=KEEP)
    crowd = []
    for _ in range(100):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect(('127.0.0.1', int(slow['url'].rsplit(':', 1)[1])))
        s.sendall(b'GET /download HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
        crowd.append(s)
    slowest = 0
    for _ in range(8):
        for s in crowd:
            s.recv(4096)
        begun = time.monotonic()
        assert fetch(slow['backend']).status == 200
        slowest = max(slowest, time.monotonic() - begun)
    assert slowest < (3 if sanitized else 0.2)
    for s in crowd:
        s.close()


def test_a_flood_of_connections_that_say_nothing(daemon):
    service = daemon.share('docs', daemon.file('a'), options=KEEP)
    fds = len(proc.fds(daemon.pid))
    port = int(service['url'].rsplit(':', 1)[1])
    for _ in range(3000):
        s = socket.socket()
        s.connect(('127.0.0.1', port))
        s.close()
    until(lambda: answers(service['backend']), 'it serves on')
    until(lambda: len(proc.fds(daemon.pid)) <= fds + 2, 'descriptors are back')


def answers(backend):
    try:
        return fetch(backend).status == 200
    except (OSError, Closed):
        return False


def test_downloads_cut_at_every_stage_leak_nothing(daemon):
    file = daemon.file('big', os.urandom(3_000_000))
    for i in range(30):
        daemon.file(f'd/{i}', os.urandom(100_000))
    service = daemon.share('docs', file, os.path.join(daemon.content, 'd'), options=KEEP)
    assert fetch(service['backend'], '/download').status == 200
    fds = len(proc.fds(daemon.pid))
    for i in range(60):
        with Connection(service['backend']) as c:
            c.send(b'GET /download HTTP/1.1\r\nHost: 127.0.0.1\r\nRange: bytes=%d-\r\n\r\n'
                   % (i * 50_000))
            c.read_head()
            c.read_exactly(i * 1000)
    until(lambda: len(proc.fds(daemon.pid)) <= fds + 2, 'descriptors are back')
    until(lambda: daemon.show('docs')['transfers']['active'] == 0, 'all have ended')


def test_draining_lets_transfers_finish(daemon):
    file = daemon.file('big', os.urandom(30_000_000))
    service = daemon.share('docs', file, options=KEEP)
    with Connection(service['backend']) as c:
        c.send(b'GET /download HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
        length = int(dict(line.split(b': ', 1) for line in c.read_head().split(b'\r\n')[1:])
                     [b'Content-Length'])
        stopping = daemon.ctl_spawn('stop', 'docs')
        daemon.until_state('docs', 'draining')
        assert len(c.read_exactly(length)) == 30_000_000
    assert stopping.wait(30) == 0
    assert daemon.show('docs')['state'] == 'stopped'


def test_now_cuts_them(daemon):
    file = daemon.file('big', b'')
    os.truncate(file, 1 << 30)
    service = daemon.share('docs', file, options=KEEP)
    with Connection(service['backend']) as c:
        c.send(b'GET /download HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
        c.read_head()
        begun = time.monotonic()
        assert daemon.ctl('stop', 'docs', '--now').status == 0
        assert time.monotonic() - begun < 20
        with pytest.raises((Closed, ConnectionResetError)):
            c.read_exactly(1 << 30)
