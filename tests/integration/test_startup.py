# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting, stopping and what the daemon finds on the disk."""
import glob
import os
import random
import signal
import socket
import sqlite3
import stat

import pytest

from lib import proc
from lib.http import Closed, Connection, fetch
from lib.waiting import until


def database(daemon):
    return os.path.join(daemon.state, 'onionshared.db')


# A database that cannot be used is no fault of the configuration, nor of the program.
SYSTEM_ERROR, BAD_CONFIGURATION = 71, 78


def refused(daemon, status, *words):
    """The daemon does not start, says why and what to do, and touches nothing."""
    before = snapshot(daemon.state)
    mark = len(daemon.log())
    daemon.spawn()
    assert daemon.wait() == status, daemon.log()
    said = daemon.log()[mark:]
    for word in words:
        assert word in said, said
    daemon.process = None
    assert snapshot(daemon.state) == before
    return said


def snapshot(directory):
    """Each file with its bytes, but for the lock and SQLite's working files."""
    found = {}
    for folder, _, names in os.walk(directory):
        for name in names:
            if name.endswith(('.lock', '-shm', '-wal')) or name == 'lock':
                continue
            path = os.path.join(folder, name)
            with open(path, 'rb') as f:
                found[path] = f.read()
    return found


def test_files_are_for_their_owner_only(daemon):
    daemon.json('create', 'share', 'docs', daemon.file('a'))
    for path in glob.glob(daemon.state + '/**', recursive=True):
        assert os.stat(path).st_mode & 0o077 == 0, path
    assert stat.S_IMODE(os.stat(daemon.control).st_mode) in (0o600, 0o660)


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop_it_ends_with_0(make_daemon, number):
    daemon = make_daemon().start()
    service = daemon.share('docs', daemon.file('a'))
    assert daemon.stop(number) == 0
    assert not os.path.exists(daemon.control)
    with pytest.raises(OSError):
        fetch(service['backend'])


def test_a_second_signal_cuts_running_transfers(make_daemon):
    daemon = make_daemon().start()
    path = daemon.file('big', b'')
    os.truncate(path, 1 << 30)
    service = daemon.share('docs', path)
    with Connection(service['backend']) as c:
        c.send(b'GET /download HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
        c.read_head()
        pid = daemon.pid
        os.kill(pid, signal.SIGTERM)
        # Draining: newcomers are told so, or find nobody, while the transfer goes on.
        until(lambda: drained(service['backend']), 'no new visitors are served')
        assert daemon.process.poll() is None
        os.kill(pid, signal.SIGTERM)
        assert daemon.wait(20) == 0
    daemon.process = None


def drained(backend):
    try:
        return fetch(backend).status == 503
    except (OSError, Closed):
        return True


def test_hangup_is_survived(daemon):
    service = daemon.share('docs', daemon.file('a'), options=['--no-autostop-sharing'])
    os.kill(daemon.pid, signal.SIGHUP)
    assert fetch(service['backend']).status == 200
    assert daemon.ctl('reload').status == 0
    assert daemon.show('docs')['state'] == 'running'


def test_a_second_daemon_on_the_same_directories_is_refused(daemon, make_daemon):
    daemon.share('docs', daemon.file('a'), options=['--no-autostop-sharing'])
    second = make_daemon(directory=daemon.dir)
    second.log_file += '2'
    second.spawn()
    assert second.wait() == 69
    assert second.log()
    # The same state with other sockets, and the same sockets with another state.
    other = make_daemon()
    other.state = daemon.state
    other.spawn()
    assert other.wait() == 69, other.log()
    sockets = make_daemon()
    sockets.runtime = daemon.runtime
    sockets.spawn()
    assert sockets.wait() == 69, sockets.log()
    assert daemon.get('docs').status == 200
    assert daemon.json('status')['services']['running'] == 1


def test_what_kill_9_left_behind_does_not_block(daemon):
    daemon.share('docs', daemon.file('a'))
    for _ in range(5):
        daemon.kill()
        assert os.path.exists(daemon.control)
        daemon.start()
    assert daemon.until_state('docs', 'running')


def killed_with_a_service(make_daemon):
    daemon = make_daemon().start()
    daemon.json('create', 'share', 'docs', daemon.file('a'))
    assert daemon.stop() == 0
    return daemon


def test_a_database_of_a_newer_program_is_refused(make_daemon):
    daemon = killed_with_a_service(make_daemon)
    with sqlite3.connect(database(daemon)) as db:
        db.execute('PRAGMA user_version = 9999')
    db.close()
    refused(daemon, BAD_CONFIGURATION, 'newer')


def test_a_foreign_database_is_refused(make_daemon):
    daemon = killed_with_a_service(make_daemon)
    os.unlink(database(daemon))
    with sqlite3.connect(database(daemon)) as db:
        db.execute('CREATE TABLE precious (x)')
    db.close()
    refused(daemon, 78, database(daemon))


def test_an_empty_database_is_an_alarm_not_a_fresh_start(make_daemon):
    daemon = killed_with_a_service(make_daemon)
    with open(database(daemon), 'w'):
        pass
    refused(daemon, SYSTEM_ERROR, database(daemon))


def test_a_vanished_database_is_an_alarm_too(make_daemon):
    daemon = killed_with_a_service(make_daemon)
    for path in glob.glob(database(daemon) + '*'):
        os.unlink(path)
    refused(daemon, SYSTEM_ERROR, database(daemon))


@pytest.mark.parametrize('damage', ['header', 'truncated', 'text', 'directory'])
def test_a_damaged_database_is_refused(make_daemon, damage):
    daemon = killed_with_a_service(make_daemon)
    path = database(daemon)
    for extra in glob.glob(path + '-*'):
        os.unlink(extra)
    if damage == 'header':
        with open(path, 'r+b') as f:
            f.write(bytes(100))
    elif damage == 'truncated':
        os.truncate(path, os.path.getsize(path) // 2)
    elif damage == 'text':
        with open(path, 'w') as f:
            f.write('this is not a database\n' * 1000)
    else:
        os.unlink(path)
        os.mkdir(path)
    if damage == 'directory':
        daemon.spawn()
        assert daemon.wait() in (71, 73, 78), daemon.log()
        daemon.process = None
    else:
        assert path in refused(daemon, SYSTEM_ERROR)


def test_flipped_bytes_never_crash_or_serve_wrong_keys(make_daemon):
    """Either the daemon refuses to start, or what it shows is what was there."""
    daemon = make_daemon().start()
    made = daemon.json('create', 'share', 'docs', daemon.file('a'))
    assert daemon.stop() == 0
    with open(database(daemon), 'rb') as f:
        good = f.read()
    dice = random.Random(5)
    refusals = 0
    for _ in range(12):
        bad = bytearray(good)
        for _ in range(40):
            bad[dice.randrange(100, len(bad))] ^= 1 << dice.randrange(8)
        for extra in glob.glob(database(daemon) + '-*'):
            os.unlink(extra)
        with open(database(daemon), 'wb') as f:
            f.write(bad)
        daemon.spawn()
        until(lambda: daemon.process.poll() is not None or os.path.exists(daemon.control),
              'it starts or refuses')
        if daemon.process.poll() is None:
            found = daemon.ctl('--json', 'show', 'docs')
            if found.status == 0 and found.json['keys']:
                assert found.json['keys'] == made['keys']
            daemon.kill()
            os.unlink(daemon.control)
        else:
            assert daemon.process.returncode in (71, 78), daemon.log()[-2000:]
            refusals += 1
    daemon.process = None
    daemon.check_clean()
    assert refusals > 0


def test_a_missing_secret_key_is_refused(make_daemon):
    daemon = killed_with_a_service(make_daemon)
    secret = os.path.join(daemon.state, 'secret.key')
    assert stat.S_IMODE(os.stat(secret).st_mode) == 0o600
    with open(secret, 'rb') as f:
        key = f.read()
    os.unlink(secret)
    daemon.spawn()
    status = daemon.wait()
    daemon.process = None
    assert status == 78, daemon.log()
    assert not os.path.exists(secret)
    # Another key opens nothing, and nothing is made anew.
    with open(os.open(secret, os.O_WRONLY | os.O_CREAT, 0o600), 'wb') as f:
        f.write(bytes(b ^ 1 for b in key))
    daemon.spawn()
    assert daemon.wait() == 78, daemon.log()
    with open(secret, 'wb') as f:
        f.write(key)
    daemon.start()
    assert daemon.show('docs')['keys']


def test_keys_are_sealed_in_the_database(daemon):
    """Neither the text nor the bytes of a private key are in any file of the state."""
    import base64
    service = daemon.json('create', 'share', 'docs', daemon.file('a'))
    key = service['keys'][0]['private_key']
    raw = base64.b32decode(key + '=' * (-len(key) % 8))
    assert daemon.stop() == 0
    for path, data in snapshot(daemon.state).items():
        assert key.encode() not in data and key.lower().encode() not in data, path
        assert raw not in data and base64.b64encode(raw)[:-2] not in data, path
    daemon.start()


def test_the_state_cannot_be_made(make_daemon):
    daemon = make_daemon()
    with open(daemon.state, 'w') as f:
        f.write('a file where a directory should be')
    daemon.spawn()
    assert daemon.wait() == 73, daemon.log()
    daemon.process = None
    assert daemon.state in daemon.log()


def test_a_runtime_path_too_long_for_sockets_is_refused(make_daemon):
    daemon = make_daemon()
    daemon.runtime = os.path.join(daemon.dir, 'r' * 100)
    daemon.spawn()
    assert daemon.wait() in (64, 73, 78), daemon.log()
    daemon.process = None
    assert 'long' in daemon.log()


@pytest.mark.parametrize('text, words', [
    ('[daemon]\nfrobnicate = 1\n', ['frobnicate', ':2']),
    ('[nonsense]\nx = 1\n', ['nonsense', ':1']),
    ('[daemon]\nlog-level = loud\n', ['log-level', ':2']),
    ('[limits]\nhead-seconds = -1\n', ['head-seconds', ':2']),
    ('[limits]\nhead-seconds = many\n', ['head-seconds', ':2']),
    ('no section\n', [':1']),
    ('[daemon\n', [':1']),
    ('\0\0\0', []),
])
def test_a_bad_configuration_names_file_and_line(make_daemon, text, words):
    daemon = make_daemon()
    path = os.path.join(daemon.dir, 'bad.conf')
    with open(path, 'w') as f:
        f.write(text)
    daemon.args += ['--config', path]
    daemon.spawn()
    assert daemon.wait() == 78, daemon.log()
    daemon.process = None
    for word in [path, *words]:
        assert word in daemon.log(), daemon.log()
    assert not os.path.exists(daemon.state)


def test_what_is_dumped_can_be_read_again(make_daemon):
    import subprocess
    from lib.daemon import ONIONSHARED
    daemon = make_daemon()
    dumped = subprocess.run([ONIONSHARED, '--dump-config'], capture_output=True, text=True,
                            env=daemon.env, check=True).stdout
    for section in ('daemon', 'tor', 'limits', 'history', 'receive'):
        assert f'[{section}]' in dumped
    path = os.path.join(daemon.dir, 'dumped.conf')
    with open(path, 'w') as f:
        f.write(dumped)
    checked = subprocess.run([ONIONSHARED, '--check-config', '--config', path],
                             capture_output=True, text=True, env=daemon.env)
    assert checked.returncode == 0, checked


def test_start_and_stop_many_times_leak_nothing(daemon):
    daemon.json('create', 'share', 'docs', daemon.file('a'))
    daemon.json('start', 'docs')
    daemon.json('stop', 'docs')
    before = len(proc.fds(daemon.pid))
    for _ in range(20):
        daemon.json('start', 'docs')
        daemon.json('stop', 'docs')
    until(lambda: len(proc.fds(daemon.pid)) <= before, 'descriptors are as before')


def test_a_socket_that_is_no_socket_is_left_alone(make_daemon):
    daemon = make_daemon()
    os.makedirs(daemon.runtime)
    with open(daemon.control, 'w') as f:
        f.write('precious')
    daemon.spawn()
    assert daemon.wait() in (69, 71, 73), daemon.log()
    daemon.process = None
    with open(daemon.control) as f:
        assert f.read() == 'precious'


def test_without_descriptors_left_the_rest_goes_on(make_daemon):
    """Visitors over the limit are turned away; control and those inside go on; no spinning."""
    import resource
    daemon = make_daemon()
    daemon.start(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
    service = daemon.share('docs', daemon.file('a'), options=['--no-autostop-sharing'])
    inside = Connection(service['backend'])
    assert inside.request().status == 200
    crowd = []
    for _ in range(150):
        s = socket.create_connection(('127.0.0.1', int(service['url'].rsplit(':', 1)[1])))
        crowd.append(s)
    begun = proc.cpu_seconds(daemon.pid)
    assert inside.request().status == 200
    inside.close()
    assert proc.cpu_seconds(daemon.pid) - begun < 2
    for s in crowd:
        s.close()
    until(lambda: served(service['backend']), 'visitors are served again')
    assert daemon.json('status')['services']['running'] == 1


def served(backend):
    try:
        return fetch(backend).status == 200
    except (OSError, Closed):
        return False


def test_a_stopped_daemon_leaves_its_service_wanted(make_daemon):
    """Stopping the daemon is not stopping its services."""
    daemon = make_daemon().start()
    service = daemon.share('docs', daemon.file('a'))
    assert daemon.stop() == 0
    daemon.start()
    again = daemon.until_state('docs', 'running')
    assert again['wanted'] and again['url'] == service['url'] and again['keys'] == service['keys']


def test_daemon_class_notices_a_crash(make_daemon):
    """The tests' own watchdog: a sanitizer report in the log fails the test."""
    daemon = make_daemon()
    with open(daemon.log_file, 'w') as f:
        f.write('x.c:1:1: runtime error: index out of bounds\n')
    with pytest.raises(AssertionError):
        daemon.check_clean()
    os.truncate(daemon.log_file, 0)


def test_systemd_hears_that_it_is_ready_and_that_it_stops(make_daemon, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        path = str(tmp_path / 'notify')
        s.bind(path)
        s.settimeout(30)
        daemon = make_daemon(env={'NOTIFY_SOCKET': path}).start()
        until(lambda: b'READY=1' in s.recv(4096).split(b'\n'), 'it is ready')
        daemon.process.send_signal(signal.SIGTERM)
        until(lambda: b'STOPPING=1' in s.recv(4096).split(b'\n'), 'it stops')
        assert daemon.wait() == 0
        daemon.process = None
