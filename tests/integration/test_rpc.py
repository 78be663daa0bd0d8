# SPDX-License-Identifier: GPL-3.0-or-later
"""The control socket by hand: introspection, errors, limits and abuse."""
import grp
import json
import os
import random
import select
import shutil
import socket
import subprocess
import sys
import threading
import time

import pytest

import shapes
from lib import proc
from lib.http import Connection, fetch
from lib.varlink import CONTROL, Ended, VarlinkError
from lib.waiting import until

MIB = 1 << 20


def answers_quickly(daemon, seconds=3):
    begun = time.monotonic()
    with daemon.varlink() as v:
        shapes.is_status(v.call('Status'))
    assert time.monotonic() - begun < seconds


def test_get_info_by_hand(daemon):
    """printf '…\\0' | socat: no client library needed."""
    call = b'{"method":"org.varlink.service.GetInfo"}\0'
    done = subprocess.run(['socat', '-t5', '-', f'UNIX-CONNECT:{daemon.control}'], input=call,
                          capture_output=True, check=True, timeout=30)
    assert done.stdout.endswith(b'\0')
    info = json.loads(done.stdout[:-1])['parameters']
    assert {'vendor', 'product', 'version', 'url', 'interfaces'} == set(info)
    assert CONTROL in info['interfaces'] and 'org.varlink.service' in info['interfaces']
    assert info['version'] == daemon.json('status')['version']


def test_the_interface_describes_itself(daemon):
    with daemon.varlink() as v:
        for name in (CONTROL, 'org.varlink.service'):
            text = v.call('org.varlink.service.GetInterfaceDescription',
                          {'interface': name})['description']
            assert f'interface {name}' in text
        text = v.call('org.varlink.service.GetInterfaceDescription',
                      {'interface': CONTROL})['description']
        for method in ('Create', 'Start', 'Stop', 'List', 'Show', 'Edit', 'Rename', 'Delete',
                       'Watch', 'Wait', 'Status'):
            assert f'method {method}(' in text
        for error in ('NoSuchService', 'NameInUse', 'InvalidState', 'InvalidValue',
                      'PermissionDenied', 'TorUnavailable', 'PathNotReadable', 'LimitExceeded'):
            assert f'error {error} ' in text or f'error {error}(' in text


VARLINK = 'org.varlink.service.'


@pytest.mark.parametrize('method, parameters, error', [
    ('org.example.Nothing.Do', {}, VARLINK + 'InterfaceNotFound'),
    (CONTROL + '.Frobnicate', {}, VARLINK + 'MethodNotFound'),
    (CONTROL + '.Show', {}, VARLINK + 'InvalidParameter'),
    (CONTROL + '.Show', {'name': 7}, VARLINK + 'InvalidParameter'),
    (CONTROL + '.Show', {'name': None}, VARLINK + 'InvalidParameter'),
    (CONTROL + '.Show', {'name': 'x', 'surplus': 1}, VARLINK + 'InvalidParameter'),
    (CONTROL + '.Show', {'name': 'nothere'}, CONTROL + '.NoSuchService'),
    (CONTROL + '.Watch', {}, VARLINK + 'ExpectedMore'),
    (VARLINK + 'GetInterfaceDescription', {'interface': 'x.y'}, VARLINK + 'InterfaceNotFound'),
])
def test_errors_are_typed_and_the_connection_goes_on(daemon, method, parameters, error):
    with daemon.varlink() as v:
        with pytest.raises(VarlinkError) as raised:
            v.call(method, parameters)
        assert raised.value.name == error
        shapes.is_status(v.call('Status'))


def test_the_client_calls_anything(daemon):
    shapes.is_status(daemon.json('call', 'Status'))
    shown = daemon.json('call', 'List', '{}')
    assert shown == {'services': []}
    assert daemon.ctl('call', 'Show', '{"name": "nothere"}').status == 4


def test_calls_in_one_segment_are_answered_in_order(daemon):
    with daemon.varlink() as v:
        batch = b''
        for i in range(50):
            batch += json.dumps({'method': f'{CONTROL}.Show',
                                 'parameters': {'name': f'n{i}'}}).encode() + b'\0'
        v.send_raw(batch)
        for i in range(50):
            reply = v.receive()
            assert reply['parameters']['name'] == f'n{i}'


def test_a_call_split_anywhere(daemon):
    data = json.dumps({'method': f'{CONTROL}.Status', 'parameters': {}}).encode() + b'\0'
    with daemon.varlink() as v:
        for i in range(1, len(data)):
            v.send_raw(data[:i])
            v.send_raw(data[i:])
            assert 'parameters' in v.receive()


def test_oneway_calls_get_no_answer(daemon):
    daemon.json('create', 'share', 'docs', daemon.file('a'))
    with daemon.varlink() as v:
        v.send('Start', {'name': 'docs'}, oneway=True)
        v.send('Show', {'name': 'nothere'}, oneway=True)
        reply = v.call('Status')
        shapes.is_status(reply)
    daemon.until_state('docs', 'running')


MALFORMED = {
    'no method name': b'{"method": "org.onionshared.Control.status"}\0',
    'no json': b'nonsense\0',
    'an array': b'[]\0',
    'a string': b'"x"\0',
    'empty': b'\0',
    'no method': b'{}\0',
    'method is a number': b'{"method": 7}\0',
    'parameters are an array': b'{"method": "org.varlink.service.GetInfo", "parameters": []}\0',
    'duplicate keys': b'{"method": "a", "method": "org.varlink.service.GetInfo"}\0',
    'trailing garbage': b'{"method": "org.varlink.service.GetInfo"} x\0',
    'invalid UTF-8': b'{"method": "\xff\xfe"}\0',
    'overlong': b'{"method": "\xc0\x80"}\0',
    'lone surrogate': b'{"method": "\\ud800"}\0',
    'deep': b'[' * 100_000 + b'\0',
    'deep object': b'{"method":"org.varlink.service.GetInfo","parameters":' + b'{"a":' * 5000
                   + b'1' + b'}' * 5001 + b'\0',
    'huge number': b'{"method": "' + CONTROL.encode() + b'.Wait", "parameters": {"name": "x", '
                   b'"for": "running", "timeout_ms": 1e999}}\0',
    'http': b'GET / HTTP/1.1\r\nHost: x\r\n\r\n\0',
    'control in a string': b'{"method": "a\nb"}\0',
}


@pytest.mark.parametrize('name', MALFORMED)
def test_a_malformed_message_closes_only_its_own_connection(daemon, name):
    with daemon.varlink() as good, daemon.varlink() as bad:
        good.call('Status')
        try:
            bad.send_raw(MALFORMED[name])
            reply = bad.receive()
            assert 'error' in reply
        except (Ended, OSError):
            pass
        shapes.is_status(good.call('Status'))


def test_a_message_of_a_mebibyte_and_no_more(daemon):
    def sized(total):
        body = b'{"method": "org.varlink.service.GetInfo", "parameters": {"x": "' + b'%s' + b'"}}'
        return body % (b'x' * (total - len(body) + 2)) + b'\0'
    with daemon.varlink() as v:
        v.send_raw(sized(MIB))
        assert 'error' in v.receive()  # too long for no limit, but GetInfo takes no parameter
        v.call('Status')
    with daemon.varlink() as v:
        try:
            v.send_raw(sized(MIB + 1))
            assert v.ended()
        except OSError:
            pass
    with daemon.varlink() as v:
        try:
            for _ in range(64):
                v.send_raw(b'x' * MIB)
        except OSError:
            pass
        else:
            raise AssertionError('64 MiB without a NUL were swallowed')
    answers_quickly(daemon)


def test_10_000_random_frames(daemon):
    """Mutations of good calls: the daemon stays, answers, and grows no further."""
    dice = random.Random(7)
    methods = [f'{CONTROL}.{m}' for m in ('Status', 'List', 'Show', 'Start', 'Stop', 'Edit', 'Wait',
                                          'Rename', 'Delete', 'Create', 'History', 'Keep')]
    values = [None, True, 0, -1, 2**63, 1.5, '', 'x', '\x00', 'ü' * 100, [], {}, [[]],
              {'a': {'b': []}}, ['x'] * 50]
    keys = ['name', 'for', 'timeout_ms', 'options', 'unset', 'new_name', 'mode', 'paths', 'limit',
            'before', 'now', 'ephemeral', 'x']
    daemon.json('create', 'share', 'x', daemon.file('a'))

    def frame():
        call = {'method': dice.choice(methods),
                'parameters': {dice.choice(keys): dice.choice(values)
                               for _ in range(dice.randrange(5))}}
        if dice.random() < 0.2:
            call[dice.choice(['more', 'oneway', 'upgrade', 'x'])] = dice.choice(values)
        data = bytearray(json.dumps(call).encode())
        for _ in range(dice.choice([0, 0, 0, 1, 3, 20])):
            kind, at = dice.randrange(3), dice.randrange(len(data) + 1)
            if kind == 0 and at < len(data):
                data[at] = dice.randrange(1, 256)
            elif kind == 1:
                data[at:at] = bytes(dice.randrange(1, 256) for _ in range(3))
            else:
                del data[at:at + dice.randrange(9)]
        return bytes(data) + b'\0'
    sent = 0
    while sent < 10_000:
        with daemon.varlink() as v:
            v.sock.setblocking(False)
            batch = dice.randrange(1, 40)
            for _ in range(batch):
                sent += 1
                try:
                    v.sock.send(frame())
                except OSError:
                    break
            select.select([v.sock], [], [], 0.001)
            try:
                while v.sock.recv(65536):
                    pass
            except OSError:
                pass
    answers_quickly(daemon)
    assert daemon.json('list') is not None


def test_half_messages_and_hanging_clients(daemon):
    """100 that connect and say half a thing: others are served, RPC and visitors alike."""
    service = daemon.share('docs', daemon.file('a'), options=['--no-autostop-sharing'])
    hanging = []
    for i in range(100):
        s = socket.socket(socket.AF_UNIX)
        try:
            s.settimeout(5)
            s.connect(daemon.control)
            s.sendall(b'{"method": "org.varlink.service.Get'[:i % 30])
        except OSError:
            pass
        hanging.append(s)
    assert fetch(service['backend']).status == 200
    for s in hanging[:50]:
        s.close()
    until(lambda: works(daemon), 'control works again as soon as some have gone')
    for s in hanging:
        s.close()
    answers_quickly(daemon)


def works(daemon):
    try:
        with daemon.varlink(5) as v:
            return v.call('Status')
    except (OSError, Ended, VarlinkError):
        return False


def test_64_connections_a_user(daemon):
    held = []
    for _ in range(64):
        v = daemon.varlink()
        v.call('Status')
        held.append(v)
    with daemon.varlink() as one_more:
        try:
            one_more.send('Status')
            reply = one_more.receive()
            assert reply['error'].endswith('LimitExceeded')
        except (Ended, OSError):
            pass
    held.pop().sock.close()
    until(lambda: works(daemon), 'a place is free again')
    for v in held:
        v.call('Status')
        v.sock.close()


def hung_up(v):
    """The daemon has closed; without reading what it sent before."""
    poll = select.poll()
    poll.register(v.sock, select.POLLRDHUP)
    return any(events & (select.POLLRDHUP | select.POLLHUP) for _, events in poll.poll(0))


def test_a_subscriber_that_does_not_read_is_dropped(daemon, sanitized):
    """It costs a bounded amount of memory until then, and one that reads stays."""
    service = daemon.share('n' * 64, daemon.file('a'), options=['--no-autostop-sharing'])
    deaf, reading = daemon.varlink(), daemon.varlink()
    events = []

    def read():
        try:
            while True:
                events.append(reading.receive()['parameters']['event'])
        except (OSError, Ended):
            pass
    for v in (deaf, reading):
        v.send('Watch', {}, more=True)
    thread = threading.Thread(target=read)
    thread.start()
    until(lambda: events, 'the snapshot came')
    before, peak, sent = proc.rss(daemon.pid), 0, 0
    with Connection(service['backend']) as c:
        while not hung_up(deaf) and sent < 60_000:
            assert c.request('GET', '/download').status == 200
            sent += 1
            if sent % 500 == 0:
                peak = max(peak, proc.rss(daemon.pid) - before)
    assert hung_up(deaf), 'never dropped'
    assert sent > 500, 'dropped before it owed much'
    if not sanitized:
        assert peak < 8 << 20
    seen = len(events)
    fetch(service['backend'], '/download')
    until(lambda: len(events) > seen, 'the one that reads is still told')
    reading.sock.shutdown(socket.SHUT_RDWR)
    thread.join()
    reading.sock.close()
    deaf.sock.close()
    answers_quickly(daemon)


def test_descriptors_of_a_refused_call_are_closed(daemon):
    """A caller cannot fill the daemon's table with descriptors."""
    daemon.json('create', 'share', 'x', daemon.file('a'))
    before = len(proc.fds(daemon.pid))
    path = daemon.file('b')
    for i in range(50):
        with daemon.varlink() as v:
            fds = [os.open(path, os.O_RDONLY) for _ in range(20)]
            try:
                v.send_raw(json.dumps({'method': f'{CONTROL}.Create', 'parameters': {
                    'mode': 'share', 'name': 'x', 'paths': [path]}}).encode() + b'\0', fds)
                v.receive()
                # With a method that takes none, and with half a message.
                v.send_raw(b'{"method": "org.varlink.service.GetInfo"}\0', fds)
                v.receive()
                v.send_raw(b'{"meth', fds[:3])
            except (OSError, Ended):
                pass
            finally:
                for fd in fds:
                    os.close(fd)
    until(lambda: len(proc.fds(daemon.pid)) <= before + 2, 'descriptors are as before')


def test_others_cannot_connect(daemon):
    if os.geteuid() != 0:
        pytest.skip('needs root to be somebody else')
    os.chmod(daemon.dir, 0o755)
    os.chmod(daemon.runtime, 0o755)
    result = daemon.ctl('status', wrapper=['setpriv', '--reuid=65534', '--regid=65534',
                                           '--clear-groups'])
    assert result.status in (5, 6), result
    # Also when the file's mode is no hindrance: the peer's credentials are.
    os.chmod(daemon.control, 0o666)
    result = daemon.ctl('list', wrapper=['setpriv', '--reuid=65534', '--regid=65534',
                                         '--clear-groups'])
    assert result.status in (5, 6), result


MEMBER = r"""
import json, os, sys
sys.path.insert(0, sys.argv[1])
from lib.varlink import Varlink, VarlinkError
control, own, foreign, folder = sys.argv[2:]
def outcome(method, parameters=None, paths=()):
    fds = [os.open(p, os.O_PATH if p == foreign else os.O_RDONLY) for p in paths]
    with Varlink(control) as v:
        try:
            v.call(method, parameters, fds)
            return 'ok'
        except VarlinkError as e:
            return e.name.rpartition('.')[2]
def share(path, *fds):
    return outcome('Create', {'mode': 'share', 'paths': [path]}, fds)
print(json.dumps([outcome('List'), outcome('Reload'), share(own), share(own, own),
                  share(own, own, own), share(foreign, own), share(foreign, foreign),
                  share(folder, folder)]))
"""


def test_members_of_the_control_group_serve_only_what_they_can_open(make_daemon, tmp_path):
    if os.geteuid() != 0:
        pytest.skip('needs root to be somebody else')
    conf = tmp_path / 'onionshared.conf'
    conf.write_text('[daemon]\ncontrol-group = games\n')
    daemon = make_daemon(['--local-only', '--config', str(conf)]).start()
    own, foreign = daemon.file('own'), daemon.file('foreign')
    os.chmod(own, 0o644)
    os.chmod(foreign, 0o600)
    os.chmod(daemon.dir, 0o755)
    os.chmod(daemon.content, 0o755)
    group = str(grp.getgrnam('games').gr_gid)
    # The clone may be in a home directory that is nobody else's to enter.
    tests = os.path.dirname(os.path.dirname(os.path.realpath(shapes.__file__)))
    lib = os.path.join(daemon.dir, 'python')
    shutil.copytree(os.path.join(tests, 'lib'), os.path.join(lib, 'lib'))

    def run(*groups):
        return subprocess.run(
            ['setpriv', '--reuid=65534', *groups, sys.executable, '-c', MEMBER, lib,
             daemon.control, own, foreign, daemon.dir], capture_output=True, timeout=60)
    for groups in (['--regid', group, '--clear-groups'], ['--regid=65534', '--groups', group]):
        done = run(*groups)
        assert done.returncode == 0, done.stderr
        denied = 'PermissionDenied'
        # The last: a folder that he can open, but the daemon's own state is in it.
        assert json.loads(done.stdout) == ['ok', denied, denied, 'ok', denied, denied, denied,
                                           'PathNotReadable']
    assert b'PermissionError' in run('--regid=65534', '--clear-groups').stderr


def test_watch_over_the_wire(daemon):
    daemon.json('create', 'share', 'docs', daemon.file('a'))
    with daemon.varlink() as v:
        v.send('Watch', {}, more=True)
        first = v.receive()
        assert first['continues'] is True and first['parameters']['event'] == 'snapshot'
        daemon.json('start', 'docs')
        states = []
        while 'running' not in states:
            states.append(v.receive()['parameters']['state'])
    answers_quickly(daemon)


def test_more_services_than_fit_into_a_message_are_listed_in_several(daemon):
    names = [f's{i:04}' for i in range(1500)]
    with daemon.varlink() as v:
        for name in names:
            v.call('Create', {'mode': 'receive', 'name': name, 'options': {'title': 'x' * 200}})
        with pytest.raises(VarlinkError) as refused:
            v.call('List')
        assert refused.value.name.endswith('.LimitExceeded')
    assert [s['name'] for s in daemon.json('list')] == names
    with daemon.varlink() as v:
        v.send('Watch', {}, more=True)
        seen, events = [], []
        # While its pages are on their way things happen, and are told.
        daemon.json('start', 's1499')
        while len(events) < 2 or len(seen) < len(names):
            event = v.receive()['parameters']
            if event['event'] == 'snapshot':
                assert event['complete'] is (len(seen) + len(event['services']) == len(names))
                seen += [s['name'] for s in event['services']]
            elif event['event'] == 'state':
                events.append(event['state'])
        assert seen == names and events == ['preparing', 'running']
    watch = daemon.ctl_spawn('watch', '--json')
    try:
        first = json.loads(watch.stdout.readline())
        assert [s['name'] for s in first['services']] == names and 'complete' not in first
    finally:
        watch.kill()
        watch.wait()
