# SPDX-License-Identifier: GPL-3.0-or-later
"""End to end: a daemon, its tor, a network of tors, and a visitor with curl."""
import os
import re
import signal
import subprocess
import threading
import time

import pytest

import shapes
from lib import http, proc
from lib.daemon import Daemon
from lib.waiting import until

KEEP = ['--no-autostop-sharing']
# Publishing and finding a descriptor on two busy cores.
LONG = 90


@pytest.fixture(scope='module')
def tor_daemon(tornet):
    """One daemon for the tests of this file: its tor takes seconds to come up."""
    daemon = Daemon(['--tor', 'managed', '--torrc', tornet.torrc_file]).start()
    until(lambda: daemon.json('tor', 'status')['bootstrap']['percent'] == 100,
          f'tor has bootstrapped: {daemon.log()}', 150)
    yield daemon
    daemon.end()


@pytest.fixture(autouse=True)
def shown(request, tor_daemon):
    request.node.daemons = [tor_daemon]


@pytest.fixture
def name(request, tor_daemon):
    """A service name of the test's own, deleted afterwards."""
    name = re.sub(r'\W', '-', request.node.name)[:60]
    if tor_daemon.process is None:  # a test that failed between a kill and the start
        tor_daemon.start()
    yield name
    tor_daemon.ctl('delete', name, '--yes')


def visit(client, service, target='/', *args, seconds=60, isolate=None):
    """(status of curl, body); one attempt."""
    done = subprocess.run(
        ['curl', '-sS', '-m', str(seconds), *client.curl_args(isolate), *args,
         service['url'] + target], capture_output=True, timeout=seconds + 10)
    return done.returncode, done.stdout


def reached(client, service, target='/', *args, seconds=LONG, each=45):
    """The body, tried again until the service can be reached: as a newcomer each time.

    A tor that failed to get in remembers so for minutes, while others get in.
    """
    def attempt():
        client_status, body = visit(client, service, target, '-f', *args, seconds=each,
                                    isolate=f'{time.monotonic()}')
        if client_status == 0:
            return (body,)
        client.forget()
        return None
    return until(attempt, f'{service["url"]} is reached', seconds, step=0.5)[0]


def give_key(client, service):
    client.auth_add(service['onion'], service['keys'][0]['private_key'])


def started(daemon, name, *paths, options=()):
    daemon.json('create', 'share', name, *paths, *options)
    return daemon.json('start', name, timeout=LONG * 2)


def test_with_the_key_the_file_comes_without_it_nothing(tor_daemon, tornet, name):
    data = os.urandom(500_000)
    service = started(tor_daemon, name, tor_daemon.file(name, data), options=KEEP)
    shapes.is_service(service, local=False)
    assert service['state'] == 'running'
    assert service['backend'].startswith('unix:' + tor_daemon.runtime + '/http/')
    with_key, without = tornet.clients
    give_key(with_key, service)
    assert reached(with_key, service, '/download') == data
    status, body = visit(without, service, '/download', seconds=30)
    assert status != 0 and body == b''
    # A wrong key is as good as none.
    other = started(tor_daemon, name + '2', tor_daemon.file('b', b'b'), options=KEEP)
    without.auth_add(service['onion'], other['keys'][0]['private_key'])
    status, body = visit(without, service, '/download', seconds=30)
    assert status != 0 and body == b''
    without.auth_remove(service['onion'])
    tor_daemon.json('delete', name + '2', '--yes')


def test_two_services_are_two_addresses(tor_daemon, tornet, name):
    one = started(tor_daemon, name, tor_daemon.file('1', b'one'), options=[*KEEP, '--public'])
    two = started(tor_daemon, name + '2', tor_daemon.file('2', b'two'),
                  options=[*KEEP, '--public'])
    assert one['keys'] == two['keys'] == []
    client = tornet.clients[0]
    assert reached(client, one, '/download') == b'one'
    assert reached(client, two, '/download') == b'two'
    # One's host name does not open the other, nor does any but its own.
    for host in (two['onion'] + '.onion', '127.0.0.1', 'localhost', 'evil.example'):
        status, body = visit(client, one, '/', '-H', f'Host: {host}', '-w', '%{http_code}')
        assert status == 0 and body.endswith(b'421'), host
    tor_daemon.json('delete', name + '2', '--yes')


def test_a_stopped_service_is_unreachable_and_comes_back_the_same(tor_daemon, tornet, name):
    service = started(tor_daemon, name, tor_daemon.file('a', b'data'), options=KEEP)
    client = tornet.clients[0]
    give_key(client, service)
    assert reached(client, service, '/download') == b'data'
    tor_daemon.json('stop', name)
    assert visit(client, service, seconds=20)[0] != 0
    again = tor_daemon.json('start', name, timeout=LONG * 2)
    assert (again['url'], again['keys']) == (service['url'], service['keys'])
    assert reached(client, again, '/download') == b'data'


def test_rename_keeps_the_address(tor_daemon, tornet, name):
    service = started(tor_daemon, name, tor_daemon.file('a', b'data'), options=KEEP)
    client = tornet.clients[0]
    give_key(client, service)
    assert reached(client, service, '/download') == b'data'
    renamed = tor_daemon.json('rename', name, name + '-new')
    assert (renamed['url'], renamed['keys']) == (service['url'], service['keys'])
    assert reached(client, renamed, '/download') == b'data'
    tor_daemon.json('delete', name + '-new', '--yes')


def test_a_complete_download_through_tor_stops_the_share(tor_daemon, tornet, name):
    service = started(tor_daemon, name, tor_daemon.file('a', os.urandom(2_000_000)))
    client = tornet.clients[0]
    give_key(client, service)
    assert len(reached(client, service, '/download')) == 2_000_000
    assert tor_daemon.until_state(name, 'stopped')['reason'] == 'completed'


def tor_of(daemon):
    for pid in proc.descendants(daemon.pid):
        try:
            if os.path.basename(os.readlink(f'/proc/{pid}/exe')) == 'tor':
                return pid
        except OSError:
            pass
    return None


def test_tor_killed_is_tor_back_within_30_seconds(tor_daemon, tornet, name):
    service = started(tor_daemon, name, tor_daemon.file('a', b'data'), options=KEEP)
    client = tornet.clients[0]
    give_key(client, service)
    assert reached(client, service, '/download') == b'data'
    os.kill(tor_of(tor_daemon), signal.SIGKILL)
    begun = time.monotonic()
    tor_daemon.until_state(name, 'offline', 'publishing')
    client.forget()
    assert reached(client, service, '/download', seconds=60, each=6) == b'data'
    took = time.monotonic() - begun
    assert took < 30, f'{took:.1f} s'
    after = tor_daemon.until_state(name, 'running')
    assert (after['url'], after['keys']) == (service['url'], service['keys'])


def test_the_daemon_killed_in_a_download_that_goes_on_by_range(tor_daemon, tornet, name, tmp_path):
    data = os.urandom(20_000_000)
    service = started(tor_daemon, name, tor_daemon.file('big', data), options=KEEP)
    client = tornet.clients[0]
    give_key(client, service)
    reached(client, service)
    part = tmp_path / 'part'
    head = tmp_path / 'head'
    curl = subprocess.Popen(['curl', '-sS', *client.curl_args(), '-o', part, '-D', head,
                             service['url'] + '/download'], stderr=subprocess.DEVNULL)
    until(lambda: part.exists() and part.stat().st_size > 500_000, 'the download has begun', 60)
    tor = tor_of(tor_daemon)
    tor_daemon.kill()
    until(lambda: not proc.alive(tor), 'tor ends with the daemon', 40)
    # The visitor's tor hears of it by the circuit's end, which may take its time.
    assert curl.wait(180) != 0, 'a download cut short must not look complete'
    assert 0 < part.stat().st_size < len(data)
    tor_daemon.start()
    again = tor_daemon.until_state(name, 'running', seconds=LONG)
    assert (again['url'], again['keys']) == (service['url'], service['keys'])
    tag = re.search(r'(?im)^etag: (".*?")', head.read_text())[1]
    client.forget()
    have = part.stat().st_size
    rest = reached(client, again, '/download', '-H', f'Range: bytes={have}-',
                   '-H', f'If-Range: {tag}')
    assert part.read_bytes() + rest == data


def test_start_waits_until_a_visitor_would_get_in(tor_daemon, tornet, name):
    """running means announced: a visitor that comes at once is not turned away."""
    tor_daemon.json('create', 'share', name, tor_daemon.file('a', b'data'), *KEEP, '--public')
    progress = tor_daemon.ctl('start', name, timeout=LONG * 2)
    assert progress.status == 0, progress
    service = tor_daemon.show(name)
    assert service['state'] == 'running' and service['url'] in progress.out
    status, body = visit(tornet.clients[1], service, '/download', isolate='at-once')
    assert (status, body) == (0, b'data')


def test_status_tells_of_tor(tor_daemon):
    status = tor_daemon.json('status')
    shapes.is_status(status)
    assert status['local_only'] is False
    tor = tor_daemon.json('tor', 'status')
    shapes.members(tor, shapes.TOR)
    assert tor['mode'] == 'managed' and re.match(r'\d+\.\d+\.\d+', tor['version'])
    assert tor['bootstrap']['percent'] == 100


def test_only_tor_and_the_daemon_may_connect(tor_daemon, tornet, name):
    service = started(tor_daemon, name, tor_daemon.file('a', b'data'), options=KEEP)
    path = service['backend'].removeprefix('unix:')
    assert os.stat(path).st_mode & 0o007 == 0
    assert os.stat(os.path.dirname(path)).st_mode & 0o007 == 0
    if os.geteuid() == 0:
        for folder in (tor_daemon.dir, tor_daemon.runtime, os.path.dirname(path)):
            os.chmod(folder, 0o755)
        os.chmod(path, 0o777)
        done = subprocess.run(
            ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', 'curl', '-sS', '-m', '5',
             '--unix-socket', path, f'http://{service["onion"]}.onion/'], capture_output=True)
        assert done.returncode != 0 and b'data' not in done.stdout


def test_no_address_or_key_in_the_log(tor_daemon, tornet, name):
    service = started(tor_daemon, name, tor_daemon.file('a', b'data'), options=KEEP)
    client = tornet.clients[0]
    give_key(client, service)
    reached(client, service)
    tor_daemon.json('stop', name)
    log = tor_daemon.log()
    assert service['onion'] not in log and service['keys'][0]['private_key'] not in log
    assert service['onion'].upper() not in log


def test_the_daemon_has_no_socket_on_the_internet(tor_daemon, tornet, name):
    started(tor_daemon, name, tor_daemon.file('a', b'data'), options=KEEP)
    inodes = {t[8:-1] for t in proc.fds(tor_daemon.pid).values() if t.startswith('socket:[')}
    for table in ('tcp', 'tcp6', 'udp', 'udp6', 'raw', 'raw6', 'packet', 'netlink'):
        with open(f'/proc/net/{table}') as f:
            lines = [line.split() for line in f.readlines()[1:]]
        column = {'packet': 8, 'netlink': 9}.get(table, 9)
        assert not inodes & {line[column] for line in lines if len(line) > column}, table


def test_many_services_come_up_together(tor_daemon, tornet, name):
    path = tor_daemon.file('a', b'data')
    names = [f'{name}-{i}' for i in range(12)]
    for each in names:
        tor_daemon.json('create', 'share', each, path, *KEEP, '--public')
    begun = time.monotonic()
    services = tor_daemon.json('start', *names, timeout=LONG * 2)
    assert all(s['state'] == 'running' for s in services)
    assert time.monotonic() - begun < 60
    assert len({s['onion'] for s in services}) == 12
    assert reached(tornet.clients[0], services[7], '/download') == b'data'
    tor_daemon.json('delete', *names, '--yes')


def test_asked_to_stop_daemon_and_tor_are_gone(tornet, make_daemon):
    daemon = make_daemon(['--tor', 'managed', '--torrc', tornet.torrc_file]).start()
    tor = until(lambda: tor_of(daemon), 'tor runs', 60)
    assert daemon.stop() == 0
    until(lambda: not proc.alive(tor), 'tor has ended')


def downloading(client, service, part, size=500_000, isolate=None):
    """A download that is under way and has brought something.

    As fast as it goes: of a slow reader's, megabytes are in the sockets of his own machine.
    """
    curl = subprocess.Popen(
        ['curl', '-sS', *client.curl_args(isolate), '-o', part, service['url'] + '/download'],
        stderr=subprocess.DEVNULL)
    until(lambda: part.exists() and part.stat().st_size > size, 'the download has begun', 60)
    return curl


def test_who_loses_a_key_is_cut_and_shut_out_and_the_other_goes_on(tor_daemon, tornet, name,
                                                                    tmp_path):
    data = os.urandom(60_000_000)
    service = started(tor_daemon, name, tor_daemon.file('big', data), options=KEEP)
    keys = {who: tor_daemon.json('key', 'add', name, who) for who in ('anna', 'bob')}
    anna, bob = tornet.clients
    anna.auth_add(service['onion'], keys['anna']['private_key'])
    bob.auth_add(service['onion'], keys['bob']['private_key'])
    tor_daemon.until_state(name, 'running', seconds=LONG)
    for client in (anna, bob):
        reached(client, service)
    of_anna, of_bob = (downloading(c, service, tmp_path / p) for c, p in ((anna, 'a'), (bob, 'b')))
    begun = time.monotonic()
    tor_daemon.json('key', 'remove', name, 'bob')
    answered = time.monotonic() - begun
    assert of_bob.wait(20) != 0
    ended = time.monotonic() - begun
    had = (tmp_path / 'b').stat().st_size
    assert had < len(data)
    # Bob has circuits, a cached descriptor, and his key: none of them helps.
    for isolate in (None, 'once more'):
        status, body = visit(bob, service, '/download', seconds=20, isolate=isolate)
        assert (status, body) != (0, data) and status != 0 and body == b''
    # Anna's is cut too, for Tor does not tell them apart; hers goes on where it was.
    of_anna.wait(60)
    have = (tmp_path / 'a').read_bytes()
    if len(have) < len(data):
        have += reached(anna, service, '/download', '-H', f'Range: bytes={len(have)}-')
    assert have == data
    bob.auth_remove(service['onion'])
    print(f'cut after {answered:.1f} s, which the reader noticed after {ended:.1f} s')


def test_a_key_works_from_the_moment_it_is_published_and_cuts_nobody(tor_daemon, tornet, name,
                                                                      tmp_path):
    data = os.urandom(20_000_000)
    service = started(tor_daemon, name, tor_daemon.file('big', data), options=KEEP)
    anna, bob = tornet.clients
    give_key(anna, service)
    reached(anna, service)
    of_anna = downloading(anna, service, tmp_path / 'a')
    key = tor_daemon.json('key', 'add', name, 'bob')
    bob.auth_add(service['onion'], key['private_key'])
    tor_daemon.until_state(name, 'running', seconds=LONG)
    assert reached(bob, service, '/download') == data
    assert of_anna.wait(90) == 0 and (tmp_path / 'a').read_bytes() == data
    bob.auth_remove(service['onion'])


def test_public_and_private_again_without_a_restart(tor_daemon, tornet, name):
    service = started(tor_daemon, name, tor_daemon.file('a', b'data'), options=KEEP)
    with_key, without = tornet.clients
    give_key(with_key, service)
    assert reached(with_key, service, '/download') == b'data'
    opened = tor_daemon.json('edit', name, '--public')
    assert opened['url'] == service['url'] and opened['keys'] == []
    assert reached(without, service, '/download') == b'data'
    closed = tor_daemon.json('edit', name, '--private')
    assert closed['keys'] == service['keys']
    # Also by the circuit that was good a moment ago.
    status, body = visit(without, service, '/download', seconds=20)
    assert status != 0 and body == b''
    assert reached(with_key, service, '/download') == b'data'


def test_256_keys_publish_and_the_next_is_refused(tor_daemon, tornet, name):
    service = started(tor_daemon, name, tor_daemon.file('a', b'data'), options=KEEP)
    for _ in range(254):
        tor_daemon.json('key', 'add', name)
    last = tor_daemon.json('key', 'add', name, 'the last')
    result = tor_daemon.ctl('key', 'add', name, 'one more')
    assert result.status == 1 and '256 keys' in result.err
    # Keys that come while tor is at work wait for it: taken down half made again and again, an
    # onion uses up the circuits that tor grants it in five minutes (get_max_intro_circ_per_period).
    tor_daemon.until_state(name, 'running', seconds=LONG)
    client = tornet.clients[0]
    client.auth_add(service['onion'], last['private_key'])
    assert reached(client, service, '/download') == b'data'


def test_a_key_as_a_file_opens_a_tor_that_reads_it(tor_daemon, tornet, name, tmp_path):
    service = started(tor_daemon, name, tor_daemon.file('a', b'data'), options=KEEP)
    path = tmp_path / 'anna.auth_private'
    key = tor_daemon.json('key', 'add', name, 'anna', '-o', path)
    assert path.read_text() == \
        f'{service["onion"]}:descriptor:x25519:{key["private_key"]}\n'
    assert path.stat().st_mode & 0o777 == 0o600
    again = tor_daemon.ctl('key', 'list', name, 'anna', '-o', path)
    assert again.status == 1 and 'File exists' in again.err  # nothing is overwritten
    listed = tmp_path / 'again.auth_private'
    tor_daemon.json('key', 'list', name, 'anna', '-o', listed)
    assert listed.read_text() == path.read_text()


def test_a_scheduled_service_has_its_address_and_nobody_behind_it(tor_daemon, tornet, name):
    tor_daemon.json('create', 'share', name, tor_daemon.file('a', b'data'), *KEEP, '--public',
                    '--auto-start-timer', '15')
    begun = time.monotonic()
    service = tor_daemon.json('start', name)
    assert time.monotonic() - begun < 10
    assert service['state'] == 'scheduled' and service['url'] and service['start_at']
    assert visit(tornet.clients[0], service, seconds=5)[0] != 0
    tornet.clients[0].forget()
    tor_daemon.until_state(name, 'running', seconds=LONG)
    assert reached(tornet.clients[0], service, '/download') == b'data'


def versions(daemon, name, n):
    """Folders whose files tell the same version, line by line."""
    for i in range(n):
        for f in range(6):
            daemon.file(f'{name}/v{i}/f{f}', b'%d\n' % i * (1000 + 8_000 * f))
    return [os.path.join(daemon.content, name, f'v{i}') for i in range(n)]


class Reader(threading.Thread):
    """Reads a website's files, one after the other, and finds each of them of one version."""

    def __init__(self, address, host, over):
        super().__init__()
        self.address, self.host, self.over = address, host, over
        self.count, self.fault, self.seen = 0, None, set()

    def run(self):
        try:
            with http.Connection(self.address, self.host, timeout=LONG) as c:
                while not self.over.is_set():
                    f = self.count % 6
                    reply = c.request(target=f'/f{f}')
                    lines = reply.body.split(b'\n')[:-1]
                    assert reply.status == 200 and len(lines) == 1000 + 8_000 * f, reply
                    assert len(set(lines)) == 1, set(lines)
                    self.seen.add(lines[0])
                    self.count += 1
        except Exception as e:  # told below, whatever it is
            self.fault = e


def test_a_hundred_replacements_while_sixteen_read_through_tor_and_beside_it(
        tor_daemon, tornet, name):
    folders = versions(tor_daemon, name, 3)
    tor_daemon.json('create', 'website', name, folders[0], '--public')
    service = tor_daemon.json('start', name, timeout=LONG * 2)
    client, host = tornet.clients[0], service['onion'] + '.onion'
    reached(client, service, '/f0')
    over = threading.Event()
    behind = [Reader(f'socks:{client.socks_port}:{host}', host, over) for _ in range(8)]
    beside = [Reader(service['backend'], host, over) for _ in range(8)]
    for reader in behind + beside:
        reader.start()
    n = 0
    try:
        with tor_daemon.varlink() as v:
            until(lambda: all(r.count or r.fault for r in behind + beside), 'all read', LONG)
            # Those behind Tor are slower: on until they have seen some of it.
            while n < 100 or not all(r.count >= 20 or r.fault for r in behind):
                n += 1
                v.call('Publish', {'name': name, 'paths': [folders[n % 3]]})
    finally:
        over.set()
        for reader in behind + beside:
            reader.join()
    assert [r.fault for r in behind + beside if r.fault] == []
    assert n >= 100 and all(len(r.seen) == 3 for r in behind + beside)
