# SPDX-License-Identifier: GPL-3.0-or-later
"""The client by itself: its command line, and daemons that answer anything at all."""
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess

import pytest
from lib.daemon import ONIONSHARECTL, SANITIZER, SANITIZER_EXIT, environment
from lib.fake_daemon import CLOSE, FakeDaemon, Raw, service, tor
from lib.waiting import PATIENCE

COMMANDS = ['create share', 'delete', 'edit', 'history', 'list', 'ls', 'reload', 'rename',
            'restart', 'share', 'show', 'start', 'status', 'stop', 'tor status', 'wait', 'watch',
            'call']
CONTROLS = re.compile(r'[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]')


def client(*args, env=None, input=b'', timeout=PATIENCE, wrapper=()):
    done = subprocess.run([*wrapper, ONIONSHARECTL, *args], env=environment(**(env or {})),
                          input=input, capture_output=True, timeout=timeout, check=False)
    assert done.returncode != SANITIZER_EXIT and not SANITIZER.search(done.stderr), done.stderr
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def ask(daemon, *args, **kwargs):
    return client('--socket', daemon.path, *args, **kwargs)


@pytest.fixture
def spawn():
    """spawn(daemon, *args): the client, left running; ended with the test at the latest."""
    processes = []

    def start(daemon, *args, **kwargs):
        processes.append(subprocess.Popen(
            [ONIONSHARECTL, '--socket', daemon.path, *args], env=environment(),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kwargs))
        return processes[-1]

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def finish(process):
    out, err = process.communicate(timeout=PATIENCE)
    assert not SANITIZER.search(err), err
    return process.returncode, out.decode(), err.decode()


def on_terminal(daemon, *args, type_behind=None, answer=b'', env=None):
    """Runs it on a terminal; once type_behind was printed, answer is typed. (status, text)."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(ONIONSHARECTL, [ONIONSHARECTL, '--socket', daemon.path, *args],
                  environment(TERM='xterm', **(env or {})))
    said = b''
    try:
        while select.select([terminal], [], [], PATIENCE)[0]:
            try:
                data = os.read(terminal, 4096)
            except OSError:
                break
            if not data:
                break
            said += data
            if type_behind and type_behind in said:
                os.write(terminal, answer)
                type_behind = None
    finally:
        os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said.decode()


# --- the command line ---

@pytest.mark.parametrize('command', COMMANDS)
def test_help_that_is_asked_for_is_a_result(command):
    status, out, err = client(*command.split(), '--help')
    assert (status, err) == (0, '')
    assert out.startswith('usage: onionsharectl ')
    assert max(map(len, out.splitlines())) <= 100


@pytest.mark.parametrize('command,option', [
    ('history', '-n, --limit N '), ('inbox save', '-i, --identity FILE '), ('start', '--no-wait ')])
def test_help_says_which_options_take_a_value(command, option):
    assert '\n  ' + option in client(*command.split(), '--help')[1]


def test_general_help_names_every_command_in_80_columns():
    status, out, err = client('--help')
    assert (status, err) == (0, '')
    for command in COMMANDS:
        assert f'  {command}' in out or command == 'ls'
    assert max(map(len, out.splitlines())) <= 100


def test_version():
    status, out, err = client('--version')
    assert (status, err) == (0, '')
    assert re.fullmatch(r'onionsharectl \d+\.\d+\.\d+\n', out)


MISUSES = [
    ['frobnicate'], ['tor'], ['create'], ['create', 'nothing'], ['tor', 'stat'],
    ['--bogus'], ['list', '--bogus'], ['list', 'x'], ['show'], ['show', 'a', 'b'], ['start'],
    ['stop'], ['restart'], ['delete'], ['rename', 'a'], ['rename', 'a', 'b', 'c'], ['share'],
    ['create', 'share', 'a'], ['create', 'share'], ['wait', 'a', '--for', 'ever'],
    ['wait', 'a', '--for'], ['edit', 'a'], ['edit', '--public'], ['edit', 'a', '--unset', 'x'],
    ['edit', 'a', '--public', '--private'], ['edit', 'a', '--public', '--unset', 'public'],
    ['edit', 'a', '--public=yes'], ['edit', 'a', '--max-downloads', '0'],
    ['edit', 'a', '--max-downloads', '-1'], ['edit', 'a', '--max-downloads', '1.5'],
    ['edit', 'a', '--max-downloads', '99999999999999999999'], ['edit', 'a', '--max-downloads='],
    ['edit', 'a', '--title', 'a\nb'], ['edit', 'a', '--title', 'x' * 201],
    ['edit', 'a', '--title', b'\xff'], ['share', '/etc/passwd', '--port', '65536'],
    ['share', '/etc/passwd', '--port', '0'], ['share', '/etc/passwd', '--save', '.hidden'],
    ['create', 'share', '-- ', '/etc/passwd'], ['create', 'share', 'a b', '/etc/passwd'],
    ['create', 'share', 'x' * 65, '/etc/passwd'], ['create', 'share', '', '/etc/passwd'],
    ['create', 'share', '../x', '/etc/passwd'], ['create', 'share', 'é', '/etc/passwd'],
    ['rename', 'a', 'b/c'], ['history', '--limit', '0'], ['history', '--limit', '1001'],
    ['history', '--limit', 'x'], ['history', 'a', 'b'], ['start', 'a', '--timeout', '0'],
    ['start', 'a', '--timeout', 'soon'], ['start', 'a', '--connect-timeout', '1.5'],
    ['start', 'a', '--timeout', '-1'], ['show', b'\xff'], ['--user', '--system', 'list'],
    ['delete', 'a'], ['--json', 'delete', 'a'], ['call', 'List', '{'], ['call', 'List', '[]'],
    ['call', 'List', '{"a": 1, "a": 2}'], ['call'], ['status', 'x'], ['-x'], ['-jx'],
    ['--socket', '/' + 'x' * 200, 'list'], ['--json=yes', 'list'],
]


@pytest.mark.parametrize('args', MISUSES, ids=[repr(a) for a in MISUSES])
def test_misuse_is_one_sentence_and_2(args):
    with FakeDaemon(Start={'service': service()}) as daemon:
        status, out, err = client(*args, env={'ONIONSHARED_SOCKET': daemon.path})
        assert status == 2, (status, out, err)
        assert not daemon.calls
    if '--json' not in args:
        assert out == ''
        assert re.fullmatch(r'onionsharectl: [^\n]{8,}\n', err), err
        assert not CONTROLS.search(err)


@pytest.mark.parametrize('args', [['frob'], ['list', '--bogus'], ['edit', 'a', '--port', 'x'],
                                  ['show']])
def test_misuse_with_json_is_an_error_object(args):
    status, out, err = client(*args, '--json')
    assert (status, err) == (2, '')
    error = json.loads(out)
    assert error['error'] == 'org.onionshared.Control.InvalidValue'
    assert set(error['parameters']) == {'field', 'why'} and error['message']


# --- finding the daemon ---

def test_no_daemon_is_6_and_says_what_to_do(tmp_path):
    stale = tmp_path / 'stale'
    s = socket.socket(socket.AF_UNIX)
    s.bind(str(stale))
    s.close()
    for path in (tmp_path / 'none', stale, tmp_path / 'no' / 'folder'):
        status, out, err = client('--socket', str(path), 'list')
        assert (status, out) == (6, '')
        assert str(path) in err and 'Is onionshared running?' in err and err.count('\n') == 1
        status, out, err = client('--json', '--socket', str(path), 'list')
        assert (status, err) == (6, '')
        assert json.loads(out)['error'] == 'org.onionshared.Client.NoDaemon'


def test_where_the_socket_is_looked_for(tmp_path):
    with FakeDaemon(List={'services': []}) as daemon:
        own = tmp_path / 'onionshared'
        own.mkdir()
        os.symlink(daemon.path, own / 'control.sock')
        runtime = {'XDG_RUNTIME_DIR': str(tmp_path)}
        other = {'ONIONSHARED_SOCKET': str(tmp_path / 'other')}
        assert client('list', env=runtime)[0] == 0
        assert client('--user', 'list', env={**runtime, **other})[0] == 0
        assert client('list', env={**runtime, **other})[0] == 6
        assert client('--socket', daemon.path, 'list', env=other)[0] == 0
        status, _, err = client('--system', 'list', env={**runtime, **other})
        assert status == 6 and '/run/onionshared/control.sock' in err


@pytest.mark.skipif(os.geteuid() != 0, reason='only root can become somebody else')
def test_a_socket_that_one_may_not_use_is_5_and_says_which_group():
    with FakeDaemon() as daemon:
        os.chmod(daemon.dir, 0o755)
        os.chmod(daemon.path, 0o600)
        status, out, err = ask(daemon, 'list', wrapper=['setpriv', '--reuid', '65534', '--regid',
                                                        '65534', '--clear-groups'])
        assert (status, out) == (5, '')
        assert 'group onionshare' in err and err.count('\n') == 1


# --- what a daemon may answer ---

ERRORS = [
    ('NoSuchService', {'name': 'notes'}, 4), ('NameInUse', {'name': 'notes'}, 1),
    ('InvalidState', {'state': 'running'}, 1), ('InvalidValue', {'field': 'x', 'why': 'y'}, 2),
    ('PermissionDenied', {'needs': 'control'}, 5), ('TorUnavailable', {'why': 'x'}, 7),
    ('Timeout', {'what': 'x'}, 7), ('PathNotReadable', {'path': '/x', 'why': 'y'}, 1),
    ('LimitExceeded', {'what': 'x', 'limit': '1'}, 1), ('StorageFailed', {'why': 'x'}, 1),
    ('UnreachableState', {'state': 'failed'}, 3), ('Internal', {}, 1),
    ('SomethingNewer', {'why': [1, 2]}, 1), ('org.varlink.service.MethodNotFound', {}, 1),
]


@pytest.mark.parametrize('name,parameters,status', ERRORS)
def test_errors_of_the_daemon_have_their_exit_status(name, parameters, status):
    with FakeDaemon(Show=(name, {**parameters, 'message': 'what \x1b[31mhappened'})) as daemon:
        got, out, err = ask(daemon, 'show', 'notes')
        assert (got, out) == (status, '')
        assert err.count('\n') == 1 and not CONTROLS.search(err)
        got, out, err = ask(daemon, '-j', 'show', 'notes')
        assert (got, err) == (status, '')
        error = json.loads(out)
        assert set(error) == {'error', 'parameters', 'message'}
        assert 'message' not in error['parameters']


GARBAGE = [
    Raw(b'not JSON\0'), Raw(b'\0'), Raw(b'{}\0{}\0'), Raw(b'[]\0'), Raw(b'{"parameters": 1}\0'),
    Raw(b'{"parameters": {}}\0'), Raw(b'{"parameters": {"service": {}}}\0'),
    Raw(b'{"parameters": {"service": null}}\0'), Raw(b'{"error": 1}\0'), Raw(b'{"error": ""}\0'),
    Raw(b'{"error": "x"}\0'), Raw(b'[' * 100000 + b'\0'), Raw(b'{"parameters": {"service": "\xff"}}\0'),
    Raw(b'x' * (1 << 20) + b'y'), CLOSE, {'service': service(name=1)},
    {'service': service(state='dancing')}, {'service': service(keys=[1])},
    {'service': service(keys={})}, {'service': service(transfers=None)},
    {'service': {**service(), 'transfers': {'active': -5}}},
]


@pytest.mark.parametrize('answer', GARBAGE, ids=[str(i) for i in range(len(GARBAGE))])
@pytest.mark.parametrize('how', [[], ['--json']])
def test_answers_that_no_daemon_gives_are_refused(answer, how):
    with FakeDaemon(Show=answer) as daemon:
        status, out, err = ask(daemon, *how, 'show', 'notes')
        assert status in ((1, 6) if answer is CLOSE or b'' == answer else (1,)), (status, out, err)
        assert err.count('\n') == (0 if how else 1)
        if how:
            assert json.loads(out)['message']


def test_an_answer_in_small_pieces_is_one_answer():
    whole = json.dumps({'parameters': {'services': [service()]}}).encode() + b'\0'
    pieces = [Raw(whole[i:i + 7]) for i in range(0, len(whole), 7)]
    with FakeDaemon(List=pieces) as daemon:
        status, out, _ = ask(daemon, '-j', 'list')
        assert status == 0 and json.loads(out) == [service()]


def test_text_from_elsewhere_cannot_reach_the_terminal_raw():
    evil = '\x1b]0;x\x07\x9b31m\u202egpj\u200b\n\r'
    nasty = service(name='n' + evil, title=evil, reason=evil, url='http://' + evil, backend=evil,
                    options={'x' + evil: evil}, state='failed',
                    keys=[{'label': evil, 'private_key': evil, 'public_key': evil}] * 2)
    entry = {'id': 1, 'at': evil, 'name': evil, 'event': evil, 'path' + evil: evil}
    status_reply = {'version': evil, 'uptime': 1, 'local_only': False,
                    'tor': tor(mode=evil, state=evil, version=evil, problem=evil, reachable=False,
                               bootstrap={'percent': 5, 'summary': evil}),
                    'services': {'total': 1, 'running': 1, 'failed': 1}}
    with FakeDaemon(List={'services': [nasty]}, Show={'service': nasty}, Status=status_reply,
                    Start={'service': nasty}, Stop={'service': nasty}, Restart={'service': nasty},
                    Wait={'service': nasty, 'tor': tor(), 'done': True},
                    History={'entries': [entry]},
                    Watch=[{'event': 'snapshot', 'services': [nasty], 'tor': tor(state=evil)},
                           {'event': 'tor', 'state': evil, 'percent': 5},
                           {'event': 'state', 'name': evil, 'state': evil, 'reason': evil},
                           CLOSE]) as daemon:
        for args in (['list'], ['show', 'x'], ['show', '--qr', 'x'], ['status'],
                     ['tor', 'status'], ['start', 'x'], ['stop', 'x'], ['restart', 'x'],
                     ['history'], ['watch']):
            for how in ([], ['--json']):
                status, out, err = ask(daemon, *how, *args)
                assert status == (6 if args == ['watch'] else 0), (args, status, out, err)
                for text in (out, err):
                    assert not CONTROLS.search(text), (args, text)


def test_show_says_who_gets_in():
    keys = [{'label': label, 'private_key': label[0].upper() * 52, 'public_key': 'C' * 52}
            for label in ('alice', 'bob')]
    for shown, line in ((service(), f'Private key  {"B" * 52}\n'),
                        (service(keys=keys), f'Private key  {"B" * 52} (bob)\n'),
                        (service(keys=[], public=True), 'Open to  everybody who has the address')):
        with FakeDaemon(Show={'service': shown}) as daemon:
            status, out, _ = ask(daemon, 'show', 'notes')
            assert status == 0 and line in out, out


def test_several_services_are_an_array_and_one_is_an_object():
    with FakeDaemon(Start=lambda p: {'service': service(p['name'])},
                    Wait=lambda p: {'service': service(p['name']), 'tor': None,
                                    'done': True}) as daemon:
        assert json.loads(ask(daemon, '-j', 'start', 'a')[1])['name'] == 'a'
        assert [s['name'] for s in json.loads(ask(daemon, '-j', 'start', 'a', 'b')[1])] == \
            ['a', 'b']


def test_quiet_leaves_results_only():
    with FakeDaemon(Start={'service': service()},
                    Wait={'service': service(), 'tor': None, 'done': True}) as daemon:
        status, out, err = ask(daemon, '-q', 'start', 'notes')
        assert (status, err) == (0, '')
        assert out == f"{service()['url']}\nPrivate key: {'B' * 52}\n"


def test_colours_only_on_a_terminal_and_not_with_no_color():
    with FakeDaemon(Show={'service': service()}) as daemon:
        assert '\x1b[1m' in on_terminal(daemon, 'show', 'notes')[1]
        assert '\x1b[' not in on_terminal(daemon, 'show', 'notes', env={'NO_COLOR': '1'})[1]
        assert '\x1b[' not in on_terminal(daemon, '-j', 'show', 'notes')[1]
        assert '\x1b[' not in ask(daemon, 'show', 'notes')[1]


# --- calls ---

def test_paths_go_with_a_descriptor_each(tmp_path):
    file, folder, link = tmp_path / 'a', tmp_path / 'b', tmp_path / 'c'
    file.write_text('x')
    folder.mkdir()
    link.symlink_to('a')
    with FakeDaemon(Create={'service': service(state='stopped')}) as daemon:
        status, out, _ = ask(daemon, 'create', 'share', 'notes', str(file), str(folder),
                             str(link), '--max_downloads=3', '--private')
        assert status == 0 and 'Private key: ' in out
        [(_, call)] = daemon.calls
        assert call['paths'] == [str(file), str(folder), str(file)] == daemon.fd_targets
        assert call['options'] == {'max_downloads': 3, 'public': False}
        assert (call['name'], call['mode'], call['ephemeral']) == ('notes', 'share', False)


def test_a_path_that_cannot_be_shared_is_named_before_anything_is_asked(tmp_path):
    fifo = tmp_path / 'fifo'
    os.mkfifo(fifo)
    with FakeDaemon() as daemon:
        for path in (fifo, tmp_path / 'none', '/dev/null'):
            status, out, err = ask(daemon, 'create', 'share', 'notes', str(path))
            assert (status, out) == (1, '')
            assert str(path) in err
        assert not daemon.calls


def test_edit_sends_what_was_given_and_says_what_needs_a_restart():
    with FakeDaemon(Edit={'service': service(), 'restart_needed': ['public']}) as daemon:
        status, out, err = ask(daemon, 'edit', 'notes', '--title=t', '--public', '--unset',
                               'max-downloads', '--unset=--port')
        assert (status, out) == (0, '')
        assert 'onionsharectl restart notes' in err and 'public' in err
        assert daemon.calls == [('Edit', {'name': 'notes',
                                          'options': {'title': 't', 'public': True},
                                          'unset': ['max_downloads', 'port']})]


def test_delete_asks_on_a_terminal():
    with FakeDaemon() as daemon:
        question = b'[y/N] '
        assert on_terminal(daemon, 'delete', 'notes', type_behind=question, answer=b'n\n')[0] == 1
        assert on_terminal(daemon, 'delete', 'notes', type_behind=question, answer=b'\x04')[0] == 1
        assert on_terminal(daemon, 'delete', 'notes', type_behind=question,
                           answer=b'\x03')[0] == 130
        assert not daemon.calls
        assert on_terminal(daemon, 'delete', 'notes', type_behind=question, answer=b'y\n')[0] == 0
        assert ask(daemon, 'delete', '--yes', 'a', 'b')[0] == 0
        assert [p['name'] for m, p in daemon.calls if m == 'Delete'] == ['notes', 'a', 'b']


def test_call_takes_any_method_and_json():
    with FakeDaemon(Anything={'x': '\u202e'}, GetInfo={'vendor': 'v', 'product': 'p',
                                                       'version': '1', 'url': 'u',
                                                       'interfaces': []}) as daemon:
        status, out, _ = ask(daemon, 'call', 'Anything', '{"deep": {"er": [1, null]}}')
        assert status == 0 and json.loads(out) == {'x': '\u202e'} and '\u202e' not in out
        assert daemon.calls == [('Anything', {'deep': {'er': [1, None]}})]
        status, out, _ = ask(daemon, 'call', 'org.varlink.service.GetInfo')
        assert status == 0 and json.loads(out)['vendor'] == 'v'


# --- waiting and signals ---

def test_start_shows_the_way_and_ends_with_the_address():
    steps = [{'service': service(state='publishing'), 'done': False,
              'tor': tor(reachable=False, bootstrap={'percent': p, 'summary': 'half way'})}
             for p in (10, 45, 60)]
    ended = Raw(json.dumps({'parameters': {'service': service(), 'tor': tor(),
                                           'done': True}}).encode() + b'\0')
    with FakeDaemon(Start={'service': service(state='publishing')},
                    Wait=[*steps, ended]) as daemon:
        status, out, err = ask(daemon, 'start', 'notes')
        assert status == 0 and service()['url'] in out
        assert 'Connecting to the Tor network: 45% - half way\n' in err
        status, said = on_terminal(daemon, 'start', 'notes')
        assert status == 0 and '\r\x1b[KConnecting to the Tor network: 45% - half way' in said


def test_a_daemon_that_never_answers_is_given_up():
    with FakeDaemon(Start={'service': service(state='publishing')}, Wait=[]) as daemon:
        status, out, err = ask(daemon, 'start', 'notes', '--timeout', '1')
        assert (status, out) == (7, '') and err.count('\n') == 1
        [_, (_, wait)] = daemon.calls
        assert 0 < wait['timeout_ms'] <= 1000 and wait['for'] == 'reachable'


def test_a_scheduled_service_is_not_waited_for():
    with FakeDaemon(Start={'service': service(state='scheduled')}) as daemon:
        status, out, _ = ask(daemon, 'start', 'notes')
        assert status == 0 and service()['url'] in out
        assert daemon.methods() == ['Start']


@pytest.mark.parametrize('number,expected', [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize('args,method', [(['wait', 'notes'], 'Wait'), (['list'], 'List'),
                                         (['watch'], 'Watch')])
def test_a_signal_ends_every_wait(number, expected, args, method, spawn):
    with FakeDaemon(**{method: []}) as daemon:
        process = spawn(daemon, *args)
        daemon.until_called(method)
        process.send_signal(number)
        assert finish(process) == (expected, '', '')


def test_a_shell_that_ignores_interrupts_for_us_is_not_heard(spawn):
    with FakeDaemon(List=[]) as daemon:
        process = spawn(daemon, 'list',
                        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
        daemon.until_called('List')
        process.send_signal(signal.SIGINT)
        assert finish(process)[0] == 130


# --- the one-off share ---

def one_off(events, **more):
    """A daemon for 'share': Show follows the state that the events tell."""
    state = {'now': service('share-abcdef', state='publishing', wanted=True)}

    def show(_):
        return {'service': state['now']}

    answers = {'Create': {'service': service('share-abcdef', state='stopped')},
               'Start': {'service': state['now']}, 'Show': show, 'Watch': events,
               'Stop': show, 'Status': {'version': '1', 'uptime': 1, 'local_only': False,
                                        'tor': tor(),
                                        'services': {'total': 1, 'running': 1, 'failed': 0}}}
    return FakeDaemon(**{**answers, **more}), state


SNAPSHOT = {'event': 'snapshot', 'services': [], 'tor': tor()}


def state_event(state, reason=None):
    return {'event': 'state', 'name': 'share-abcdef', 'state': state, 'reason': reason}


def transfer(phase, done, total=1000):
    return {'event': 'transfer', 'name': 'share-abcdef', 'id': 1, 'direction': 'out',
            'phase': phase, 'bytes': done, 'total': total}


def test_share_prints_the_address_at_once_and_ctrl_c_deletes_it(spawn):
    daemon, _ = one_off([SNAPSHOT])
    with daemon:
        process = spawn(daemon, 'share', '/etc/passwd')
        daemon.until_called('Status')
        process.send_signal(signal.SIGINT)
        status, out, err = finish(process)
        assert status == 130
        assert out == f"{service()['url']}\nPrivate key: {'B' * 52}\n"
        assert 'Give this address and private key to the recipient:' in err
        assert daemon.methods()[-2:] == ['Stop', 'Delete']
        assert daemon.calls[-2][1] == {'name': 'share-abcdef', 'now': True}
        assert daemon.calls[0][1]['ephemeral'] is True and 'name' not in daemon.calls[0][1]


def test_share_ends_when_the_transfer_is_complete():
    daemon, state = one_off([SNAPSHOT, state_event('running'), transfer('started', 0),
                             transfer('progress', 500), transfer('completed', 1000),
                             state_event('stopped', 'completed')])
    shows = [service('share-abcdef'), service('share-abcdef'),
             service('share-abcdef', state='stopped', reason='completed')]
    daemon.answers['Show'] = lambda _: {'service': shows.pop(0)}
    state['now'] = service('share-abcdef')
    with daemon:
        status, out, err = ask(daemon, 'share', '/etc/passwd')
        assert status == 0, err
        assert 'download 1 complete: 1000.0 B' in err
        assert err.endswith('Stopped because transfer is complete\n')
        assert daemon.methods()[-1] == 'Delete'


def test_share_as_json_is_the_events_a_line_each():
    daemon, _ = one_off([SNAPSHOT, transfer('started', 0), state_event('stopped', 'completed')])
    shows = [service('share-abcdef'), service('share-abcdef', state='stopped')]
    daemon.answers['Show'] = lambda _: {'service': shows.pop(0)}
    with daemon:
        status, out, err = ask(daemon, '--json', 'share', '/etc/passwd')
        assert (status, err) == (0, '')
        assert [json.loads(line)['event'] for line in out.splitlines()] == \
            ['snapshot', 'transfer', 'state']


def test_share_that_fails_says_why_and_is_1():
    daemon, state = one_off([SNAPSHOT, state_event('failed', 'no more room')])
    state['now'] = service('share-abcdef', state='failed', reason='no more room')
    daemon.answers['Start'] = {'service': service('share-abcdef', state='preparing')}
    with daemon:
        status, _, err = ask(daemon, 'share', '/etc/passwd')
        assert status == 1 and 'no more room' in err


def test_share_detached_returns_when_it_can_be_reached_and_stays():
    daemon, state = one_off([SNAPSHOT])
    state['now'] = service('share-abcdef')
    with daemon:
        status, out, err = ask(daemon, '--json', 'share', '--detach', '/etc/passwd')
        assert (status, err) == (0, '')
        assert json.loads(out)['name'] == 'share-abcdef'
        assert daemon.calls[0][1]['ephemeral'] is False
        assert 'Delete' not in daemon.methods()


def test_share_saved_stays_after_ctrl_c(spawn):
    daemon, _ = one_off([SNAPSHOT])
    with daemon:
        process = spawn(daemon, 'share', '--save', 'keep', '/etc/passwd')
        daemon.until_called('Status')
        process.send_signal(signal.SIGINT)
        assert finish(process)[0] == 130
        assert daemon.calls[0][1]['name'] == 'keep' and not daemon.calls[0][1]['ephemeral']
        assert 'Delete' not in daemon.methods() and 'Stop' not in daemon.methods()


def test_share_that_cannot_be_reached_in_time_is_7_and_deleted():
    daemon, _ = one_off([SNAPSHOT])
    with daemon:
        status, _, err = ask(daemon, '--timeout', '1', 'share', '/etc/passwd')
        assert status == 7, err
        assert daemon.methods()[-1] == 'Delete'


def test_share_tells_that_the_daemon_died():
    daemon, _ = one_off([SNAPSHOT, CLOSE])
    with daemon:
        assert ask(daemon, 'share', '/etc/passwd')[0] == 6


# --- watching ---

def test_many_transfers_at_once_have_one_live_line():
    events = [SNAPSHOT]
    for i in range(1, 401):
        events.append({**transfer('started', 0), 'id': i})
    events += [{**transfer('cancelled', 5, None), 'id': i} for i in range(1, 401)]
    with FakeDaemon(Watch=[*events, CLOSE]) as daemon:
        status, said = on_terminal(daemon, 'watch', env={'NO_COLOR': '1'})
        assert status == 6
        assert '400 transfers:' in said and 'download 400 cancelled at 5.0 B' in said
