# SPDX-License-Identifier: GPL-3.0-or-later
"""What a service manager hears of the daemon, and what the kernel lets it write."""
import ctypes
import os
import signal
import socket
import subprocess
import threading
import time

import pytest

from lib.waiting import until


class Manager:
    """Listens where systemd would (sd_notify(3))."""

    def __init__(self, directory):
        self.path = os.path.join(directory, 'notify')
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.heard = []
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self):
        while True:
            try:
                text = self.socket.recv(4096).decode()
            except OSError:
                return
            if text == 'end':
                return
            self.heard.append(text)

    def close(self):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        s.sendto(b'end', self.path)
        s.close()
        self._thread.join(10)
        self.socket.close()

    def lines(self, start):
        return [line for text in list(self.heard) for line in text.split('\n')
                if line.startswith(start)]

    def count(self, line):
        return self.lines(line).count(line)


@pytest.fixture
def manager(tmp_path):
    manager = Manager(str(tmp_path))
    yield manager
    manager.close()


@pytest.fixture
def watched(make_daemon, manager):
    """A daemon whose life is looked at twice a second or so."""
    daemon = make_daemon(wrapper=[
        '/bin/sh', '-c', 'WATCHDOG_PID=$$ exec "$@"', 'sh'],
        env={'NOTIFY_SOCKET': manager.path, 'WATCHDOG_USEC': '600000'})
    return daemon.start()


def test_the_status_line_says_how_it_stands(watched, manager):
    until(lambda: manager.count('STATUS=local only; 0 of 0 services running'),
          f'the status is told: {manager.heard}')
    assert manager.count('READY=1') == 1
    watched.json('create', 'share', 'canary', watched.file('secret-name', b'x'))
    until(lambda: manager.count('STATUS=local only; 0 of 1 services running'), 'one service')
    watched.json('start', 'canary')
    until(lambda: manager.count('STATUS=local only; 1 of 1 services running'), 'it runs')
    watched.json('delete', 'canary', '--yes')
    until(lambda: manager.lines('STATUS=')[-1] == 'STATUS=local only; 0 of 0 services running',
          'it is gone')
    assert 'canary' not in ''.join(manager.heard)


def test_the_watchdog_is_fed_while_it_lives_and_not_when_it_stands_still(watched, manager):
    until(lambda: manager.count('WATCHDOG=1') >= 3, 'it is fed')
    os.kill(watched.pid, signal.SIGSTOP)
    try:
        time.sleep(0.1)  # a datagram may be on its way
        before = manager.count('WATCHDOG=1')
        time.sleep(1)  # more than one period
        assert manager.count('WATCHDOG=1') == before
    finally:
        os.kill(watched.pid, signal.SIGCONT)
    until(lambda: manager.count('WATCHDOG=1') > before, 'it is fed again')


def test_a_reload_is_told_with_its_time_and_its_end(watched, manager):
    os.kill(watched.pid, signal.SIGHUP)
    until(lambda: manager.count('READY=1') == 2, 'the reload has ended')
    reload = next(t for t in manager.heard if t.startswith('RELOADING=1'))
    told = int(reload.split('MONOTONIC_USEC=')[1])
    assert 0 <= time.clock_gettime(time.CLOCK_MONOTONIC) * 1e6 - told < 60e6
    # By RPC the same; and the end is told of one that is refused, too.
    assert watched.ctl('reload').status == 0
    until(lambda: manager.count('READY=1') == 3, 'the second reload has ended')


def test_the_end_asks_for_the_time_that_it_needs(watched, manager):
    assert watched.stop() == 0
    until(lambda: manager.count('STOPPING=1'), 'the end is told')
    # 60 s of drain time by default, and some for the rest
    assert manager.count('EXTEND_TIMEOUT_USEC=90000000') == 1


@pytest.fixture
def config(tmp_path):
    def write(text):
        path = tmp_path / 'onionshared.conf'
        path.write_text(text)
        return str(path)
    return write


def has_landlock():
    try:
        with open('/sys/kernel/security/lsm') as f:
            return 'landlock' in f.read()
    except OSError:
        libc = ctypes.CDLL(None, use_errno=True)
        # landlock_create_ruleset(NULL, 0, LANDLOCK_CREATE_RULESET_VERSION)
        return libc.syscall(444, None, 0, 1) >= 2


@pytest.mark.skipif(not has_landlock(), reason='this kernel has no Landlock')
def test_confined_it_writes_where_it_has_to_and_nowhere_else(make_daemon, config, tmp_path):
    known, allowed, other = (str(tmp_path / name) for name in ('known', 'allowed', 'other'))
    for path in (known, allowed, other):
        os.mkdir(path, 0o700)
    args = ['--local-only', '--config',
            config(f'[daemon]\nconfine = yes\nwritable-dir = {allowed}\n')]
    daemon = make_daemon(['--local-only'])
    daemon.start()
    daemon.json('create', 'receive', 'old', '--data-dir', known)
    daemon.stop()
    daemon.args = args
    daemon.start()

    def receives(name):
        service = daemon.json('start', name)
        done = subprocess.run(['curl', '-sS', '-o', '/dev/null', '-w', '%{http_code}',
                               '-F', 'file[]=@/etc/hostname', service['url'] + '/upload'],
                              capture_output=True, text=True)
        return done.stdout == '303'

    assert receives('old')
    daemon.json('create', 'receive', 'new', '--data-dir', allowed + '/box')
    assert receives('new')
    daemon.json('create', 'receive', 'own')
    assert receives('own')
    refused = daemon.ctl('create', 'receive', 'elsewhere', '--data-dir', other + '/box')
    if refused.status == 0:
        refused = daemon.ctl('start', 'elsewhere')
    assert refused.status != 0 and 'writable-dir' in refused.err, refused
    assert os.listdir(other) == []
