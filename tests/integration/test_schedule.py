# SPDX-License-Identifier: GPL-3.0-or-later
"""Services that start and stop by themselves, under a clock that is set (libfaketime)."""
import datetime
import glob
import os
import shutil
import signal
import time

import pytest

import shapes
from lib import proc
from lib.daemon import ONIONSHARECTL
from lib.http import Connection
from lib.terminal import Terminal
from lib.waiting import until

DAY = 86400
KEEP = ['--no-autostop-sharing']
LIBRARY = glob.glob('/usr/lib/*/faketime/libfaketimeMT.so.1')


class Clock:
    """The daemon's wall clock: the machine's and an offset. Its other clocks are left alone."""

    def __init__(self, directory):
        self.file = os.path.join(directory, 'clock')
        self.offset = 0
        self.set(0)

    def set(self, seconds):
        self.offset = seconds
        with open(self.file + '.new', 'w') as f:
            f.write(f'{seconds:+d}\n')
        os.rename(self.file + '.new', self.file)

    def env(self):
        return {'LD_PRELOAD': LIBRARY[0], 'FAKETIME_TIMESTAMP_FILE': self.file,
                'FAKETIME_NO_CACHE': '1', 'DONT_FAKE_MONOTONIC': '1',
                # The sanitizer wants to be the first library, and need not be.
                'ASAN_OPTIONS': 'verify_asan_link_order=0:detect_leaks=1:exitcode=99'}

    def at(self, seconds):
        """So many seconds from the daemon's now, as an option takes it."""
        then = time.time() + self.offset + seconds
        return datetime.datetime.fromtimestamp(then, datetime.timezone.utc).isoformat(
            timespec='seconds')


@pytest.fixture
def clock(tmp_path):
    assert LIBRARY, 'the package faketime is not installed'
    return Clock(tmp_path)


@pytest.fixture
def timed(make_daemon, clock):
    return make_daemon(env=clock.env()).start()


def test_a_clock_that_is_set_forward_starts_and_stops_in_time(timed, clock):
    timed.json('create', 'share', 'docs', timed.file('a'), *KEEP, '--start-at', clock.at(7200),
               '--stop-at', clock.at(14400))
    service = timed.json('start', 'docs')
    shapes.is_service(service)
    assert service['state'] == 'scheduled' and service['start_at'] and service['stop_at']
    clock.set(7201)
    timed.until_state('docs', 'running')
    clock.set(14401)
    assert timed.until_state('docs', 'stopped')['reason'] == 'auto-stop timer'


def test_a_clock_that_is_set_back_starts_nothing_twice(timed, clock):
    timed.json('create', 'share', 'docs', timed.file('a'), *KEEP, '--auto-start-timer', '3600')
    timed.json('start', 'docs')
    clock.set(-7200)
    time.sleep(6)  # a look at the clock lies in between, and nothing shall come of it
    assert timed.show('docs')['state'] == 'scheduled'
    clock.set(3601)
    timed.until_state('docs', 'running')
    clock.set(-7200)
    assert timed.restart().until_state('docs', 'running')
    events = [e['event'] for e in timed.json('history', 'docs')]
    assert events.count('scheduled') == 1


def test_a_clock_that_jumps_keeps_nobody_busy(timed, clock):
    timed.json('create', 'share', 'docs', timed.file('a'), *KEEP, '--stop-at', clock.at(500 * DAY))
    timed.json('create', 'share', 'later', timed.file('a'), *KEEP, '--start-at',
               clock.at(450 * DAY))
    timed.json('start', 'docs', 'later')
    for offset in (7200, -7200, 400 * DAY, 0):
        clock.set(offset)

        def is_idle():
            begun, before = time.monotonic(), proc.cpu_seconds(timed.pid)
            time.sleep(2)
            return (proc.cpu_seconds(timed.pid) - before) / (time.monotonic() - begun) < 0.1
        # A request has its aftermath; what would be busy with the clock is so all the time.
        until(is_idle, f'it is idle at {offset:+d} s', 10)
        reply = timed.get('docs', '/download')
        assert reply.status == 200 and not reply.get('Age', '').startswith('-')
    assert (timed.show('docs')['state'], timed.show('later')['state']) == ('running', 'scheduled')


@pytest.mark.parametrize('end', ['stop', 'kill'])
def test_a_restart_in_the_middle_of_each_state(timed, clock, end):
    def again():
        if end == 'kill':
            timed.kill()
            timed.start()
        else:
            timed.restart()

    timed.json('create', 'share', 'docs', timed.file('a'), *KEEP, '--auto-start-timer', '1h',
               '--auto-stop-timer', '2h')
    before = timed.json('start', 'docs')
    again()
    after = timed.show('docs')
    members = ('state', 'start_at', 'stop_at', 'url')
    assert [after[m] for m in members] == [before[m] for m in members]
    clock.set(3601)
    timed.until_state('docs', 'running')
    again()
    assert timed.until_state('docs', 'running')['stop_at'] == before['stop_at']
    clock.set(7201)
    timed.until_state('docs', 'stopped')
    again()
    stopped = timed.show('docs')
    assert (stopped['state'], stopped['reason'], stopped['wanted']) == \
        ('stopped', 'auto-stop timer', False)


def test_what_was_due_while_no_daemon_was_there(timed, clock):
    timed.json('create', 'share', 'late', timed.file('a'), *KEEP, '--auto-start-timer', '60')
    timed.json('create', 'share', 'gone', timed.file('a'), *KEEP, '--auto-start-timer', '60',
               '--auto-stop-timer', '120')
    timed.json('start', 'late', 'gone')
    timed.kill()
    clock.set(3600)
    timed.start()
    timed.until_state('late', 'running')
    gone = timed.show('gone')
    assert (gone['state'], gone['reason']) == ('stopped', 'auto-stop timer')


def test_a_dead_mans_switch_is_put_off(timed, clock):
    timed.json('create', 'share', 'switch', timed.file('a'), *KEEP, '--start-at', clock.at(3600))
    timed.json('start', 'switch')
    for hour in range(1, 4):
        clock.set(hour * 3600 - 10)
        service = timed.json('edit', 'switch', '--start-at', clock.at(3610))
        assert service['state'] == 'scheduled'
    result = timed.ctl('--json', 'edit', 'switch', '--unset', 'start-at')
    shapes.is_error(result, 'InvalidState', 1)
    result = timed.ctl('--json', 'edit', 'switch', '--start-at', clock.at(-5))
    shapes.is_error(result, 'InvalidValue', 2)
    clock.set(4 * 3600 + 1)
    timed.until_state('switch', 'running')


def test_a_machine_that_slept_makes_up_for_it(timed, clock):
    timed.json('create', 'share', 'late', timed.file('a'), *KEEP, '--auto-start-timer', '1h')
    timed.json('create', 'share', 'gone', timed.file('a'), *KEEP, '--auto-stop-timer', '1h')
    timed.json('start', 'late', 'gone')
    os.kill(timed.pid, signal.SIGSTOP)
    clock.set(4000)
    os.kill(timed.pid, signal.SIGCONT)
    timed.until_state('late', 'running')
    assert timed.until_state('gone', 'stopped')['reason'] == 'auto-stop timer'


def test_killed_while_it_drains_at_its_time_it_stays_stopped(timed, clock):
    big = timed.file('big', b'')
    os.truncate(big, 1 << 30)
    timed.json('create', 'share', 'docs', big, *KEEP, '--stop-at', clock.at(3600))
    service = timed.json('start', 'docs')
    with Connection(service['backend']) as c:
        c.send(b'GET /download HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
        c.read_head()
        clock.set(3601)
        timed.until_state('docs', 'draining')
        timed.kill()
    timed.start()
    after = timed.show('docs')
    assert (after['state'], after['reason'], after['wanted']) == \
        ('stopped', 'auto-stop timer', False)


def path_with_plain_tor(directory):
    """A PATH whose tor runs without the library that sets the daemon's clock.

    Under libfaketime's pthread_cond_timedwait, tor 0.4.9 gives up waiting for its worker threads
    on one start in three ("Failed to confirm worker threads' start up") and aborts.
    """
    directory.mkdir()
    script = directory / 'tor'
    script.write_text(f'#!/bin/sh\nunset LD_PRELOAD\nexec {shutil.which("tor")} "$@"\n')
    script.chmod(0o755)
    return f'{directory}:{os.environ["PATH"]}'


@pytest.mark.skipif(not shutil.which('tor'), reason='there is no tor')
def test_a_restart_before_the_network_is_there_keeps_times_and_address(make_daemon, clock,
                                                                        tmp_path):
    torrc = tmp_path / 'torrc'
    torrc.write_text('DisableNetwork 1\n')
    env = {**clock.env(), 'PATH': path_with_plain_tor(tmp_path / 'bin')}
    daemon = make_daemon(['--tor', 'managed', '--torrc', str(torrc)], env=env).start()
    daemon.json('create', 'share', 'docs', daemon.file('a'), *KEEP, '--stop-at', clock.at(3600))
    daemon.json('start', '--no-wait', 'docs')
    before = daemon.until_state('docs', 'publishing')
    daemon.kill()
    daemon.start()
    after = daemon.until_state('docs', 'publishing')
    assert (after['url'], after['stop_at']) == (before['url'], before['stop_at'])
    clock.set(3601)
    assert daemon.until_state('docs', 'stopped')['reason'] == 'auto-stop timer'


def test_watchers_hear_of_times(timed, clock):
    with timed.varlink() as v:
        v.send('Watch', more=True)
        v.receive()
        timed.json('create', 'share', 'docs', timed.file('a'), *KEEP)
        timed.json('start', 'docs')
        timed.json('edit', 'docs', '--stop-at', clock.at(60))
        stop_at = timed.show('docs')['stop_at']
        while v.receive()['parameters'].get('stop_at') != stop_at:
            pass  # the connection's timeout ends this, should it not be told


def test_a_countdown_is_shown(timed, clock):
    timed.json('create', 'share', 'docs', timed.file('a'), '--auto-start-timer', '2h')
    assert 'It starts ' in timed.ctl('start', 'docs').err
    shown = timed.ctl('show', 'docs')
    assert ', in 1h59m' in shown.out or ', in 2h' in shown.out
    argv = [ONIONSHARECTL, '--socket', timed.control, 'watch']
    with Terminal(argv, {**timed.env, 'TERM': 'xterm'}) as terminal:
        terminal.until_shown('starts in ')
