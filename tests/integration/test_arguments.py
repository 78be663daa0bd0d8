# SPDX-License-Identifier: GPL-3.0-or-later
"""Misuse: exit 2 and one sentence on stderr, and nothing has changed."""
import json
import os
import socket
import subprocess

import pytest

import shapes
from lib.daemon import ONIONSHARECTL, ONIONSHARED, environment

BAD = [
    ['frobnicate'],
    ['--frobnicate'],
    ['--frobnicate', 'status'],
    ['status', 'extra'],
    ['create'],
    ['create', 'frobnicate', 'x', 'FILE'],
    ['create', 'share'],
    ['create', 'share', 'x'],
    ['create', 'share', '.hidden', 'FILE'],
    ['create', 'share', '-dash', 'FILE'],
    ['create', 'share', 'with space', 'FILE'],
    ['create', 'share', 'a/b', 'FILE'],
    ['create', 'share', 'ümlaut', 'FILE'],
    ['create', 'share', '', 'FILE'],
    ['create', 'share', 'x' * 65, 'FILE'],
    ['create', 'share', 'x', 'FILE', '--frobnicate'],
    ['create', 'share', 'x', 'FILE', '--title'],
    ['create', 'share', 'x', 'FILE', '--title', 'a\nb'],
    ['create', 'share', 'x', 'FILE', '--title', 'a\x1b[31mb'],
    ['create', 'share', 'x', 'FILE', '--title', 'x' * 100000],
    ['create', 'share', 'x', 'FILE', '--public', '--private'],
    ['create', 'share', 'x', 'FILE', '--public=maybe'],
    ['create', 'share', 'x', 'FILE', '--max-downloads', '0'],
    ['create', 'share', 'x', 'FILE', '--max-downloads', '-1'],
    ['create', 'share', 'x', 'FILE', '--max-downloads', '1.5'],
    ['create', 'share', 'x', 'FILE', '--max-downloads', 'many'],
    ['create', 'share', 'x', 'FILE', '--max-downloads', ''],
    ['create', 'share', 'x', 'FILE', '--max-downloads', '99999999999999999999999'],
    ['create', 'share', 'x', 'FILE', '--max-connections', '0'],
    ['create', 'share', 'x', 'FILE', '--port', '0'],
    ['create', 'share', 'x', 'FILE', '--port', '65536'],
    ['create', 'share', 'x', 'FILE', '--port', 'http'],
    ['start'],
    ['stop'],
    ['restart'],
    ['show'],
    ['rename', 'x'],
    ['rename', 'x', 'y', 'z'],
    ['rename', 'x', '../y'],
    ['delete'],
    ['edit'],
    ['share'],
    ['wait', 'x', '--for', 'christmas'],
    ['wait', 'x', '--for'],
    ['--timeout', '-1', 'status'],
    ['--timeout', 'soon', 'status'],
    ['--timeout'],
    ['--socket'],
    ['call'],
    ['call', 'Status', '{broken'],
    ['call', 'Status', '[]'],
    ['call', 'Status', '{} {}'],
]


@pytest.fixture(scope='module')
def quiet_daemon():
    """One daemon for the whole table: nothing may change in it."""
    from lib.daemon import Daemon
    daemon = Daemon().start()
    yield daemon
    daemon.end()


@pytest.mark.parametrize('args', BAD, ids=lambda a: ' '.join(a)[:60])
def test_misuse_is_refused_with_a_sentence(quiet_daemon, args):
    path = quiet_daemon.file('a.txt')
    result = quiet_daemon.ctl(*[path if a == 'FILE' else a for a in args])
    assert result.status == 2, result
    assert result.out == '' and 1 <= len(result.err.strip().splitlines()) <= 2, result
    assert '\x1b' not in result.err
    assert quiet_daemon.json('list') == []


@pytest.mark.parametrize('args', [['--help'], ['-h'], ['start', '--help'], ['create', '--help'],
                                  ['create', 'share', '--help'], ['share', '-h']])
def test_help_that_is_asked_for_goes_to_stdout(quiet_daemon, args):
    result = quiet_daemon.ctl(*args)
    assert result.status == 0 and len(result.out) > 100 and result.err == ''


def test_the_version_is_printed(quiet_daemon):
    result = quiet_daemon.ctl('--version')
    assert result.status == 0 and quiet_daemon.json('status')['version'] in result.out


MISSING = [['start', 'nothere'], ['stop', 'nothere'], ['restart', 'nothere'], ['show', 'nothere'],
           ['rename', 'nothere', 'x'], ['delete', 'nothere', '--yes'],
           ['edit', 'nothere', '--title', 'x'], ['wait', 'nothere', '--for', 'running']]


@pytest.mark.parametrize('args', MISSING, ids=' '.join)
def test_a_service_that_is_not_there(quiet_daemon, args):
    result = quiet_daemon.ctl(*args)
    assert result.status == 4 and 'nothere' in result.err and result.out == ''
    shapes.is_error(quiet_daemon.ctl('--json', *args), 'NoSuchService', 4, {'name': 'nothere'})


def test_a_name_in_use(daemon):
    daemon.json('create', 'share', 'docs', daemon.file('a'))
    shapes.is_error(daemon.ctl('--json', 'create', 'share', 'docs', daemon.file('a')),
                    'NameInUse', 1, {'name': 'docs'})
    assert len(daemon.json('list')) == 1


@pytest.mark.parametrize('what', ['missing', 'fifo', 'socket', 'device', 'dangling link', 'nothing'])
def test_a_path_that_cannot_be_shared(quiet_daemon, what):
    path = os.path.join(quiet_daemon.content, what.replace(' ', '-'))
    listener = None
    if what == 'fifo':
        os.mkfifo(path)
    elif what == 'socket':
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
    elif what == 'device':
        path = '/dev/null'
    elif what == 'dangling link':
        os.symlink('nowhere', path)
    elif what == 'nothing':
        path = ''
    result = quiet_daemon.ctl('create', 'share', 'x', path)
    if listener:
        listener.close()
    assert result.status in (1, 2), result
    assert path in result.err, result
    assert quiet_daemon.json('list') == []


def run_ctl(*args, **env):
    return subprocess.run([ONIONSHARECTL, *args], capture_output=True, text=True, timeout=60,
                          env=environment(**env))


def test_no_daemon_at_the_socket(tmp_path):
    path = str(tmp_path / 'control.sock')
    assert run_ctl('--socket', path, 'status').returncode == 6
    result = run_ctl('--json', '--socket', path, 'status')
    assert result.returncode == 6 and '"message"' in result.stdout
    # A socket file that nobody listens on any more.
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(path)
    dead.close()
    assert run_ctl('--socket', path, 'status').returncode == 6


def test_the_socket_comes_from_the_environment(daemon, tmp_path):
    result = run_ctl('--json', 'status', ONIONSHARED_SOCKET=daemon.control)
    assert result.returncode == 0
    os.makedirs(tmp_path / 'onionshared')
    os.symlink(daemon.control, tmp_path / 'onionshared' / 'control.sock')
    assert run_ctl('status', XDG_RUNTIME_DIR=str(tmp_path)).returncode == 0
    assert run_ctl('--user', 'status', XDG_RUNTIME_DIR=str(tmp_path)).returncode == 0


def test_a_peer_that_talks_nonsense(tmp_path):
    """The client survives a server that is none."""
    path = str(tmp_path / 's')
    for answer in (b'', b'\0', b'nonsense\0', b'[]\0', b'{}', b'{"parameters": 7}\0',
                   b'{"error": 7}\0', b'x' * 3_000_000, b'{"parameters": {}}\0'):
        server = socket.socket(socket.AF_UNIX)
        server.bind(path)
        server.listen()
        client = subprocess.Popen([ONIONSHARECTL, '--socket', path, '--timeout', '20', 'list'],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  env=environment())
        peer, _ = server.accept()
        peer.recv(65536)
        try:
            peer.sendall(answer)
        except OSError:
            pass
        peer.close()
        out, err = client.communicate(timeout=30)
        assert client.returncode in (1, 6, 7), (answer[:20], client.returncode, err)
        assert err and b'Sanitizer' not in err and b'runtime error' not in err
        server.close()
        os.unlink(path)


# --- what is said beside the result ---

def test_json_tells_what_counts_after_a_restart_only(daemon):
    daemon.json('create', 'receive', 'box')
    assert daemon.json('edit', 'box', '--title', 'T')['restart_needed'] == []
    daemon.json('start', 'box')
    edited = daemon.json('edit', 'box', '--title', 'U', '--keep-days', '2')
    assert (edited['title'], edited['restart_needed']) == ('U', ['title'])


def test_delete_says_where_received_files_stay(daemon):
    for name in ('box', 'gone'):
        daemon.json('create', 'receive', name)
    daemon.json('create', 'chat', 'room')
    folder = daemon.json('show', 'box')['options']['data_dir']
    assert f'stays in {folder}\n' in daemon.ctl('delete', 'box', '--yes').err
    assert 'stays' not in daemon.ctl('delete', 'gone', '--yes', '--purge').err
    assert 'stays' not in daemon.ctl('delete', 'room', '--yes').err
    assert daemon.ctl('delete', 'nobody', '--yes').status == 4


def test_what_cannot_be_imported_is_called_that(daemon):
    refused = daemon.ctl('import', daemon.file('notes.txt', b'x'))
    assert refused.status == 1 and 'neither an export nor a saved tab' in refused.err


# --- the daemon's own arguments ---

@pytest.mark.parametrize('args, status', [
    (['--help'], 0),
    (['--version'], 0),
    (['--dump-config'], 0),
    (['--frobnicate'], 64),
    (['extra'], 64),
    (['--state-dir'], 64),
    (['--tor', 'off'], 64),
    (['--check-config', '--log-level', 'loud'], 64),
    (['--config', '/nonexistent.conf'], 78),
    (['--check-config', '--config', '/nonexistent.conf'], 78),
])
def test_arguments_of_the_daemon(args, status):
    done = subprocess.run([ONIONSHARED, *args], capture_output=True, text=True, timeout=60,
                          env=environment())
    assert done.returncode == status, done
    assert bool(done.stdout) == (status == 0) and bool(done.stderr) == (status != 0)


def test_new_dropboxes_have_the_options_of_the_configuration(make_daemon, tmp_path):
    config = tmp_path / 'o.conf'
    config.write_text('[receive]\nquota = 1G\nkeep-days = 7\ndisable-files = yes\n')
    daemon = make_daemon(['--local-only', '--config', str(config)]).start()
    made = daemon.json('create', 'receive', 'box', '--keep-days', '3')
    assert [made['options'][name] for name in ('quota', 'keep_days', 'disable_files')] == \
        [1 << 30, 3, True]
    assert daemon.json('edit', 'box', '--unset', 'quota')['options']['quota'] is None
    assert 'quota' not in daemon.json('create', 'chat', 'room')['options']
    # null: what the option is by itself
    made = daemon.json('call', 'Create', json.dumps(
        {'mode': 'receive', 'name': 'free', 'options': {'quota': None}}))['service']
    assert (made['options']['quota'], made['options']['keep_days']) == (None, 7)
    refused = daemon.ctl('create', 'receive', 'dumb', '--disable-text')
    assert refused.status == 2 and 'disable' in refused.err
    config.write_text('[receive]\nkeep-days = 1\n')
    daemon.json('reload')
    made = daemon.json('create', 'receive', 'later')
    assert (made['options']['keep_days'], made['options']['quota']) == (1, None)
    assert daemon.json('show', 'free')['options']['keep_days'] == 7
