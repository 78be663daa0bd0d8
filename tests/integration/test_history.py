# SPDX-License-Identifier: GPL-3.0-or-later
"""The client's history: filters, and that they look through all of it."""
import sqlite3

from lib.waiting import until


def events(daemon, *args):
    return [(e['name'], e['event']) for e in daemon.json('history', *args)]


def test_filters_find_the_newest_that_fit(daemon):
    for name in ('one', 'two'):
        daemon.json('create', 'share', name, daemon.file(name, b'x'))
        for _ in range(3):
            daemon.json('start', name)
            daemon.json('stop', name)
    until(lambda: len(events(daemon)) == 12, 'all is written')
    running = events(daemon, '--event', 'running')
    assert running == [('one', 'running')] * 3 + [('two', 'running')] * 3
    assert events(daemon, '--event', 'running', '--limit', '4') == running[2:]
    assert events(daemon, 'one', '--event', 'stopped') == [('one', 'stopped')] * 3
    assert events(daemon, '--event', 'nonsense') == []
    hint = daemon.ctl('history', '--event', 'nonsense')
    assert (hint.status, hint.out) == (0, '') and "event 'nonsense'" in hint.err
    assert daemon.ctl('history', '--event', 'running').err == ''
    assert len(events(daemon, '--limit', '5')) == 5
    assert events(daemon, '--since', '1h') == events(daemon)
    entries = daemon.json('history')
    assert events(daemon, '--since', '2999-01-01T00:00:00Z') == []
    since = [e for e in entries if e['at'] >= entries[6]['at']]
    assert daemon.json('history', '--since', entries[6]['at']) == since
    assert events(daemon, '--since', '2999-01-01 14:00') == []
    assert daemon.json('history', '--since', '2020-01-01 14:00') == entries


def test_many_pages_are_looked_through(daemon):
    daemon.json('create', 'share', 'box', daemon.file('a', b'x'))
    daemon.json('start', 'box')
    daemon.json('create', 'share', 'other', daemon.file('b', b'x'))
    until(lambda: events(daemon), 'it is written')
    daemon.stop()
    db = sqlite3.connect(f'{daemon.state}/onionshared.db')
    with db:
        db.executemany("INSERT INTO history (at_ms, service, event) VALUES (?, 'other', 'stopped')",
                       [(4102444800000 + i,) for i in range(2500)])
    db.close()
    daemon.start()
    assert ('box', 'running') in events(daemon, '--event', 'running')
    assert len(events(daemon, '--event', 'stopped', '--limit', '1000')) == 1000


def test_the_past_comes_along_when_a_service_is_renamed(daemon):
    daemon.json('create', 'share', 'old', daemon.file('a', b'x'))
    daemon.json('start', 'old')
    daemon.json('stop', 'old')
    daemon.json('delete', 'old', '--yes')
    until(lambda: len(events(daemon)) == 2, 'the first one is written')
    first = daemon.json('history')
    daemon.json('create', 'share', 'old', daemon.file('a', b'x'))
    daemon.json('start', 'old')
    daemon.json('rename', 'old', 'new')
    daemon.json('stop', 'new')
    until(lambda: len(events(daemon)) == 5, 'the second one is written')
    past = daemon.json('history', 'new')
    assert [e['event'] for e in past] == ['running', 'renamed', 'stopped']
    assert {e['name'] for e in past} == {'new'} and past[1]['old_name'] == 'old'
    # What another one of that name did is not taken for its past.
    assert daemon.json('history', 'old') == first
    assert daemon.json('history') == first + past
    daemon.stop()
    daemon.start()
    assert daemon.json('history', 'new')[:3] == past


def test_nobodys_history_is_an_error(daemon):
    daemon.json('create', 'share', 'quiet', daemon.file('a', b'x'))
    assert daemon.json('history', 'quiet') == []
    gone = daemon.ctl('history', 'nobody')
    assert gone.status == 4 and "'onionsharectl list' has all" in gone.err
    assert daemon.ctl('history', 'nobody', '--event', 'running', '--since', '1h').status == 4


def test_what_is_no_time_is_refused(daemon):
    for since in ('yesterday', '', '-3h', '2026-13-01T00:00:00Z'):
        assert daemon.ctl('history', '--since', since).status == 2, since
