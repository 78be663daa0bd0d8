# SPDX-License-Identifier: GPL-3.0-or-later
"""Two things at the same moment, and what is left of them after the next start."""
import os
import signal
import sqlite3
import threading

from lib import http
from lib.waiting import until


def begin_download(daemon, name):
    """A connection that has asked for everything and read the head only."""
    s = http.connect(daemon.backend(name))
    s.sendall(b'GET /download HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
    head = b''
    while b'\r\n\r\n' not in head:
        head += s.recv(1)
    return s, int(head.lower().split(b'content-length: ')[1].split(b'\r\n')[0])


def read_exactly(s, n):
    while n:
        data = s.recv(min(n, 1 << 16))
        assert data, f'the connection ended {n} bytes early'
        n -= len(data)


def test_a_download_that_ends_while_the_daemon_stops_is_the_last(daemon):
    """It was complete: after a reboot nobody else shall get it."""
    daemon.share('docs', daemon.file('big', os.urandom(1 << 20) * 32))
    s, length = begin_download(daemon, 'docs')
    with s:
        os.kill(daemon.pid, signal.SIGTERM)
        daemon.until_state('docs', 'draining')
        read_exactly(s, length)
        assert daemon.wait() == 0
    daemon.start()
    service = daemon.show('docs')
    assert (service['state'], service['wanted'], service['reason']) == \
        ('stopped', False, 'completed')


def test_a_restart_that_was_asked_for_comes_also_after_the_last_byte(daemon):
    daemon.share('docs', daemon.file('big', os.urandom(1 << 20) * 32))
    s, length = begin_download(daemon, 'docs')
    with s, daemon.varlink() as v:
        v.call('Restart', {'name': 'docs'})
        assert daemon.show('docs')['state'] == 'draining'
        read_exactly(s, length)
    daemon.until_state('docs', 'running')
    assert daemon.show('docs')['wanted'] is True


def test_a_service_that_cannot_be_unsealed_is_shown_and_can_be_deleted(daemon):
    daemon.share('good', daemon.file('a'))
    daemon.share('spoilt', daemon.file('a'))
    assert daemon.stop() == 0
    with sqlite3.connect(os.path.join(daemon.state, 'onionshared.db')) as db:
        db.execute("UPDATE services SET secret = zeroblob(length(secret)) WHERE name = 'spoilt'")
    db.close()
    daemon.start()
    assert daemon.until_state('good', 'running')
    service = daemon.show('spoilt')
    assert service['state'] == 'failed' and service['reason']
    assert daemon.ctl('start', 'spoilt').status == 1
    assert daemon.ctl('create', 'share', 'spoilt', daemon.file('a')).status == 1
    # Stopping does not touch what is left of it.
    daemon.restart()
    assert daemon.show('spoilt')['state'] == 'failed'
    assert daemon.ctl('delete', '--yes', 'spoilt').status == 0
    daemon.json('create', 'share', 'spoilt', daemon.file('a'))
    daemon.restart()
    assert daemon.show('spoilt')['state'] == 'stopped'


def test_a_second_daemon_on_the_same_sockets_leaves_the_first_alone(daemon, make_daemon):
    daemon.share('docs', daemon.file('a'))
    other = make_daemon().start()
    other.share('other', other.file('a'))
    assert other.stop() == 0
    other.runtime = daemon.runtime
    os.truncate(other.log_file, 0)
    other.spawn()
    assert other.wait() == 69, other.log()
    assert 'service other' not in other.log(), 'it has begun nothing'
    assert daemon.get('docs').status == 200
    assert daemon.json('status')['services']['running'] == 1


def test_terms_at_every_moment_of_the_start(make_daemon):
    """Whenever it is asked to stop, it does; and loses nothing."""
    daemon = make_daemon().start()
    for i in range(20):
        daemon.share(f's{i}', daemon.file('a'))
    assert daemon.stop() == 0
    for i in range(12):
        daemon.spawn()
        until(lambda: os.path.exists(f'/proc/{daemon.process.pid}/fd/3') or
              daemon.process.poll() is not None, 'it has begun', step=0.001)
        threading.Event().wait(i * 0.02)
        daemon.process.send_signal(signal.SIGTERM)
        # Killed by it before it can listen to it, or stopped.
        assert daemon.wait() in (0, -signal.SIGTERM), daemon.log()
    daemon.start()
    for i in range(20):
        daemon.until_state(f's{i}', 'running')


def test_a_tor_that_cannot_be_started_is_told_once(make_daemon, tmp_path):
    """In the log as in the status, though it is tried again and again."""
    conf = tmp_path / 'onionshared.conf'
    conf.write_text('[tor]\nbinary = /nonexistent/tor\n')
    daemon = make_daemon(['--tor', 'managed', '--config', str(conf)]).start()
    until(lambda: 'warning: Tor: cannot start /nonexistent/tor' in daemon.log(), 'it is logged')
    assert '/nonexistent/tor' in daemon.json('status')['tor']['problem']
    again = os.stat(daemon.log_file).st_size
    with daemon.varlink() as v:
        v.send('Watch', more=True)
        states = set()
        while len(states) < 2:
            event = v.receive()['parameters']
            if event['event'] == 'tor':
                states.add(event['state'])
    assert os.stat(daemon.log_file).st_size == again, daemon.log()
