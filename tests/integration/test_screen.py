# SPDX-License-Identifier: GPL-3.0-or-later
"""watch as a live screen, and list, on terminals of several sizes."""
import os
import signal
import subprocess

import pytest
from lib.daemon import ONIONSHARECTL, SANITIZER, environment
from lib.fake_daemon import CLOSE, FakeDaemon, service, tor
from lib.terminal import Terminal

SNAPSHOT = {'event': 'snapshot', 'tor': tor(), 'services': [
    service('docs'), service('dropbox', mode='receive', state='failed',
                             reason='the folder \x1b[2Jis gone', stop_at=None)]}
EVENTS = [
    SNAPSHOT,
    {'event': 'members', 'name': 'docs', 'members': 3},
    {'event': 'submission', 'name': 'dropbox', 'id': 9, 'files': 2, 'message': True},
    {'event': 'transfer', 'name': 'docs', 'id': 4, 'direction': 'out', 'phase': 'started',
     'bytes': 500, 'total': 1000},
    {'event': 'transfer', 'name': 'docs', 'id': 3, 'direction': 'out', 'phase': 'completed',
     'bytes': 1000, 'total': 1000}]


def on_terminal(path, *args, columns=80, rows=24, env=None):
    return Terminal([ONIONSHARECTL, '--socket', path, *args],
                    environment(TERM='xterm', **(env or {})), columns, rows)


def assert_left_clean(t):
    assert not t.on_other and t.cursor and t.wrap
    assert not SANITIZER.search(t.said.encode()), t.said


def test_a_screen_of_80_columns():
    with FakeDaemon(Watch=EVENTS) as daemon, on_terminal(daemon.path, 'watch') as t:
        t.until_shown('download 3 complete')
        assert t.on_other and not t.cursor and not t.echoes
        text = t.text
        assert text[0] == 'Tor: ready' and text[-1] == 'Ctrl-C ends it'
        assert text[2] == 'Services'
        assert text[3].startswith('docs     running     aaaaaa')
        assert text[3].endswith('aaa.onion  3 in the room, 1 done')
        assert text[4].startswith('dropbox  failed ') and r'the folder \x1b[2Jis' in text[4]
        assert 'docs     download 4  [========>       ]  50%  500.0 B of 1000.0 B' in text
        assert any(line.endswith('dropbox  submission 9 is kept: 2 files and a message')
                   for line in text)
        assert any(line.endswith('docs     download 3 complete: 1000.0 B') for line in text)
        t.type(b'\x03')
        assert t.end() == 130
        assert_left_clean(t)
        assert t.normal.text == [''] * 24


def test_a_screen_of_40_columns_and_12_lines():
    with FakeDaemon(Watch=EVENTS) as daemon, \
            on_terminal(daemon.path, 'watch', columns=40, rows=12) as t:
        t.until_shown('download 3 comp')
        text = t.text
        assert text[0] == 'Tor: ready' and text[-1] == 'Ctrl-C ends it'
        assert text[1:3] == ['Services', text[2]] and text[2].startswith('docs     running ')
        assert any(line.startswith('docs     [==> ]  50%') for line in text)
        assert any('submission 9' in line for line in text)
        t.type(b'\x03')
        assert t.end() == 130


def test_it_follows_the_size_of_the_terminal():
    many = {**SNAPSHOT, 'services': [service(f's{i:03}') for i in range(100)]}
    with FakeDaemon(Watch=[many]) as daemon, on_terminal(daemon.path, 'watch') as t:
        t.until_shown('and 81 more', 's018')
        t.resize(40, 12)
        t.until(lambda: t.text[10:] == ['and 92 more', 'Ctrl-C ends it'], 'it is small')
        assert t.text[9].startswith('s007')
        t.resize(120, 40)
        t.until(lambda: t.text[38:] == ['and 65 more', 'Ctrl-C ends it'], 'it is large')
        assert service()['url'][7:] in t.text[3]


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT])
def test_signals_leave_the_terminal_as_it_was(number):
    with FakeDaemon(Watch=EVENTS) as daemon, on_terminal(daemon.path, 'watch') as t:
        t.until_shown('Ctrl-C ends it')
        os.kill(t.pid, number)
        assert t.end() == 128 + number
        assert_left_clean(t)


def test_a_daemon_that_goes_away_is_told_of_behind_the_screen():
    with FakeDaemon(Watch=[*EVENTS, CLOSE]) as daemon, on_terminal(daemon.path, 'watch') as t:
        assert t.end() == 6
        assert_left_clean(t)
        assert t.normal.text[0].startswith('onionsharectl: ')


def test_it_is_suspended_and_goes_on():
    with FakeDaemon(Watch=EVENTS) as daemon, on_terminal(daemon.path, 'watch') as t:
        t.until_shown('Ctrl-C ends it')
        os.kill(t.pid, signal.SIGTSTP)
        # The group of a test has no shell that could continue it: it does not stop at all.
        t.until(lambda: t.said.count('\x1b[?1049h') == 2, 'the screen is entered again')
        t.until_shown('Ctrl-C ends it')
        t.type(b'\x03')
        assert t.end() == 130
        assert t.said.count('\x1b[?1049l') == 2
        assert_left_clean(t)


def test_a_flood_of_events_is_drawn_four_times_a_second_at_most():
    flood = [{'event': 'members', 'name': 'docs', 'members': i % 90 + 1} for i in range(3000)]
    with FakeDaemon(Watch=[SNAPSHOT, *flood,
                           {'event': 'members', 'name': 'docs', 'members': 99}]) as daemon, \
            on_terminal(daemon.path, 'watch') as t:
        t.until_shown('99 in the room')
        assert t.frames < 300, 'events are drawn one by one'


def test_the_address_of_a_new_service_is_asked_for():
    new = {'event': 'state', 'name': 'new', 'state': 'running', 'reason': None}
    with FakeDaemon(Watch=[SNAPSHOT, new], Show=lambda p: {'service': service(p['name'])}) \
            as daemon, on_terminal(daemon.path, 'watch') as t:
        t.until(lambda: any(line.startswith('new ') and '.onion' in line for line in t.text), 'new')
        assert [p for m, p in daemon.calls if m == 'Show'] == [{'name': 'new'}]


def test_a_snapshot_in_pieces_is_one_screen():
    pieces = [{**SNAPSHOT, 'services': [service('one')], 'complete': False},
              {'event': 'state', 'name': 'one', 'state': 'stopped', 'reason': 'completed'},
              {**SNAPSHOT, 'services': [service('two')]}]
    with FakeDaemon(Watch=pieces) as daemon, on_terminal(daemon.path, 'watch') as t:
        t.until_shown('two ', 'completed')
        assert t.text[3].startswith('one  stopped') and t.text[4].startswith('two  running')


@pytest.mark.parametrize('env', [{'NO_COLOR': '1'}, {'TERM': 'dumb'}])
def test_plain_lines_where_no_screen_is_wanted(env):
    with FakeDaemon(Watch=[*EVENTS[:3], CLOSE]) as daemon, \
            Terminal([ONIONSHARECTL, '--socket', daemon.path, 'watch'],
                     environment(**{'TERM': 'xterm', **env})) as t:
        assert t.end() == 6
        assert '\x1b[?' not in t.said
        assert 'submission 9 is kept: 2 files and a message' in t.said


def test_json_on_a_terminal_stays_lines():
    with FakeDaemon(Watch=[SNAPSHOT, CLOSE]) as daemon, \
            on_terminal(daemon.path, '--json', 'watch') as t:
        assert t.end() == 6
        assert '\x1b' not in t.said and t.said.startswith('{"event": "snapshot"')


def test_a_real_service_on_the_screen(daemon):
    daemon.share('docs', daemon.file('a.txt', b'x' * 1000))
    with on_terminal(daemon.control, 'watch') as t:
        t.until_shown('Without Tor', 'docs  running', '127.0.0.1:')
        daemon.json('create', 'receive', 'inbox')
        daemon.json('start', 'inbox')
        t.until_shown('inbox  running')
        daemon.ctl('rename', 'inbox', 'dropbox')
        t.until_shown('dropbox  running')
        assert not any('inbox' in line for line in t.text)
        daemon.json('delete', 'dropbox', '--yes')
        t.until(lambda: not any('dropbox' in line for line in t.text), 'it is gone')
        t.type(b'\x03')
        assert t.end() == 130
        assert_left_clean(t)


# --- list ---

LONG = [service(), service('x' * 64, state='publishing',
                           transfers={'active': 10000, 'completed': 99999999, 'bytes_in': 0,
                                      'bytes_out': 0}),
        service('bad', state='failed', reason='a reason that is told in ' + 'many words ' * 20)]


@pytest.mark.parametrize('columns', [30, 40, 50, 60, 80, 160])
def test_list_fits_the_terminal(columns):
    with FakeDaemon(List={'services': LONG}) as daemon, \
            on_terminal(daemon.path, 'list', columns=columns) as t:
        assert t.end() == 0
        text = [line for line in t.text if line]
        assert len(text) == 4, text  # none has wrapped
        assert text[0].startswith('NAME') and text[2].startswith('x' * 5)
        assert [line.split()[1 if columns < 60 else 2] for line in text] == [
            'STATE', 'running', 'publishing', 'failed']
        assert ('10000/99999999' in text[2]) == (columns >= 50)
        assert ('a reason' in text[3]) == (columns >= 80)
        if columns == 160:
            assert 'x' * 37 + '...' in text[2] and service()['url'] in text[1]


def test_list_has_addresses_whole_where_there_is_no_terminal():
    with FakeDaemon(List={'services': LONG}) as daemon:
        done = subprocess.run([ONIONSHARECTL, '--socket', daemon.path, 'list'], check=True,
                              capture_output=True, env=environment(), timeout=30)
    text = done.stdout.decode().splitlines()
    assert len(text) == 4
    assert text[1].split()[-1] == service()['url']
    assert text[2].split()[0] == 'x' * 64 and '10000/99999999' in text[2]
    assert text[3].rstrip().endswith('many words')


def test_the_list_of_a_few_services_on_loopback_has_their_addresses_whole():
    here = service('docs', url='http://127.0.0.1:54321', onion=None)
    with FakeDaemon(List={'services': [here]}) as daemon, on_terminal(daemon.path, 'list') as t:
        assert t.end() == 0
        assert t.text[1].split() == ['docs', 'share', 'running', '0/0', 'http://127.0.0.1:54321']
