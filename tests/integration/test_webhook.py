# SPDX-License-Identifier: GPL-3.0-or-later
"""Webhooks: what is reported, to whom, and that nothing is lost when either end goes away."""
import hashlib
import hmac
import json
import os
import re
import subprocess
import time

import pytest

import shapes
from lib.receiver import Receiver
from lib.waiting import until
from test_receive import ajax, dropbox

TEXT = b'1 file submitted to OnionShare'


@pytest.fixture
def receiver():
    with Receiver() as receiver:
        yield receiver


def webhook(daemon, name='box'):
    state = daemon.show(name)['webhook']
    assert set(state) == {'pending', 'last_error', 'last_error_at', 'last_success_at'}
    return state


def submit(service, *parts):
    status, said = ajax(service['backend'], *(parts or [('file[]', 'a.txt', b'x')]))
    assert status == 200, said


def test_each_submission_is_reported_in_onionshares_words(daemon, receiver):
    service = dropbox(daemon, 'box', '--webhook-url', receiver.url)
    assert webhook(daemon) == {'pending': 0, 'last_error': None, 'last_error_at': None,
                               'last_success_at': None}
    submit(service)
    until(lambda: len(receiver.received) == 1, 'the first report')
    submit(service, ('file[]', 'a', b'1'), ('file[]', 'b', b'2'), ('text', None, b'hello'))
    until(lambda: len(receiver.received) == 2, 'the second report')
    submit(service, ('text', None, b'hello'))
    until(lambda: len(receiver.received) == 3, 'the third report')
    assert receiver.bodies == [TEXT, b'2 files and a text message submitted to OnionShare',
                               b'A text message submitted to OnionShare']
    path, headers, _ = receiver.received[0]
    assert path == '/hook'
    assert headers['Content-Type'] == 'text/plain; charset=utf-8'
    assert headers['Host'] == f'127.0.0.1:{receiver.port}'
    assert 'X-OnionShare-Signature' not in headers
    state = until(lambda: (s := webhook(daemon))['pending'] == 0 and s, 'all are taken')
    assert state['last_error'] is None and shapes.TIME.match(state['last_success_at'])


def test_nothing_is_reported_of_what_was_refused_or_not_asked_for(daemon, receiver):
    service = dropbox(daemon, 'box', '--webhook-url', receiver.url, '--max-submission', '1K')
    other = dropbox(daemon, 'other')
    status, _ = ajax(service['backend'], ('file[]', 'a', b'x' * 5000))
    assert status == 413
    ajax(service['backend'])
    submit(other)
    assert daemon.show('other')['webhook'] is None
    submit(service)
    until(lambda: receiver.received, 'the one report')
    assert receiver.bodies == [TEXT]


def test_json_is_signed_and_names_nothing(daemon, receiver):
    secret = daemon.file('secret', b'top secret\n')
    service = dropbox(daemon, 'box', '--webhook-url', receiver.url, '--webhook-format', 'json',
                      '--webhook-secret-file', secret)
    submit(service, ('file[]', 'canary-name.txt', b'canary'), ('text', None, b'canary'))
    until(lambda: receiver.received, 'the report')
    _, headers, body = receiver.received[0]
    assert headers['Content-Type'] == 'application/json'
    told = json.loads(body)
    assert re.fullmatch('[0-9a-f]{16}', told.pop('id'))
    at = told.pop('time')
    assert re.fullmatch(r'\d{4}-\d\d-\d\dT\d\d:\d\d:00Z', at)
    assert told == {'event': 'submission', 'service': 'box', 'files': 1, 'message': True}
    assert b'canary' not in body
    mac = hmac.new(b'top secret', body, hashlib.sha256).hexdigest()
    assert headers['X-OnionShare-Signature'] == f'sha256={mac}'


def test_unsigned_nothing_goes_out_when_the_secret_is_gone(daemon, receiver):
    secret = daemon.file('secret', b'top secret')
    service = dropbox(daemon, 'box', '--webhook-url', receiver.url, '--webhook-secret-file',
                      secret)
    os.unlink(secret)
    submit(service)
    state = until(lambda: (s := webhook(daemon))['last_error'] and s, 'it is told')
    assert secret in state['last_error'] and state['pending'] == 1
    assert not receiver.received


def test_a_visitor_does_not_wait_for_a_slow_receiver(daemon, receiver):
    service = dropbox(daemon, 'box', '--webhook-url', receiver.url)
    receiver.held.clear()
    begun = time.monotonic()
    for _ in range(5):
        submit(service)
    assert time.monotonic() - begun < 10
    until(lambda: len(receiver.received) == 1 and webhook(daemon)['pending'] == 5, 'one is tried')
    receiver.held.set()
    until(lambda: webhook(daemon)['pending'] == 0, 'all are taken')
    assert receiver.bodies == [TEXT] * 5


def test_a_receiver_that_was_down_is_told_once_when_it_is_back(make_daemon):
    daemon = make_daemon().start()
    with Receiver() as gone:
        port, url = gone.port, gone.url
    service = dropbox(daemon, 'box', '--webhook-url', url)
    submit(service)
    state = until(lambda: (s := webhook(daemon))['last_error'] and s, 'the failure is shown')
    assert 'refused' in state['last_error'] and state['pending'] == 1
    assert 'its webhook fails' in daemon.log()
    # Over an end of any kind; it does not come back hastier than it was.
    daemon.kill()
    daemon.start()
    assert until(lambda: (s := webhook(daemon))['pending'] == 1 and s, 'it is still there')
    submit(daemon.show('box'), ('text', None, b'hi'))
    until(lambda: webhook(daemon)['pending'] == 2, 'both wait')
    with Receiver(port) as back:
        # A new one is tried at once, and with the first that is taken all go.
        submit(daemon.show('box'), ('file[]', 'a', b''), ('file[]', 'b', b''))
        until(lambda: webhook(daemon)['pending'] == 0, 'all are taken')
        assert sorted(back.bodies) == sorted([
            TEXT, b'A text message submitted to OnionShare', b'2 files submitted to OnionShare'])
    assert webhook(daemon)['last_error'] is None


def test_kill_while_one_is_on_its_way_makes_at_most_that_one_come_twice(make_daemon, receiver):
    daemon = make_daemon().start()
    service = dropbox(daemon, 'box', '--webhook-url', receiver.url)
    for round_ in range(3):
        receiver.received.clear()
        receiver.held.clear()
        for n in range(1, 4):
            submit(service, *[('file[]', f'{i}', b'x') for i in range(n)])
        until(lambda: receiver.received, 'one is on its way')
        daemon.kill()
        receiver.held.set()
        daemon.start()
        service = daemon.show('box')
        until(lambda: webhook(daemon)['pending'] == 0 and len(receiver.received) >= 4,
              f'all are taken in round {round_}')
        bodies = [b.split()[0] for b in receiver.bodies]
        assert len(bodies) == 4 and set(bodies) == {b'1', b'2', b'3'}, bodies
        until(lambda: daemon.show('box')['state'] == 'running', 'it runs')
        service = daemon.show('box')


@pytest.mark.parametrize('status', [301, 302, 307, 308, 400, 404, 500, 503])
def test_other_answers_are_failures_and_redirects_go_nowhere(daemon, receiver, status):
    with Receiver() as elsewhere:
        receiver.status = status
        receiver.headers = {'Location': elsewhere.url}
        service = dropbox(daemon, 'box', '--webhook-url', receiver.url)
        submit(service)
        state = until(lambda: (s := webhook(daemon))['last_error'] and s, 'it is told')
        assert str(status) in state['last_error'] and state['pending'] == 1
        assert not elsewhere.received


@pytest.mark.parametrize('url', [
    'http://example.com/', 'http://10.0.0.1/', 'http://169.254.169.254/', 'http://0x7f.1/',
    'http://2130706433/', 'http://127.1/', 'http://[fe80::1]/', 'http://user:pw@127.0.0.1/',
    'http://127.0.0.1:25/', 'ftp://127.0.0.1/', 'http://127.0.0.1/#x', '127.0.0.1', 'https://[::1]/'])
def test_a_url_that_leads_elsewhere_is_refused_before_anything_changes(daemon, url):
    result = daemon.ctl('--json', 'create', 'receive', 'box', '--webhook-url', url)
    shapes.is_error(result, 'InvalidValue', 2)
    assert result.json['parameters']['field'] == 'webhook_url'
    assert daemon.json('list') == []
    daemon.json('create', 'receive', 'box')
    result = daemon.ctl('--json', 'edit', 'box', '--webhook-url', url)
    shapes.is_error(result, 'InvalidValue', 2)
    assert daemon.show('box')['options']['webhook_url'] is None


def test_it_can_be_changed_and_taken_away_while_the_service_runs(daemon, receiver):
    with Receiver() as other:
        service = dropbox(daemon, 'box', '--webhook-url', receiver.url)
        receiver.status = 500
        submit(service)
        until(lambda: webhook(daemon)['last_error'], 'it fails')
        edited = daemon.json('edit', 'box', '--webhook-url', other.url)
        assert edited.get('restart_needed', []) == []
        until(lambda: other.bodies == [TEXT], 'the other one is told what waited')
        daemon.json('edit', 'box', '--unset', 'webhook_url')
        assert daemon.show('box')['webhook'] is None
        submit(service)
        daemon.json('edit', 'box', '--webhook-url', other.url, '--webhook-format', 'json')
        submit(service)
        until(lambda: len(other.received) == 2, 'only the later one is told')
        assert json.loads(other.bodies[1])['files'] == 1
        assert len(receiver.received) == 1


def test_a_one_off_reports_too(daemon, receiver):
    daemon.ctl_spawn('receive', '--webhook-url', receiver.url, '--min-free', '0')
    service = until(lambda: (all_ := daemon.json('list')) and all_[0]['state'] == 'running'
                    and all_[0], 'it runs')
    submit(service)
    until(lambda: receiver.bodies == [TEXT], 'the report')


# --- through Tor ---

@pytest.fixture
def onion_of(tornet):
    """onion_of(port): an onion service, on a visitor's tor, that leads to a port of the loopback."""
    with tornet.clients[0].control() as control:
        def make(port):
            reply = control.command('ADD_ONION NEW:ED25519-V3 Flags=DiscardPK '
                                    f'Port=80,127.0.0.1:{port}')
            [address] = [line[10:] for line in reply if line.startswith('ServiceID=')]
            return address + '.onion'
        yield make


def credentials(daemon):
    """Usernames of the streams' circuits that the daemon's own tor has."""
    from tornet.tornet import Control
    with Control(os.path.join(daemon.runtime, 'tor', 'control'),
                 os.path.join(daemon.runtime, 'tor', 'cookie')) as control:
        lines = control.command('GETINFO circuit-status')
    return set(re.findall(r'SOCKS_USERNAME="(\w+)"', '\n'.join(lines)))


def test_through_tor_it_reaches_an_onion_and_circuits_are_kept_apart(make_daemon, tornet, onion_of,
                                                                     receiver):
    daemon = make_daemon(['--tor', 'managed', '--torrc', tornet.torrc_file]).start()
    host = onion_of(receiver.port)
    for name in 'one', 'two':
        daemon.json('create', 'receive', name, '--min-free', '0', '--public', '--webhook-url',
                    f'http://{host}/hook')
        daemon.json('start', name, timeout=180)
    for name in 'one', 'two':
        service = daemon.show(name)

        # The first tries may fail: an onion needs a while to be found, and tor remembers.
        def told():
            submit_by_tor(service, tornet.clients[1])
            return bool(receiver.received)
        until(told, f'{name} is reported: {webhook(daemon, name)}', 180, step=10)
        until(lambda: webhook(daemon, name)['pending'] == 0, 'all are taken', 90)
        assert set(receiver.bodies) == {TEXT}
        assert {h['Host'] for _, h, _ in receiver.received} == {host}
        receiver.received.clear()
    assert len(credentials(daemon)) == 2
    # Down for a while, and the daemon killed meanwhile: told once when it is back.
    port = receiver.port
    receiver.close()
    submit_by_tor(service, tornet.clients[1])
    until(lambda: webhook(daemon, 'two')['last_error'], 'it fails', 120)
    daemon.kill()
    daemon.start()
    with Receiver(port) as back:
        # Its next try is due in a minute or two.
        until(lambda: webhook(daemon, 'two')['pending'] == 0, 'it is taken', 240, step=1)
        assert back.bodies == [TEXT]
    assert webhook(daemon, 'two')['last_error'] is None


def submit_by_tor(service, client):
    def attempt():
        done = subprocess.run(
            ['curl', '-sS', '-f', '-m', '45', *client.curl_args(f'{time.monotonic()}'),
             '-F', 'file[]=x;filename=a.txt', service['url'] + '/upload-ajax'],
            capture_output=True, timeout=60)
        if done.returncode:
            client.forget()
        return done.returncode == 0
    until(attempt, f'{service["url"]} takes a submission', 120, step=0.5)


def test_through_tor_nothing_goes_to_this_machine(make_daemon, tornet, receiver):
    daemon = make_daemon(['--tor', 'managed', '--torrc', tornet.torrc_file]).start()
    for url in receiver.url, 'http://localhost/', 'http://[::1]/', 'http://printer.local/':
        result = daemon.ctl('--json', 'create', 'receive', 'box', '--webhook-url', url)
        shapes.is_error(result, 'InvalidValue', 2)
    assert not receiver.received
