# SPDX-License-Identifier: GPL-3.0-or-later
"""Services that are backends of an Onionbalance, on one tor with others: none is lost, and tor
never dies of them. Waits of minutes only with ONIONSHARED_LONG."""
import os
import random
import re
import signal
import socket
import subprocess
import time

import pytest

from lib import proc
from lib.daemon import Daemon
from lib.varlink import VarlinkError
from lib.waiting import until
from tornet.tornet import Control

FRONTEND = '2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid'
OPEN = ['--public', '--no-autostop-sharing']
BACKEND = [*OPEN, '--backend-of', FRONTEND]
LONG = 90
MANY = 10  # backends, and as many others


@pytest.fixture(scope='module')
def daemon(tornet):
    daemon = Daemon(['--tor', 'managed', '--torrc', tornet.torrc_file]).start()
    until(lambda: daemon.json('tor', 'status')['bootstrap']['percent'] == 100,
          f'tor has bootstrapped: {daemon.log()}', 150)
    yield daemon
    daemon.end()


@pytest.fixture(autouse=True)
def shown(request, daemon):
    request.node.daemons = [daemon]
    tor = tor_of(daemon)
    yield
    if 'killed' not in request.node.name:
        assert tor_of(daemon) == tor, 'tor has died'


@pytest.fixture
def name(request, daemon):
    name = re.sub(r'\W', '-', request.node.name)[:60]
    yield name
    daemon.ctl('delete', name, '--yes')


def tor_of(daemon):
    for pid in proc.descendants(daemon.pid):
        try:
            if os.path.basename(os.readlink(f'/proc/{pid}/exe')) == 'tor':
                return pid
        except OSError:
            pass
    return None


class Stay:
    """A visitor who stays: one connection, and so one circuit, for many requests."""

    def __init__(self, client, onion, isolate):
        self.host = f'{onion}.onion'
        self.sock = socket.create_connection(('127.0.0.1', client.socks_port), 60)
        self.file = self.sock.makefile('rb')
        user = isolate.encode()
        self.ask(b'\5\1\2', 2)
        self.ask(b'\1' + bytes([len(user)]) + user + b'\1x', 2)
        host = self.host.encode()
        reply = self.ask(b'\5\1\0\3' + bytes([len(host)]) + host + b'\0\x50', 10)
        assert reply[1] == 0, f'SOCKS {reply[1]:#x}'

    def ask(self, data, n):
        self.sock.sendall(data)
        return self.file.read(n)

    def get(self, target='/download', host=None):
        """(status, body)"""
        self.sock.sendall(f'GET {target} HTTP/1.1\r\nHost: {host or self.host}\r\n\r\n'.encode())
        status = int(self.file.readline().split()[1])
        fields = {}
        while (line := self.file.readline().strip()):
            key, value = line.decode().split(': ', 1)
            fields[key.lower()] = value
        return status, self.file.read(int(fields['content-length']))

    def close(self):
        self.file.close()
        self.sock.close()


def stay(client, service, isolate='stays'):
    """As soon as somebody can get in."""
    def attempt():
        try:
            return Stay(client, service['onion'], f'{isolate}-{random.random()}')
        except (AssertionError, OSError, IndexError):
            client.forget()
            return None
    return until(attempt, f'{service["name"]} is reached', LONG, step=0.5)


def directories(daemon):
    folder = os.path.join(daemon.runtime, 'onions')
    return sorted(os.listdir(folder)) if os.path.exists(folder) else []


def backend(daemon, name, *options):
    daemon.json('create', 'share', name, daemon.file(name, name.encode()), *BACKEND, *options)
    return daemon.json('start', name, timeout=LONG * 2)


def test_a_backend_answers_at_its_own_address_and_for_its_frontend(daemon, tornet, name):
    service = backend(daemon, name)
    assert service['options']['backend_of'] == f'{FRONTEND}.onion'
    folder = os.path.join(daemon.runtime, 'onions', service['onion'])
    assert os.stat(folder).st_mode & 0o777 == 0o700
    for file in os.listdir(folder):
        assert os.stat(os.path.join(folder, file)).st_mode & 0o077 == 0, file
    with open(os.path.join(folder, 'hostname')) as f:
        assert f.read().strip() == f'{service["onion"]}.onion'
    visitor = stay(tornet.clients[0], service)
    assert visitor.get() == (200, name.encode())
    assert visitor.get(host=f'{FRONTEND}.onion') == (200, name.encode())
    assert visitor.get(host='evil.example')[0] == 421
    visitor.close()
    daemon.json('stop', name)
    assert directories(daemon) == []  # nothing of the key is left on the disk
    again = daemon.json('start', name, timeout=LONG * 2)
    assert again['onion'] == service['onion'] and directories(daemon) == [service['onion']]
    daemon.json('delete', name, '--yes')
    assert directories(daemon) == []


@pytest.mark.parametrize('options, why', [
    ([], 'needs a public service'),
    (['--public', '--pow'], 'together with pow'),
])
def test_what_onionbalance_cannot_do_is_refused(daemon, options, why):
    result = daemon.ctl('create', 'share', 'x', daemon.file('x'), *options,
                        '--backend-of', FRONTEND)
    assert result.status == 2 and why in result.err, result


@pytest.mark.parametrize('address, why', [
    ('', '56 characters'),
    ('example.org', '56 characters'),
    (FRONTEND[:-1] + 'a', 'version 3'),
    ('3' + FRONTEND[1:], 'checksum'),
    # the neutral element, and zero: tor has been seen to die of it
    ('aeaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaahmjqd', 'no key'),
    ('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaam2dqd', 'no key'),
])
def test_a_malformed_frontend_is_refused_before_tor_hears_of_it(daemon, address, why):
    result = daemon.ctl('create', 'share', 'x', daemon.file('x'), '--public',
                        f'--backend-of={address}')
    assert result.status == 2 and why in result.err, result
    with daemon.varlink() as v:
        with pytest.raises(VarlinkError, match='InvalidValue'):
            v.call('Create', {'mode': 'receive', 'name': 'x', 'options': {
                'public': True, 'backend_of': address}})
    assert directories(daemon) == []


def test_a_daemon_without_tor_has_no_backends(make_daemon):
    local = make_daemon().start()
    result = local.ctl('create', 'share', 'x', local.file('x'), *BACKEND)
    assert result.status == 2 and '--local-only' in result.err


def test_a_tor_with_a_sandbox_is_refused_with_the_way_out(make_daemon, tornet, tmp_path):
    torrc = tmp_path / 'torrc'
    with open(tornet.torrc_file) as f:
        torrc.write_text(f.read() + 'Sandbox 1\n')
    daemon = make_daemon(['--tor', 'managed', '--torrc', torrc]).start()
    until(lambda: daemon.json('tor', 'status')['state'] == 'ready', 'tor answers', 60)
    result = daemon.ctl('create', 'share', 'x', daemon.file('x'), *BACKEND)
    assert result.status == 2 and "'Sandbox 0'" in result.err, result


def test_a_reload_of_tor_is_made_good(daemon, tornet, name):
    service = backend(daemon, name)
    os.kill(tor_of(daemon), signal.SIGHUP)
    daemon.until_state(name, 'publishing', 'offline')
    daemon.until_state(name, 'running', seconds=LONG)
    visitor = stay(tornet.clients[0], service)
    assert visitor.get() == (200, name.encode())
    visitor.close()


def test_a_missing_or_foreign_file_is_made_good(daemon, tornet, name):
    service = backend(daemon, name)
    path = os.path.join(daemon.runtime, 'onions', service['onion'], 'ob_config')
    good = f'MasterOnionAddress {FRONTEND}.onion\n'
    visitor = stay(tornet.clients[0], service)

    def is_good():
        try:
            with open(path) as f:
                return f.read() == good
        except OSError:
            return False
    assert is_good()
    os.unlink(path)
    until(is_good, 'it is there again', 60)
    for text in ('', 'MasterOnionAddress\n', 'SomethingElse x\n'):
        with open(path, 'w') as f:
            f.write(text)
        os.kill(tor_of(daemon), signal.SIGHUP)  # so that we need not wait
        until(is_good, 'it is good again', 60)
    daemon.until_state(name, 'running', seconds=LONG)
    visitor.close()
    visitor = stay(tornet.clients[0], service)
    assert visitor.get() == (200, name.encode())
    visitor.close()


@pytest.mark.skipif('ONIONSHARED_LONG' not in os.environ,
                    reason='sleeps for five minutes; unit tests have it too')
def test_after_a_sleep_it_is_put_in_anew(daemon, tornet, name):
    service = backend(daemon, name)
    run = os.path.join(daemon.runtime, 'tor')
    with Control(f'{run}/control', f'{run}/cookie') as control:
        control.command('SETEVENTS HS_DESC')

        def descriptors():
            return sum(f' CREATED {service["onion"]} ' in e for e in control.events_until_now())
        os.kill(daemon.pid, signal.SIGSTOP)
        time.sleep(305)
        before = descriptors()
        os.kill(daemon.pid, signal.SIGCONT)
        until(lambda: descriptors() > before, 'it has descriptors of now', 30)
    assert directories(daemon) == [service['onion']]
    visitor = stay(tornet.clients[0], service)
    assert visitor.get() == (200, name.encode())
    visitor.close()


def test_tor_killed_the_backend_is_back(daemon, tornet, name):
    service = backend(daemon, name)
    os.kill(tor_of(daemon), signal.SIGKILL)
    daemon.until_state(name, 'offline', 'publishing')
    after = daemon.until_state(name, 'running', seconds=LONG)
    assert after['onion'] == service['onion']
    visitor = stay(tornet.clients[0], service)
    assert visitor.get() == (200, name.encode())
    visitor.close()


def test_the_daemon_killed_leaves_nothing_to_the_next(tornet, make_daemon):
    daemon = make_daemon(['--tor', 'managed', '--torrc', tornet.torrc_file]).start()
    one, two = backend(daemon, 'one'), backend(daemon, 'two')
    assert directories(daemon) == sorted([one['onion'], two['onion']])
    daemon.json('edit', 'two', '--unset', 'backend_of')
    until(lambda: directories(daemon) == [one['onion']], 'an ordinary one has no directory')
    tor = tor_of(daemon)
    daemon.kill()
    until(lambda: not proc.alive(tor), 'tor ends with the daemon', 40)
    stale = os.path.join(daemon.runtime, 'onions', two['onion'])
    os.mkdir(stale)
    daemon.start()
    assert daemon.until_state('one', 'running', seconds=LONG)['onion'] == one['onion']
    until(lambda: directories(daemon) == [one['onion']], 'what nobody wants is swept')
    visitor = stay(tornet.clients[0], one)
    assert visitor.get() == (200, b'one')
    visitor.close()
    assert daemon.stop() == 0
    assert directories(daemon) == []


def test_an_edit_moves_a_running_service_between_frontends(daemon, tornet, name):
    service = backend(daemon, name)
    visitor = stay(tornet.clients[0], service)
    result = daemon.ctl('edit', name, '--backend-of', service['onion'])
    assert result.status == 2 and "service's own address" in result.err
    result = daemon.ctl('edit', name, '--private')
    assert result.status == 2 and 'needs a public service' in result.err
    visitor.close()
    other = 'duckduckgogg42xjoc72x3sjasowoarfbgcmvfimaftt6twagswzczad'
    daemon.json('edit', name, '--backend-of', other)
    daemon.until_state(name, 'running', seconds=LONG)
    visitor = stay(tornet.clients[0], service)
    assert visitor.get(host=f'{other}.onion') == (200, name.encode())
    assert visitor.get(host=f'{FRONTEND}.onion')[0] == 421
    visitor.close()
    daemon.json('edit', name, '--unset', 'backend-of')
    daemon.until_state(name, 'running', seconds=LONG)
    visitor = stay(tornet.clients[0], service)
    assert visitor.get() == (200, name.encode())
    assert visitor.get(host=f'{other}.onion')[0] == 421
    visitor.close()
    assert directories(daemon) == []


def test_ten_and_ten_come_and_go_and_the_others_notice_nothing(daemon, tornet):
    """In any order: whoever stays keeps his circuit, and every service its address."""
    order = random.Random(7)
    client = tornet.clients[0]
    names = [f'{kind}{i}' for kind in ('backend', 'plain') for i in range(MANY)]
    order.shuffle(names)
    for n in names:
        daemon.json('create', 'share', n, daemon.file(n, n.encode()),
                    *(BACKEND if n.startswith('backend') else OPEN))
    services = {s['name']: s for s in daemon.json('start', *names, timeout=LONG * 2)}
    assert len({s['onion'] for s in services.values()}) == 2 * MANY
    kept = ['backend0', 'backend1', 'plain0', 'plain1']
    visitors = {n: stay(client, services[n]) for n in kept}
    moving = [n for n in names if n not in kept]
    for n in moving:
        daemon.json('stop', n)
    for n, visitor in visitors.items():
        assert visitor.get() == (200, n.encode()), n
    assert directories(daemon) == sorted(services[n]['onion'] for n in kept[:2])
    order.shuffle(moving)
    daemon.json('start', *moving, timeout=LONG * 2)
    for n, visitor in visitors.items():
        assert visitor.get() == (200, n.encode()), n
        visitor.close()
    now = {s['name']: s for s in daemon.json('list')}
    for n in names:
        assert now[n]['onion'] == services[n]['onion'] and now[n]['state'] == 'running', now[n]
    for n in order.sample(moving, 3):
        visitor = stay(client, services[n])
        assert visitor.get() == (200, n.encode())
        visitor.close()
    order.shuffle(names)
    daemon.json('delete', *names, '--yes')
    assert directories(daemon) == []


def test_no_address_is_in_the_log(daemon):
    assert FRONTEND not in daemon.log()
    assert subprocess.run(['grep', '-c', 'MasterOnion', daemon.log_file],
                          stdout=subprocess.DEVNULL).returncode == 1
