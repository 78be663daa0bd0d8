# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 at any moment: what was acknowledged is there afterwards, and nothing else."""
import os
import random
import signal
import time

import pytest

from lib import proc
from lib.http import fetch
from lib.waiting import until

KEEP = ['--no-autostop-sharing']


def essence(service):
    return {k: service[k] for k in ('name', 'mode', 'url', 'keys', 'options', 'title', 'public',
                                    'wanted', 'created_at')}


def test_after_kill_9_everything_is_as_it_was(daemon):
    path = daemon.file('a')
    daemon.json('create', 'share', 'stopped', path, '--title', 'T')
    daemon.share('running', path, options=KEEP)
    daemon.share('ended', path)
    daemon.json('stop', 'ended')
    daemon.json('create', 'share', 'public', path, '--public')
    before = [essence(s) for s in daemon.json('list')]
    daemon.kill()
    daemon.start()
    daemon.until_state('running', 'running')
    assert [essence(s) for s in daemon.json('list')] == before
    assert {s['name']: s['state'] for s in daemon.json('list')} == {
        'stopped': 'stopped', 'running': 'running', 'ended': 'stopped', 'public': 'stopped'}
    assert fetch(daemon.backend('running')).status == 200


def test_each_change_is_kept_when_it_was_acknowledged(daemon):
    """The daemon dies right after each answer."""
    path = daemon.file('a')
    steps = [
        (['create', 'share', 'docs', path], lambda s: s['state'] == 'stopped'),
        (['edit', 'docs', '--title', 'New'], lambda s: s['title'] == 'New'),
        (['start', 'docs'], lambda s: s['wanted']),
        (['edit', 'docs', '--unset', 'title'], lambda s: s['title'] is None and s['wanted']),
        (['stop', 'docs'], lambda s: not s['wanted']),
    ]
    first = None
    for args, holds in steps:
        daemon.json(*args)
        daemon.kill()
        daemon.start()
        service = daemon.show('docs')
        first = first or essence(service)
        assert holds(service), (args, service)
        assert (service['url'], service['keys']) == (first['url'], first['keys'])
    daemon.json('rename', 'docs', 'papers')
    daemon.kill()
    daemon.start()
    assert daemon.show('papers')['url'] == first['url']
    daemon.ctl('delete', 'papers', '--yes')
    daemon.kill()
    daemon.start()
    assert daemon.json('list') == []


def test_killed_in_the_middle_of_many_changes(daemon):
    """At random moments: each service is whole, as before or after its change."""
    dice = random.Random(11)
    path = daemon.file('a')
    known = {}
    for round_number in range(8):
        begun = [daemon.ctl_spawn('--json', 'create', 'share', f's{round_number}-{i}', path)
                 for i in range(4)]
        begun += [daemon.ctl_spawn('--json', 'edit', name, '--title', f't{round_number}')
                  for name in list(known)[:3]]
        time.sleep(dice.random() * 0.15)  # any moment will do: that is the point
        daemon.kill()
        for client in begun:
            out, _ = client.communicate(timeout=30)
            if client.returncode == 0 and b'"name"' in out:
                import json
                made = json.loads(out)
                known[made['name']] = essence(made)
        daemon.start()
        found = {s['name']: essence(s) for s in daemon.json('list')}
        for name, service in known.items():
            assert name in found, f'{name} was acknowledged and is gone'
            assert (found[name]['url'], found[name]['keys']) == (service['url'], service['keys'])
        for service in found.values():
            assert service['keys'] and service['url']
        known = found


def test_no_two_services_ever_get_one_port(daemon):
    for i in range(30):
        daemon.json('create', 'share', f's{i}', daemon.file('a'))
    daemon.kill()
    daemon.start()
    for i in range(30, 40):
        daemon.json('create', 'share', f's{i}', daemon.file('a'))
    urls = [s['url'] for s in daemon.json('list')]
    assert len(set(urls)) == 40


def test_a_wanted_service_whose_files_are_gone_is_failed_not_forgotten(daemon):
    path = daemon.file('a')
    daemon.share('docs', path, options=KEEP)
    daemon.share('other', daemon.file('b'), options=KEEP)
    daemon.kill()
    os.unlink(path)
    daemon.start()
    failed = daemon.until_state('docs', 'failed')
    assert path in failed['reason']
    assert daemon.until_state('other', 'running')
    assert daemon.json('status')['services']['failed'] == 1
    daemon.file('a')
    assert daemon.json('start', 'docs')['state'] == 'running'


def test_a_frozen_daemon_goes_on(daemon):
    """SIGSTOP and SIGCONT, as at suspend."""
    service = daemon.share('docs', daemon.file('a'), options=KEEP)
    os.kill(daemon.pid, signal.SIGSTOP)
    until(lambda: proc.status(daemon.pid, 'State')[0] == 'T', 'it is stopped')
    os.kill(daemon.pid, signal.SIGCONT)
    assert fetch(service['backend']).status == 200
    assert daemon.show('docs')['state'] == 'running'


def fill(path):
    """Writes until the file system is full."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    for size in (4096, 1):
        try:
            while True:
                os.write(fd, bytes(size))
        except OSError:
            pass
    os.close(fd)


def test_a_full_disk_is_reported_and_survived(make_daemon):
    """The state on a tiny file system: refused cleanly, and the service that runs goes on."""
    import subprocess
    daemon = make_daemon()
    os.makedirs(daemon.state)
    mounted = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=1m,mode=700', 'none',
                              daemon.state], capture_output=True)
    if mounted.returncode:
        pytest.skip('cannot mount a file system here')
    try:
        daemon.start()
        path = daemon.file('a')
        service = daemon.share('docs', path, options=KEEP)
        fill(os.path.join(daemon.state, 'filler'))
        refused = 0
        for i in range(60):
            result = daemon.ctl('--json', 'create', 'share', f'more{i}', path)
            if result.status:
                assert result.status == 1 and result.json['message'], result
                refused += 1
        assert refused > 0
        assert fetch(service['backend']).status == 200
        os.unlink(os.path.join(daemon.state, 'filler'))
        assert daemon.ctl('create', 'share', 'afterwards', path).status == 0
        assert daemon.stop() == 0
    finally:
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.kill()
        daemon.process = None
        subprocess.run(['umount', '-l', daemon.state], check=True)


def test_1000_saved_services_are_there_at_once(make_daemon, sanitized):
    daemon = make_daemon().start()
    path = daemon.file('a')
    with daemon.varlink() as v:
        for i in range(200 if sanitized else 1000):
            fd = os.open(path, os.O_RDONLY)
            v.call('Create', {'mode': 'share', 'name': f's{i}', 'paths': [path]}, fds=[fd])
            os.close(fd)
    assert daemon.stop() == 0
    begun = time.monotonic()
    daemon.start()
    assert len(daemon.json('list')) >= 200
    assert time.monotonic() - begun < (15 if sanitized else 3)
