# SPDX-License-Identifier: GPL-3.0-or-later
"""Submissions in pieces, as a script sends them (docs/upload.md)."""
import json
import os
import random
import shutil
import subprocess

import pytest

from lib.dropbox import BOUNDARY, dropbox, form
from lib.http import Connection, fetch
from lib.waiting import until

FORM = {'Content-Type': f'multipart/form-data; boundary={BOUNDARY}'}
PATIENT = 60
RECIPIENT = 'age1hjt9pj3sf557lu7ymacxwv4rl0vsegddugagdywgtn0vr3guxueqvz6pew'


def receive(daemon, *options):
    return dropbox(daemon, 'box', *options)['backend']


def body_of(name, data, text=None):
    return form(('file[]', name, data), *([] if text is None else [('text', None, text)]))


def ask(backend, method, target, headers=(), body=None):
    with Connection(backend, timeout=PATIENT) as c:
        return c.request(method, target, headers, body)


def create(backend, **more):
    r = ask(backend, 'POST', '/upload-ajax', {**FORM, 'Upload-Complete': '?0', **more}, b'')
    assert r.status == 201 and r['upload-offset'] == '0' and r['upload-complete'] == '?0'
    return r['location']


def piece(backend, path, offset, body, last=False):
    return ask(backend, 'PATCH', path, {
        'Content-Type': 'application/partial-upload', 'Upload-Offset': offset,
        'Upload-Complete': '?1' if last else '?0'}, body)


def offset(backend, path):
    r = ask(backend, 'HEAD', path)
    assert r.status == 204
    return int(r['upload-offset'])


def break_off(backend, path, at, body, sent):
    """A piece whose connection ends when so many bytes of it were sent."""
    with Connection(backend, timeout=PATIENT) as c:
        c.send(f'PATCH {path} HTTP/1.1\r\nHost: {c.host}\r\nUpload-Offset: {at}\r\n'
               'Content-Type: application/partial-upload\r\nUpload-Complete: ?1\r\n'
               f'Content-Length: {len(body)}\r\n\r\n'.encode())
        c.send(body[:sent])


def everything_below(folder):
    """(path, bytes) of each file; sockets are none."""
    for where, _, names in os.walk(folder):
        for path in (os.path.join(where, name) for name in names):
            if os.path.isfile(path):
                with open(path, 'rb') as f:
                    yield path, f.read()


def files_of(daemon):
    entry, = daemon.json('inbox', 'list', 'box')
    return {f['name']: f['size'] for f in entry['files']}, entry['path']


def test_connections_that_break_again_and_again(daemon):
    data = os.urandom(30 << 20)
    body = body_of('big.bin', data, b'the message')
    backend = receive(daemon)
    path = create(backend, **{'Upload-Length': len(body)})
    dice, at, broken = random.Random(7), 0, 0
    while broken < 25:
        break_off(backend, path, at, body[at:], dice.randrange(1 << 20))
        now = offset(backend, path)
        assert at <= now < len(body)
        at, broken = now, broken + 1
    assert at > 1 << 20, 'what was sent before is not lost'
    assert daemon.json('inbox', 'list', 'box') == []
    r = piece(backend, path, at, body[at:], last=True)
    assert json.loads(r.body) == {'info_flashes': ['Message submitted, uploaded big.bin']}
    # The answer comes again, and the submission does not.
    again = piece(backend, path, at, body[at:], last=True)
    assert (again.status, again.body) == (200, r.body)
    files, folder = files_of(daemon)
    assert files == {'big.bin': len(data)}
    with open(os.path.join(folder, 'big.bin'), 'rb') as f:
        assert f.read() == data
    with open(folder + '-message.txt', 'rb') as f:
        assert f.read() == b'the message'


def test_with_curl_as_documented(daemon):
    if not shutil.which('curl'):
        pytest.skip('no curl')
    backend = receive(daemon)
    address = 'http://' + backend.removeprefix('tcp:')
    body = body_of('a.txt', b'x' * 100_000)

    def curl(*args, stdin=b''):
        return subprocess.run(['curl', '-sS', '-i', *args], input=stdin, capture_output=True,
                              check=True, timeout=PATIENT).stdout.decode()

    said = curl('-X', 'POST', '-H', f'Content-Type: {FORM["Content-Type"]}', '-H',
                'Upload-Complete: ?0', '-H', 'Content-Length: 0', address + '/upload-ajax')
    path, = [line.split()[1] for line in said.splitlines() if line.startswith('Location: ')]
    for at, end, last in ((0, 60_000, 0), (60_000, len(body), 1)):
        said = curl('-X', 'PATCH', '-H', 'Content-Type: application/partial-upload',
                    '-H', f'Upload-Offset: {at}', '-H', f'Upload-Complete: ?{last}',
                    '--data-binary', '@-', address + path, stdin=body[at:end])
        assert (' 204 ' in said.splitlines()[0]) == (not last)
        assert f'Upload-Offset: {end}' in curl('-I', address + path)
    assert said.endswith('{"info_flashes":["Uploaded a.txt"]}')
    assert files_of(daemon)[0] == {'a.txt': 100_000}


def test_a_restart_forgets_what_was_not_finished(daemon):
    backend = receive(daemon)
    body = body_of('a.bin', os.urandom(3 << 20))
    path = create(backend)
    assert piece(backend, path, 0, body[:2 << 20]).status == 204
    store = os.path.join(daemon.state, 'receive', 'box')
    until(lambda: any(len(data) > 1 << 20 for _, data in everything_below(store)), 'it is staged')
    daemon.kill()
    daemon.start()
    daemon.until_state('box', 'running')
    assert ask(backend, 'HEAD', path).status == 404
    assert piece(backend, path, 2 << 20, body[2 << 20:], last=True).status == 404
    assert list(everything_below(store)) == []


def test_a_stop_does_not_wait_for_what_waits_itself(daemon):
    backend = receive(daemon)
    path = create(backend)
    assert piece(backend, path, 0, body_of('a', b'x' * 1000)[:500]).status == 204
    assert daemon.show('box')['transfers']['active'] == 1
    daemon.json('stop', 'box', timeout=30)  # the drain time is longer
    assert daemon.json('inbox', 'list', 'box') == []
    assert list(everything_below(os.path.join(daemon.state, 'receive', 'box'))) == []


def test_what_is_to_be_sealed_never_waits_in_plain(daemon):
    canary = b'canary that must not be seen ' * 40
    backend = receive(daemon, '--encrypt-to', RECIPIENT)
    body = body_of('canary-name.txt', canary * 2000, b'canary that must not be seen')
    path = create(backend)
    for at in range(0, len(body), 300_000):
        r = piece(backend, path, at, body[at:at + 300_000], last=at + 300_000 >= len(body))
        for folder in (daemon.state, daemon.runtime):
            for name, data in everything_below(folder):
                assert b'canary' not in name.encode() + data, name
    assert json.loads(r.body) == {'info_flashes': ['Message submitted, uploaded canary-name.txt']}
    entry, = daemon.json('inbox', 'list', 'box')
    assert entry['encrypted'] and entry['path'].endswith('.zip.age')


def test_limits_hold_for_pieces_too(daemon):
    backend = receive(daemon, '--max-submission', '1M', '--disable-text')
    body = body_of('a.bin', bytes(2 << 20))
    assert ask(backend, 'POST', '/upload-ajax', {**FORM, 'Upload-Complete': '?0',
               'Upload-Length': len(body)}, b'').status == 413
    path = create(backend)
    assert piece(backend, path, 0, body[:700_000]).status == 204
    r = piece(backend, path, 700_000, body[700_000:1_090_000])
    assert r.status == 413 and 'error_flashes' in json.loads(r.body)
    assert ask(backend, 'HEAD', path).status == 413
    path = create(backend)
    r = piece(backend, path, 0, body_of('a', b'', b'a message'), last=True)
    assert (r.status, json.loads(r.body)) == (403, {'error_flashes': ['Messages are not allowed']})
    until(lambda: daemon.show('box')['transfers']['active'] == 0, 'they are over')
    assert daemon.json('inbox', 'list', 'box') == []


def test_so_many_and_no_more(daemon):
    backend = receive(daemon)
    paths = [create(backend) for _ in range(64)]
    assert len(set(paths)) == 64
    r = ask(backend, 'POST', '/upload-ajax', {**FORM, 'Upload-Complete': '?0'}, b'')
    assert r.status == 503 and int(r['retry-after']) > 0 and 'error_flashes' in json.loads(r.body)
    # Others are served, and one that is cancelled makes room.
    r = ask(backend, 'POST', '/upload-ajax', FORM, body_of('a', b'x'))
    assert r.status == 200
    assert ask(backend, 'DELETE', paths[3]).status == 204
    create(backend)
    assert fetch(backend, '/').status == 200
