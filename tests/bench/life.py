# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows about the daemon's life: its start, Tor that comes and goes, nobody there."""
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path[:0] = [os.path.join(TOP, 'tests', 'tornet')]
from lib import proc  # noqa: E402
from lib.daemon import Daemon  # noqa: E402
from lib.waiting import until  # noqa: E402
from tornet import TorNet, TorNetError  # noqa: E402

MIB = 1 << 20


def make_services(daemon, path, n):
    """So many public shares, started as soon as they are saved."""
    fd = os.open(path, os.O_RDONLY)
    with daemon.varlink() as v:
        for i in range(n):
            v.call('Create', {'name': f's{i}', 'mode': 'share', 'paths': [path],
                              'options': {'no_autostop_sharing': True, 'public': True}}, fds=[fd])
            v.call('Start', {'name': f's{i}'})
    os.close(fd)


def states(daemon):
    return [s['state'] for s in daemon.json('list')]


class OffTor:
    """A daemon whose own tor stays off the network: it takes onions all the same."""

    def __init__(self, log_level='notice'):
        self.daemon = Daemon()
        torrc = os.path.join(self.daemon.dir, 'torrc')
        with open(torrc, 'w') as f:
            f.write('DisableNetwork 1\n')
        self.daemon.args = ['--tor', 'managed', '--torrc', torrc, '--log-level', log_level]

    def __enter__(self):
        return self.daemon

    def __exit__(self, *_):
        self.daemon.end()


class Listener:
    """What systemd would hear: when READY=1 came, and how large the daemon was then."""

    def __init__(self, folder):
        self.path = os.path.join(folder, 'notify')
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(60)

    def ready(self):
        while b'READY=1' not in self.socket.recv(4096).split(b'\n'):
            pass
        return time.monotonic()

    def close(self):
        self.socket.close()
        os.unlink(self.path)


def ready_thousand(bench):
    """1,000 saved services: from the start of the process to READY=1, memory then and at rest"""
    path = bench.file(MIB)
    for kind in ('local only', 'with a tor'):
        with OffTor() as daemon:
            if kind == 'local only':
                daemon.args = ['--local-only']
            daemon.start()
            make_services(daemon, path, 1000)
            for _ in range(bench.rounds):
                daemon.stop(seconds=90)
                listener = Listener(daemon.dir)
                daemon.env['NOTIFY_SOCKET'] = listener.path
                begun = time.monotonic()
                daemon.spawn()
                seconds = listener.ready() - begun
                rss = proc.rss(daemon.pid)
                listener.close()
                wanted = 'running' if kind == 'local only' else 'publishing'
                until(lambda w=wanted: set(states(daemon)) == {w}, 'all are up', 60)
                up = time.monotonic() - begun
                bench.record('ready_thousand', kind, seconds_to_ready=seconds,
                             rss_mib_then=rss / MIB, seconds_all_up=up,
                             rss_mib=proc.rss(daemon.pid) / MIB)


def seconds_to(condition, begun, limit=120):
    """As until, but looked at every two milliseconds."""
    while not condition():
        assert time.monotonic() - begun < limit, 'it does not come to that'
        time.sleep(0.002)
    return time.monotonic() - begun


def added(daemon, n):
    return daemon.log().count('tor is told: ADD_ONION\n') >= n


def two_hundred(bench):
    """200 saved onions, their tor killed: from the first to the last ADD_ONION, from the kill on, CPU"""
    path = bench.file(MIB)
    with OffTor('debug') as daemon:
        daemon.start()
        make_services(daemon, path, 200)
        until(lambda: set(states(daemon)) == {'publishing'}, 'all are added', 120)
        for _ in range(bench.rounds):
            tor = proc.children(daemon.pid)[0]
            os.truncate(daemon.log_file, 0)
            cpu = proc.cpu_seconds(daemon.pid)
            killed = time.monotonic()
            os.kill(tor, signal.SIGKILL)
            first = seconds_to(lambda: added(daemon, 1), killed)
            last = seconds_to(lambda: added(daemon, 200), killed)
            bench.record('two_hundred', 'onionshared', seconds=last - first,
                         seconds_from_kill=last, cpu_s=proc.cpu_seconds(daemon.pid) - cpu)


class Uploads(threading.Thread):
    """Of which onions tor has begun to upload descriptors, and since when."""

    def __init__(self, control):
        super().__init__()
        self.control, self.seen = control, {}
        self.control.command('SETEVENTS HS_DESC')

    def run(self):
        while line := self.control.next_event():
            found = re.match(r'650 HS_DESC UPLOAD (\w{56})', line)
            if found:
                self.seen.setdefault(found[1], time.monotonic())


class OwnNetwork:
    """A private Tor network, a tor on it that the row may trouble, a daemon, n services."""

    def __init__(self, bench, n, log_level='notice'):
        self.dir = tempfile.mkdtemp(prefix='net-', dir=bench.dir)
        self.net = TorNet(self.dir, clients=1)
        self.n, self.path, self.log_level = n, bench.file(MIB), log_level

    def __enter__(self):
        self.net.start()
        self.tor = self.net.add_client()
        until(lambda: self.tor.bootstrapped() == 100, 'tor has bootstrapped', 120)
        conf = os.path.join(self.dir, 'conf')
        with open(conf, 'w') as f:
            f.write(f'[tor]\nmode = system\ncontrol = unix:{self.tor.control_socket}\n')
        self.daemon = Daemon(['--config', conf, '--log-level', self.log_level]).start()
        make_services(self.daemon, self.path, self.n)
        self.all_running()
        return self

    def all_running(self):
        until(lambda: set(states(self.daemon)) == {'running'}, 'all are published', 300, step=0.2)

    def __exit__(self, *_):
        self.daemon.end()
        self.net.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


def tor_returns(bench):
    """20 services, tor killed: from its control socket to all told, all uploads begun, all running"""
    with OwnNetwork(bench, 20, 'debug') as world:
        for _ in range(bench.rounds):
            os.kill(world.tor.pid, signal.SIGKILL)
            world.tor.process.wait()
            until(lambda: set(states(world.daemon)) == {'offline'}, 'tor is missed')
            os.truncate(world.daemon.log_file, 0)
            world.tor.launch()
            control = until(lambda: connected(world.tor), 'the control socket', 60, step=0.005)
            begun = time.monotonic()
            uploads = Uploads(control)
            uploads.start()
            told = seconds_to(lambda: added(world.daemon, 20), begun)
            network = seconds_to(lambda: world.tor.bootstrapped() == 100, begun)
            seconds_to(lambda: len(uploads.seen) == 20, begun)
            world.all_running()
            running = time.monotonic() - begun
            control.hang_up()
            uploads.join()
            control.close()
            bench.record('tor_returns', 'onionshared', seconds_told=told,
                         seconds_tor_in_network=network,
                         seconds_uploads=max(uploads.seen.values()) - begun,
                         seconds_running=running)


def connected(tor):
    try:
        return tor.control()
    except (OSError, TorNetError):
        return None  # not yet


def hundred_published(bench):
    """100 services published on a private Tor network, nobody there: the daemon's wake-ups"""
    with OwnNetwork(bench, 100) as world:
        for _ in range(bench.rounds):
            time.sleep(5)
            cpu, wakes = proc.cpu_seconds(world.daemon.pid), sleeps(world.daemon.pid)
            time.sleep(60)
            bench.record('hundred_published', 'onionshared',
                         wakes_per_s=(sleeps(world.daemon.pid) - wakes) / 60,
                         cpu_ms_per_s=(proc.cpu_seconds(world.daemon.pid) - cpu) / 60 * 1000,
                         rss_mib=proc.rss(world.daemon.pid) / MIB)


def sleeps(pid):
    """How often its threads have gone to sleep so far."""
    total = 0
    for task in os.listdir(f'/proc/{pid}/task'):
        with open(f'/proc/{pid}/task/{task}/status') as f:
            total += int(re.search(r'^voluntary_ctxt_switches:\s+(\d+)', f.read(), re.M)[1])
    return total


ROWS = (ready_thousand, two_hundred, tor_returns, hundred_published)
