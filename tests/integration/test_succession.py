# SPDX-License-Identifier: GPL-3.0-or-later
"""One daemon follows another under a service manager that keeps descriptors: nobody is turned away."""
import array
import fcntl
import os
import socket
import threading
import time

import pytest

from lib import http
from lib.waiting import until
from test_onion import KEEP, LONG, downloading, give_key, reached, visit


class Keeper:
    """What systemd does with FDSTORE=1, FDSTOREREMOVE=1 and LISTEN_FDS."""

    def __init__(self, directory):
        self.path = os.path.join(directory, 'notify')
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.kept = []  # (name, descriptor)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self):
        while True:
            text, control, _, _ = self.socket.recvmsg(4096, socket.CMSG_SPACE(16))
            lines = dict(line.split('=', 1) for line in text.decode().split('\n'))
            if 'END' in lines:
                return
            fds = array.array('i')
            for _, kind, data in control:
                if kind == socket.SCM_RIGHTS:
                    fds.frombytes(data)
            if 'FDSTORE' in lines:
                self.kept += [(lines['FDNAME'], fd) for fd in fds]
            elif 'FDSTOREREMOVE' in lines:
                self.forget(lines['FDNAME'])

    def forget(self, name=None):
        for entry in list(self.kept):
            if name in (None, entry[0]):
                self.kept.remove(entry)
                os.close(entry[1])

    def names(self):
        return sorted(name for name, _ in self.kept)

    def spawn(self, daemon):
        """Starts it with what is kept."""
        kept = list(self.kept)
        daemon.wrapper = ['/bin/sh', '-c', 'LISTEN_PID=$$ exec "$@"', 'sh']
        daemon.env.update(NOTIFY_SOCKET=self.path, FDSTORE='100', LISTEN_FDS=str(len(kept)),
                          LISTEN_FDNAMES=':'.join(name for name, _ in kept))

        def hand_over():
            high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for _, fd in kept]
            for i, fd in enumerate(high):
                os.dup2(fd, 3 + i)
                os.close(fd)

        return daemon.start(close_fds=False, preexec_fn=hand_over)

    def close(self):
        self.forget()
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        s.sendto(b'END=1', self.path)
        s.close()
        self._thread.join(10)
        self.socket.close()


@pytest.fixture
def keeper(tmp_path):
    keeper = Keeper(str(tmp_path))
    yield keeper
    keeper.close()


@pytest.fixture
def on_system_tor(make_daemon, tornet, keeper, tmp_path):
    """A daemon that uses a tor which is there without it."""
    config = tmp_path / 'onionshared.conf'
    config.write_text(f'[tor]\nmode = system\ncontrol = {tornet.clients[1].control_socket}\n')
    return keeper.spawn(make_daemon(['--config', str(config)]))


class Visitors(threading.Thread):
    """One after the other, each with a new connection, until the end; what went wrong."""

    def __init__(self, visit):
        super().__init__()
        self.visit, self.failures, self.visits, self.over = visit, [], 0, threading.Event()

    def run(self):
        while not self.over.is_set():
            failure = self.visit()
            self.visits += 1
            if failure:
                self.failures.append(failure)

    def end(self):
        self.over.set()
        self.join()


def test_a_restart_turns_nobody_away_and_keeps_the_onion_up(on_system_tor, tornet, keeper,
                                                             tmp_path):
    daemon, visitor = on_system_tor, tornet.clients[0]
    data = os.urandom(20_000_000)
    daemon.json('create', 'share', 'docs', daemon.file('big', data), *KEEP)
    service = daemon.json('start', 'docs', timeout=LONG * 2)
    give_key(visitor, service)
    reached(visitor, service)
    tor = tornet.clients[1].control()
    tor.command('SETEVENTS HS_DESC')
    download = downloading(visitor, service, tmp_path / 'part', isolate='download')

    def one():
        # As long as a drain may take, and some.
        status, body = visit(visitor, service, '/', '-f', isolate='visits', seconds=150)
        return status if status else None if b'big' in body else body

    def direct():
        time.sleep(0.02)
        answer = http.fetch(service['backend'], host=f'{service["onion"]}.onion', timeout=150)
        return None if answer.status == 200 else answer

    assert one() is None  # the circuit is there
    crowds = [Visitors(one), Visitors(direct)]
    for visitors in crowds:
        visitors.start()
    for _ in range(3):
        assert daemon.stop(seconds=120) == 0
        assert keeper.names()[-1] == 'tor' and len(keeper.names()) == 2
        keeper.spawn(daemon)
        again = daemon.until_state('docs', 'running')
        assert (again['url'], again['keys'], again['backend']) == \
            (service['url'], service['keys'], service['backend'])
        until(lambda: not keeper.kept, 'nothing is kept that is in use')
    for visitors in crowds:
        before = visitors.visits
        until(lambda v=visitors, n=before: v.visits > n + 3, 'the last daemon is visited')
        visitors.end()
        assert visitors.failures == []
    assert download.wait(120) == 0 and (tmp_path / 'part').read_bytes() == data
    # Tor has not heard of the onion again: it would have made new descriptors.
    def made():
        return [e for e in tor.events_until_now() if ' CREATED ' in e and service['onion'] in e]
    assert not made()
    # And it is in hand: who loses the key is out.
    daemon.json('key', 'add', 'docs', 'other')
    daemon.json('key', 'remove', 'docs', 'default')
    assert visit(visitor, service, '/', seconds=15, isolate='visits')[0] != 0
    assert made()
    tor.close()
    visitor.auth_remove(service['onion'])


def test_stopped_for_good_it_leaves_nothing(on_system_tor, tornet, keeper):
    daemon = on_system_tor
    daemon.json('create', 'share', 'docs', daemon.file('a'), *KEEP, '--public')
    service = daemon.json('start', 'docs', timeout=LONG * 2)
    assert daemon.stop(seconds=90) == 0
    keeper.forget()  # as systemd does when no start follows
    with pytest.raises(ConnectionRefusedError):
        http.fetch(service['backend'])
    keeper.spawn(daemon)
    assert daemon.until_state('docs', 'running', seconds=LONG)['url'] == service['url']
    assert reached(tornet.clients[0], service, '/download') == b'hello\n'


def test_a_service_that_cannot_come_back_gives_its_socket_back(on_system_tor, keeper):
    daemon = on_system_tor
    path = daemon.file('a')
    daemon.json('create', 'share', 'docs', path, *KEEP, '--public')
    service = daemon.json('start', 'docs', timeout=LONG * 2)
    assert daemon.stop(seconds=90) == 0
    os.unlink(path)
    keeper.spawn(daemon)
    daemon.until_state('docs', 'failed')
    with pytest.raises(FileNotFoundError):
        http.fetch(service['backend'])
