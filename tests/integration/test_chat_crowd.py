# SPDX-License-Identifier: GPL-3.0-or-later
"""A full room: all hear all in one order, and nobody notices who does not listen.

Longer: ONIONSHARED_CROWD="MEMBERS MESSAGES-A-SECOND-EACH SECONDS SIZE", as 500 10 60 64, on an
optimized build. Where the machine cannot keep up it takes longer; nothing may be lost.
"""
import json
import os
import socket
import subprocess
import threading

from lib import http, proc
from lib.chat import Gone, Member, Plain
from lib.daemon import BUILD

ON_THEIR_WAY = 256  # messages that have not reached everybody, at most

# A kernel takes up to 4 MiB for a peer who does not read (net.ipv4.tcp_wmem): more than that is said.


class Crowd:
    """Members who talk, played by a program of their own."""

    def __init__(self, backend, members, *options):
        self.process = subprocess.Popen(
            [os.path.join(BUILD, 'tests', 'crowd'), '-j', *map(str, options),
             backend.rpartition(':')[2], '/ws', str(members)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.joined = json.loads(self.process.stdout.readline())

    def talk(self):
        self.process.stdin.write('\n')
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.communicate()


class Peak(threading.Thread):
    """The most memory that a process had meanwhile."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.most, self.over = pid, proc.pss(pid), threading.Event()

    def run(self):
        while not self.over.wait(0.2):
            self.most = max(self.most, proc.pss(self.pid))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()


def deaf(kind, backend):
    """A member who will never read again."""
    m = kind(backend)
    m.c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    return m


def how_it_ended(m):
    """The close code; None: it did not even take that in time."""
    m.c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    try:
        while True:
            m.receive()
    except Gone as gone:
        return gone.args[0]


def is_cut(plain):
    plain.c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    try:
        while plain.more():
            pass
    except (http.Closed, ConnectionError):
        return True
    return False


def test_a_crowd_hears_all_in_one_order_and_nobody_notices_who_does_not_read(daemon, sanitized):
    n, rate, seconds, size = map(int, os.environ.get('ONIONSHARED_CROWD', '100 10 3 2000').split())
    messages = n * rate * seconds
    daemon.json('create', 'chat', 'room')
    backend = daemon.json('start', 'room')['backend']
    options = '-r', n * rate, '-n', messages, '-w', ON_THEIR_WAY, '-s', size
    before = proc.pss(daemon.pid)
    with deaf(Member, backend) as one, deaf(Plain, backend) as other, \
            Crowd(backend, n, *options) as crowd, Peak(daemon.pid) as peak:
        assert crowd.joined['joined'] == n
        cpu = proc.cpu_seconds(daemon.pid)
        done = crowd.talk()
        cpu = proc.cpu_seconds(daemon.pid) - cpu
        assert how_it_ended(one) in (1013, None)
        assert is_cut(other)
    print(json.dumps({**done, 'cpu_us_a_delivery': cpu / done['deliveries'] * 1e6,
                      'pss_mib_before': before / (1 << 20), 'pss_mib_most': peak.most / (1 << 20)}))
    assert done['messages'] == messages and done['deliveries'] == messages * n
    assert (done['missing'], done['lost_members'], done['swapped'], done['orders']) == (0, 0, 0, 1)
    assert done['left'] == 2
    if not sanitized:
        assert peak.most - before < 64 << 20
