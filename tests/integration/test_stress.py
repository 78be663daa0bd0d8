# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything at once, in random order: calls from many connections that come and go, visitors,
one-offs whose connection dies. Each call gets its answer; nothing is left behind.

STRESS_SEED repeats a run, STRESS_SECONDS makes it longer."""
import os
import random
import threading
import time

import pytest

from lib import http, proc
from lib.varlink import Ended, Varlink, VarlinkError
from lib.waiting import until

SECONDS = float(os.environ.get('STRESS_SECONDS', '6'))
SEED = int(os.environ.get('STRESS_SEED', '0')) or random.randrange(1, 1 << 30)
WORKERS = 6

# What a race between two callers may end in; anything else is a fault of the daemon.
FAIR = {'NoSuchService', 'NameInUse', 'InvalidState', 'UnreachableState', 'Timeout'}


class Worker(threading.Thread):
    """One caller; its names are shared with all others, or its own if private is given."""

    def __init__(self, daemon, number, stop, names):
        super().__init__(daemon=True)
        self.daemon_under_test, self.stop = daemon, stop
        self.random = random.Random(f'{SEED} {number}')
        self.names = names
        self.conn = None
        self.calls = 0
        self.fault = None

    def run(self):
        try:
            while not self.stop.is_set():
                self.one()
        except Exception as e:  # pylint: disable=broad-except
            self.fault = e
        finally:
            if self.conn:
                self.conn.sock.close()

    def one(self):
        if self.conn is None:
            self.conn = self.daemon_under_test.varlink()
        method, parameters, flags = self.choose()
        self.calls += 1
        self.conn.send(method, parameters, **flags)
        if self.random.random() < 0.08:
            # The caller dies with the call under way.
            self.conn.sock.close()
            self.conn = None
            return
        if flags.get('more') and method == 'Watch':
            self.conn.receive()
            self.conn.sock.close()
            self.conn = None
            return
        while True:
            reply = self.conn.receive()
            if not reply.get('continues'):
                break
        if 'error' in reply:
            assert reply['error'].rsplit('.', 1)[1] in FAIR, (method, parameters, reply)
        if self.random.random() < 0.1:
            self.conn.sock.close()
            self.conn = None

    def choose(self):
        name = self.random.choice(self.names)
        return self.random.choice([
            ('Create', {'mode': 'share', 'name': name, 'paths': [self.content()]}, {}),
            ('Create', {'mode': 'share', 'paths': [self.content()], 'name': name,
                        'ephemeral': True}, {}),
            ('Start', {'name': name}, {}),
            ('Start', {'name': name}, {}),
            ('Stop', {'name': name, 'now': self.random.random() < 0.7}, {}),
            ('Restart', {'name': name}, {}),
            ('Edit', {'name': name, 'options': {'title': f'T{self.random.random()}',
                                                'public': self.random.random() < 0.5,
                                                'no_autostop_sharing': self.random.random() < 0.5}},
             {}),
            ('Edit', {'name': name, 'options': {}, 'unset': ['title']}, {}),
            ('Rename', {'name': name, 'new_name': self.random.choice(self.names)}, {}),
            ('Keep', {'name': name, 'new_name': self.random.choice(self.names)}, {}),
            ('Delete', {'name': name}, {}),
            ('Wait', {'name': name, 'for': self.random.choice(['running', 'stopped', 'reachable']),
                      'timeout_ms': self.random.randrange(0, 300)},
             {'more': self.random.random() < 0.5}),
            ('Watch', {}, {'more': True}),
            ('List', {}, {}), ('Show', {'name': name}, {}), ('Status', {}, {}),
            ('History', {'limit': 5}, {}),
        ])

    def content(self):
        folder = self.daemon_under_test.content
        return self.random.choice([folder, os.path.join(folder, 'big'),
                                   os.path.join(folder, 'small')])


class Visitor(threading.Thread):
    """Takes a random part of a random service, if it lets him."""

    def __init__(self, daemon, number, stop):
        super().__init__(daemon=True)
        self.daemon_under_test, self.stop = daemon, stop
        self.random = random.Random(f'{SEED} visitor {number}')
        self.fault = None

    def run(self):
        try:
            while not self.stop.is_set():
                self.visit()
        except Exception as e:  # pylint: disable=broad-except
            self.fault = e

    def visit(self):
        with self.daemon_under_test.varlink() as v:
            services = v.call('List')['services']
        backends = [s['backend'] for s in services if s['backend'] and s['state'] == 'running']
        if not backends:
            time.sleep(0.02)
            return
        try:
            with http.connect(self.random.choice(backends)) as s:
                s.sendall(b'GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n' %
                          self.random.choice([b'/', b'/download']))
                for _ in range(self.random.randrange(0, 60)):
                    if not s.recv(1 << 16):
                        return
        except OSError:
            pass


def clean_up(daemon):
    """Every service deleted, by its name; one-offs go with their connection."""
    with daemon.varlink() as v:
        for service in v.call('List')['services']:
            try:
                v.call('Stop', {'name': service['name'], 'now': True})
                v.call('Delete', {'name': service['name']})
            except VarlinkError as e:
                assert e.name.endswith(('NoSuchService', 'InvalidState')), e
        until(lambda: not v.call('List')['services'], 'no service is left')


@pytest.fixture(name='content')
def content_fixture(make_daemon, tmp_path):
    conf = tmp_path / 'onionshared.conf'
    conf.write_text('[daemon]\ndrain-seconds = 1\n')
    daemon = make_daemon(['--local-only', '--config', str(conf)]).start()
    daemon.file('big', os.urandom(1 << 20) * 8)
    daemon.file('small')
    return daemon


def sockets_and_files(pid):
    """Descriptors by what they are: those of a loop and the database stay."""
    return sorted(t for t in proc.fds(pid).values() if not t.startswith('anon_inode'))


def test_random_calls_from_everywhere(content):
    daemon = content
    print(f'STRESS_SEED={SEED}')
    before = len(sockets_and_files(daemon.pid))
    stop = threading.Event()
    names = [f'service{i}' for i in range(5)]
    crew = [Worker(daemon, i, stop, names) for i in range(WORKERS)] + \
           [Visitor(daemon, i, stop) for i in range(3)]
    for t in crew:
        t.start()
    try:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end and not any(t.fault for t in crew):
            time.sleep(0.05)
    finally:
        stop.set()
        for t in crew:
            t.join(60)
    faults = [t.fault for t in crew if t.fault]
    assert not faults, (SEED, faults, daemon.log()[-3000:])
    assert not any(t.is_alive() for t in crew), 'a call never got its answer'
    print('calls:', sum(t.calls for t in crew if isinstance(t, Worker)))
    clean_up(daemon)
    until(lambda: len(sockets_and_files(daemon.pid)) <= before, 'descriptors are given back')
    daemon.check_clean()


# --- kill -9 ---

class Ledger(Worker):
    """A caller alone with its names, who writes down what was acknowledged."""

    def __init__(self, daemon, number, stop):
        super().__init__(daemon, number, stop, [f'own{number}-{i}' for i in range(3)])
        self.known = {}  # name -> (url, private keys, wanted)
        self.unsure = set()  # names that the call under way may have changed

    def run(self):
        try:
            self.conn = Varlink(self.daemon_under_test.control)
            while not self.stop.is_set():
                self.one()
        except (Ended, OSError):
            pass  # the daemon was killed
        except Exception as e:  # pylint: disable=broad-except
            self.fault = e
        finally:
            if self.conn:
                self.conn.sock.close()

    @staticmethod
    def facts(service):
        return (service['url'], [k['private_key'] for k in service['keys']], service['wanted'])

    def one(self):
        name, new = self.random.choice(self.names), self.random.choice(self.names)
        method, parameters = self.random.choice([
            ('Create', {'mode': 'share', 'name': name, 'paths': [self.content()]}),
            ('Create', {'mode': 'share', 'name': name, 'paths': [self.content()]}),
            ('Start', {'name': name}), ('Stop', {'name': name, 'now': True}),
            ('Restart', {'name': name}), ('Rename', {'name': name, 'new_name': new}),
            ('Delete', {'name': name})])
        self.unsure = {name, new}
        try:
            reply = self.conn.call(method, parameters)
        except VarlinkError as e:
            assert e.name.rsplit('.', 1)[1] in FAIR, e
        else:
            if method in ('Delete', 'Rename'):
                self.known.pop(name)
            if method != 'Delete':
                self.known[reply['service']['name']] = self.facts(reply['service'])
        self.unsure = set()

    def check(self, services):
        for name, facts in self.known.items():
            if name not in self.unsure:
                assert name in services, (name, self.known, self.unsure)
                assert self.facts(services[name]) == facts, (name, facts, services[name])
        for name in set(self.names) - set(self.known) - self.unsure:
            assert name not in services, (name, services[name])


def test_what_was_acknowledged_outlives_kills(content):
    daemon = content
    print(f'STRESS_SEED={SEED}')
    chance = random.Random(SEED)
    end = time.monotonic() + SECONDS
    stop = threading.Event()
    crew = [Ledger(daemon, i, stop) for i in range(4)]
    while time.monotonic() < end:
        for t in crew:
            t.start()
        time.sleep(chance.random() * 0.5)
        daemon.kill()
        for t in crew:
            t.join(30)
            assert t.fault is None, (SEED, t.fault)
        daemon.start()
        with daemon.varlink() as v:
            services = {s['name']: s for s in v.call('List')['services']}
        for t in crew:
            t.check(services)
        fresh = [Ledger(daemon, i, stop) for i in range(4)]
        for new, old in zip(fresh, crew):
            new.random = old.random
            new.known = {n: old.facts(services[n]) for n in old.names if n in services}
        crew = fresh
