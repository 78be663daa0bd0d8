# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs that are compared, each started the same way: serve this, tell me where."""
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time

from lib import proc
from lib.daemon import BUILD, Daemon
from lib.waiting import until

# What OnionShare sends with everything, so that nobody has less to do.
HEADERS = {
    'Content-Security-Policy': "default-src 'self'; frame-ancestors 'none'; form-action 'self'; "
                               "base-uri 'self'; img-src 'self' data:;",
    'X-Frame-Options': 'DENY', 'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer', 'X-Xss-Protection': '1; mode=block',
}


def answers(address, host, target, timeout=5):
    """The status of a HEAD request, 0 if there is none."""
    try:
        if address.startswith('unix:'):
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(timeout)
            s.connect(address[5:])
        else:
            _, name, port = address.split(':')
            s = socket.create_connection((name, int(port)), timeout)
        with s:
            s.sendall(f'HEAD {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n'.encode())
            data = s.recv(4096)
        return int(data.split(b' ')[1]) if data.startswith(b'HTTP/') else 0
    except (OSError, ValueError, IndexError):
        return 0


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(('127.0.0.1', port)) == 0


class Server:
    """address, host and target: for the load. seconds: from start to servable."""

    name = ''
    can_unix = False
    host = '127.0.0.1'

    def pids(self):
        return [self.process.pid, *proc.descendants(self.process.pid)]

    def cpu(self):
        return sum(proc.cpu_seconds(p) for p in self.pids())

    def wakes(self):
        """How often its threads have gone to sleep so far."""
        total = 0
        for pid in self.pids():
            for task in os.listdir(f'/proc/{pid}/task'):
                with open(f'/proc/{pid}/task/{task}/status') as f:
                    total += int(re.search(r'^voluntary_ctxt_switches:\s+(\d+)', f.read(), re.M)[1])
        return total

    def memory(self, key):
        """Bytes, of all its processes: Rss or Pss."""
        total = 0
        for pid in self.pids():
            with open(f'/proc/{pid}/smaps_rollup') as f:
                total += int(re.search(rf'^{key}:\s+(\d+)', f.read(), re.M)[1]) * 1024
        return total

    def wait_servable(self, begun, limit=120):
        until(lambda: answers(self.address, self.host, self.target) == 200,
              f'{self.name} is servable', limit, step=0.001)
        self.seconds = time.monotonic() - begun

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        for pid in reversed(self.pids()):
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                pass
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def free_ports(n):
    """Different ones: all are held until the last is there."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(n)]
        for s in sockets:
            s.bind(('127.0.0.1', 0))
        return [s.getsockname()[1] for s in sockets]


def with_addresses(daemon):
    """Its services are at Unix sockets then: a tor that stays off the network gives addresses too."""
    torrc = os.path.join(daemon.dir, 'torrc')
    with open(torrc, 'w') as f:
        f.write('DisableNetwork 1\n')
    daemon.args = ['--tor', 'managed', '--torrc', torrc]


class Onionshared(Server):
    """The daemon on directories of its own. One service for each path given."""

    name = 'onionshared'
    can_unix = True

    def __init__(self, paths, unix=False, options=(), target='/download', services=1,
                 website=False):
        self.target = target
        mode = ['website'] if website else ['share', '--no-autostop-sharing']
        args = ['--local-only']
        self.daemon = Daemon(args)
        if unix:
            with_addresses(self.daemon)
        self.daemon.start()
        self.process = self.daemon.process
        names = [f's{i}' for i in range(services)]
        self.urls = []
        for name in names:
            made = self.daemon.json('create', mode[0], name, *paths, *mode[1:],
                                    '--max-connections', '100000', *options)
            self.urls.append(made['url'])
        begun = time.monotonic()
        with self.daemon.varlink() as v:
            for name in names:
                v.call('Start', {'name': name})
        service = until(lambda: (s := self.daemon.show(names[0]))['backend'] and s, 'it listens')
        self.address = service['backend']
        if unix:
            self.host = service['onion'] + '.onion'
            until(lambda: answers(self.address, self.host, self.target) == 200, 'it serves')
            self.seconds = None
        else:
            self.address = 'tcp:' + service['url'].removeprefix('http://')
            begun = self._restart_measured(names) if services > 1 else self._start_measured(names[0])
            self.wait_servable(begun)
            for url in self.urls:
                address = 'tcp:' + url.removeprefix('http://')
                until(lambda a=address: answers(a, self.host, self.target) == 200, url, step=0.001)
            self.seconds = time.monotonic() - begun

    def _start_measured(self, name):
        """From the command to the first answer, without the client's own start."""
        with self.daemon.varlink() as v:
            v.call('Stop', {'name': name, 'now': True})
            begun = time.monotonic()
            v.call('Start', {'name': name})
        return begun

    def _restart_measured(self, names):
        """From the process's start: all wanted services come back."""
        self.daemon.stop()
        begun = time.monotonic()
        self.daemon.start()
        self.process = self.daemon.process
        return begun

    def temporary(self):
        total = 0
        for folder, _, names in os.walk(self.daemon.state):
            total += sum(os.path.getsize(os.path.join(folder, n)) for n in names)
        return total

    def stop(self):
        self.daemon.end()


class Dropbox(Server):
    """The daemon with one receive service, whose data directory is given."""

    name = 'onionshared'

    def __init__(self, folder, options=()):
        self.daemon = Daemon(['--local-only']).start()
        self.process = self.daemon.process
        self.daemon.json('create', 'receive', 'box', '--data-dir', folder, '--min-free', '0',
                         '--max-connections', '10000', *options)
        service = self.daemon.json('start', 'box')
        self.address = 'tcp:' + service['url'].removeprefix('http://')
        self.target = '/upload-ajax'
        self.folder = folder

    def received(self):
        return sum(len(names) for folder, _, names in os.walk(self.folder))

    def peak(self):
        with open(f'/proc/{self.process.pid}/status') as f:
            return int(re.search(r'VmHWM:\s+(\d+)', f.read())[1]) * 1024

    def stop(self):
        self.daemon.end()


class Room(Server):
    """The daemon with one chat room."""

    name = 'onionshared'
    json = True

    def __init__(self, **_):
        self.daemon = Daemon(['--local-only'])
        self.prepare()
        self.daemon.start()
        self.process = self.daemon.process
        self.daemon.json('create', 'chat', 'room', '--max-connections', '10000')
        with self.daemon.varlink() as v:
            v.call('Start', {'name': 'room'})
        service = until(lambda: (s := self.daemon.show('room'))['backend'] and s, 'it listens')
        self.address = service['backend']
        if service['onion']:
            self.host = service['onion'] + '.onion'

    def prepare(self):
        pass

    def stop(self):
        self.daemon.end()


class RoomAtSocket(Room):
    """The same at a Unix socket, which is where tor brings visitors."""

    name = 'onionshared at a Unix socket'

    def prepare(self):
        with_addresses(self.daemon)


class WebSocketLayer(Server):
    """http/ws alone: every text goes to everybody."""

    name = 'http/ws alone'
    json = False

    def __init__(self, **_):
        self.process = subprocess.Popen([os.path.join(BUILD, 'tests', 'ws_server'), '--broadcast'],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.address = f'tcp:127.0.0.1:{int(self.process.stdout.readline())}'


class NodeWs(Server):
    """The same with Debian's node-ws."""

    name = 'node ws'
    json = False

    def __init__(self, **_):
        port, = free_ports(1)
        self.process = subprocess.Popen(
            ['node', os.path.join(os.path.dirname(__file__), 'ws_peer.js'), str(port)])
        self.address = f'tcp:127.0.0.1:{port}'
        until(lambda: listens(port), 'node listens')


class OnionShare(Server):
    """Debian's onionshare-cli."""

    name = 'onionshare-cli'
    program = 'onionshare-cli'

    def __init__(self, paths, target='/download', directory='/tmp', website=False, **_):
        self.home = os.path.join(directory, 'onionshare-home')
        shutil.rmtree(self.home, ignore_errors=True)
        os.makedirs(self.home)
        self.target = '/' if target == '/download' else target
        argv = [self.program, '--local-only', '--public', '--no-autostop-sharing',
                *(['--website'] if website else []), *paths]
        self.log = open(os.path.join(self.home, 'log'), 'w+b')
        begun = time.monotonic()
        self.process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            env={**os.environ, 'HOME': self.home, 'XDG_CONFIG_HOME': self.home,
                 'PYTHONUNBUFFERED': '1'})
        port = until(self._port, 'onionshare-cli says where', 600)
        self.address = f'tcp:127.0.0.1:{port}'
        self.wait_servable(begun)
        self.peak = self.temporary()
        self.target = target

    def _port(self):
        if self.process.poll() is not None:
            with open(self.log.name) as f:
                raise AssertionError(f.read()[-2000:])
        with open(self.log.name, errors='replace') as f:
            found = re.search(r'http://127\.0\.0\.1:(\d+)', f.read())
        return int(found[1]) if found else None

    def temporary(self):
        total = 0
        for folder, _, names in os.walk(self.home):
            total += sum(os.path.getsize(os.path.join(folder, n)) for n in names)
        return total

    def stop(self):
        super().stop()
        self.log.close()
        shutil.rmtree(self.home, ignore_errors=True)


class Nginx(Server):
    """One worker, sendfile, the same headers."""

    name = 'nginx'
    program = 'nginx'
    can_unix = True

    def __init__(self, paths, unix=False, target='/download', directory='/tmp', services=1,
                 put=False, **_):
        self.dir = os.path.join(directory, 'nginx')
        shutil.rmtree(self.dir, ignore_errors=True)
        os.makedirs(self.dir)
        root = os.path.dirname(os.path.realpath(paths[0]))
        self.target = '/' + os.path.basename(paths[0]) if target == '/download' else target
        headers = '\n'.join(f'add_header {k} "{v}";' for k, v in HEADERS.items())
        ports = free_ports(services)
        listens = [f'127.0.0.1:{p} backlog=4096' for p in ports]
        if unix:
            listens = [f'unix:{self.dir}/s backlog=4096']
        dav = 'dav_methods PUT; client_max_body_size 0;' if put else ''
        servers = '\n'.join(f'server {{ listen {a}; root {root}; {headers} {dav} }}'
                            for a in listens)
        with open(os.path.join(self.dir, 'conf'), 'w') as f:
            f.write(f'''
daemon off; worker_processes 1; worker_rlimit_nofile 40000; pid {self.dir}/pid;
error_log stderr crit; user root;
events {{ worker_connections 30000; }}
http {{
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
    keepalive_timeout 600s; server_tokens off; types {{ text/html html; }}
    default_type application/octet-stream;
    client_body_temp_path {self.dir}/b; proxy_temp_path {self.dir}/p;
    fastcgi_temp_path {self.dir}/f; uwsgi_temp_path {self.dir}/u; scgi_temp_path {self.dir}/c;
    {servers}
}}''')
        begun = time.monotonic()
        self.process = subprocess.Popen([self.program, '-c', os.path.join(self.dir, 'conf'), '-e',
                                         'stderr'], stdin=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        for port in ports if not unix else []:
            self.address = f'tcp:127.0.0.1:{port}'
            self.wait_servable(begun)
        if unix:
            self.address = f'unix:{self.dir}/s'
            self.wait_servable(begun)

    def stop(self):
        super().stop()
        shutil.rmtree(self.dir, ignore_errors=True)


class Darkhttpd(Server):
    name = 'darkhttpd'
    program = 'darkhttpd'

    def __init__(self, paths, target='/download', **_):
        root = os.path.dirname(os.path.realpath(paths[0]))
        self.target = '/' + os.path.basename(paths[0]) if target == '/download' else target
        port, = free_ports(1)
        begun = time.monotonic()
        self.process = subprocess.Popen(
            [self.program, root, '--port', str(port), '--addr', '127.0.0.1', '--maxconn', '20000'],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.address = f'tcp:127.0.0.1:{port}'
        self.wait_servable(begun)


WANTED = None  # names, where not all shall run


def available():
    """Ours first; the peers that are installed."""
    path = os.environ['PATH'] + ':/usr/sbin'
    found = [Onionshared] + [p for p in (OnionShare, Nginx, Darkhttpd)
                             if shutil.which(p.program, path=path)]
    return [s for s in found if WANTED is None or s.name in WANTED]


def rooms():
    """Likewise where people chat."""
    node = shutil.which('node') and os.path.isdir('/usr/share/nodejs/ws')
    found = [Room, RoomAtSocket, WebSocketLayer, *([NodeWs] if node else [])]
    return [s for s in found if WANTED is None or s.name in WANTED]


def describe():
    """The machine, for the tables."""
    with open('/proc/cpuinfo') as f:
        model = re.search(r'model name\s*:\s*(.*)', f.read())[1]
    with open('/proc/sys/net/ipv4/tcp_congestion_control') as f:
        congestion = f.read().strip()
    return json.dumps({'cpu': model, 'cores': os.cpu_count(), 'kernel': os.uname().release,
                       'congestion': congestion})
