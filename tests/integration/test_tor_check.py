# SPDX-License-Identifier: GPL-3.0-or-later
"""onionsharectl tor check, through a real network, and where that breaks."""
import base64
import os

import pytest

from lib.waiting import until
from test_onion import KEEP, LONG, started, tor_daemon  # noqa: F401

STEPS = ['tor', 'service', 'local', 'published', 'descriptor', 'visit']


def check(daemon, name):
    """(exit status, good, names of the steps, the last one's text)"""
    done = daemon.ctl('--json', 'tor', 'check', name, timeout=LONG * 3)
    answer = done.json
    assert set(answer) == {'steps', 'good'}, answer
    assert all(step['good'] for step in answer['steps'][:-1])
    assert answer['good'] == answer['steps'][-1]['good'] == (done.status == 0)
    return done.status, [s['step'] for s in answer['steps']], answer['steps'][-1]['text']


@pytest.mark.parametrize('access', ['--private', '--public'])
def test_a_service_that_can_be_visited(tor_daemon, tornet, access):  # noqa: F811
    from tornet.tornet import Control
    service = started(tor_daemon, 'docs' + access, tor_daemon.file('a', b'data'),
                      options=[*KEEP, access])
    # That some directories have it does not say that those do which tor asks first.
    until(lambda: check(tor_daemon, service['name'])[:2] == (0, STEPS), 'it is visited', LONG * 2,
          step=2)
    said = tor_daemon.ctl('tor', 'check', service['name'], timeout=LONG * 3)
    assert said.status == 0 and len(said.out.splitlines()) == len(STEPS), said
    assert 'a visitor gets an answer (200)' in said.out
    # It was like any visit, and counts for nothing.
    assert tor_daemon.show(service['name'])['transfers']['completed'] == 0
    run = os.path.join(tor_daemon.runtime, 'tor')
    with Control(f'{run}/control', f'{run}/cookie') as control:
        kept = control.command(f'ONION_CLIENT_AUTH_VIEW {service["onion"]}')
    assert not any(line.startswith('CLIENT') for line in kept)
    for key in service['keys']:
        raw = base64.b32decode(key['private_key'] + '====')
        assert base64.b64encode(raw).decode() not in tor_daemon.log()
    assert service['onion'] not in tor_daemon.log()
    tor_daemon.json('stop', service['name'])
    status, steps, text = check(tor_daemon, service['name'])
    assert status == 3 and steps == STEPS[:2] and 'onionsharectl start' in text
    tor_daemon.json('delete', service['name'], '--yes')


def test_a_socket_that_is_gone(tor_daemon):  # noqa: F811
    service = started(tor_daemon, 'gone', tor_daemon.file('a', b'data'), options=KEEP)
    os.unlink(service['backend'].removeprefix('unix:'))
    status, steps, text = check(tor_daemon, 'gone')
    assert status == 3 and steps == STEPS[:3] and 'restart' in text
    tor_daemon.json('restart', 'gone', timeout=LONG * 2)
    tor_daemon.json('delete', 'gone', '--yes')


def test_a_service_that_nobody_is_let_into(tor_daemon, tornet):  # noqa: F811
    """A key whose private half is not here: the way ends where one is needed."""
    service = started(tor_daemon, 'closed', tor_daemon.file('a', b'data'), options=KEEP)
    other = tor_daemon.json('create', 'share', 'other', service['paths'][0])
    tor_daemon.json('key', 'add', 'closed', 'anna', '--public-key', other['keys'][0]['public_key'])
    tor_daemon.json('key', 'remove', 'closed', 'default')
    tor_daemon.json('delete', 'other', '--yes')
    tor_daemon.until_state('closed', 'running', seconds=LONG)
    status, steps, text = check(tor_daemon, 'closed')
    assert status == 3 and steps[-1] == 'descriptor' and 'key add' in text
    tor_daemon.json('delete', 'closed', '--yes')


def test_without_a_network(make_daemon, tmp_path):
    torrc = tmp_path / 'torrc'
    torrc.write_text('DisableNetwork 1\n')
    daemon = make_daemon(['--tor', 'managed', '--torrc', str(torrc)]).start()
    daemon.json('create', 'share', 'docs', daemon.file('a', b'data'), *KEEP)
    daemon.json('start', 'docs', '--no-wait')
    daemon.until_state('docs', 'publishing', seconds=60)
    status, steps, text = check(daemon, 'docs')
    assert status == 3 and steps == ['tor'] and '0 %' in text
    done = daemon.ctl('tor', 'check', 'nothing')
    assert done.status == 4


def test_without_tor_at_all(daemon):
    daemon.share('docs', daemon.file('a'))
    done = daemon.ctl('tor', 'check', 'docs')
    assert done.status == 7 and '--local-only' in done.err
