# SPDX-License-Identifier: GPL-3.0-or-later
"""Chat: a room for members with and without JavaScript, of which nothing is left."""
import contextlib
import json
import os
import re
import shutil
import socket
import sqlite3
import threading
import time

import pytest

from lib import http
from lib.chat import Gone, Member, Plain, handshake, post
from lib.waiting import TooLate, until

CANARY = 'Kanarienvogel-7f3a9c1e'


def room(daemon, *options, name='talk'):
    daemon.json('create', 'chat', name, *options)
    return daemon.json('start', name)['backend']


@pytest.fixture
def backend(daemon):
    return room(daemon)


# --- pages ---

def test_the_pages(daemon):
    backend = room(daemon, '--title', 'Our <room>')
    page = http.fetch(backend)
    assert page.status == 200 and page['Content-Type'] == 'text/html; charset=utf-8'
    assert page['Cache-Control'] == 'no-store'
    assert b'Our &lt;room&gt;' in page.body and b'Our <room>' not in page.body
    text = page.body.decode()
    noscript = text[text.index('<noscript>'):text.index('</noscript>')]
    assert 'href="/plain"' in noscript
    assert not re.search(r'<script>|style=|\son\w+=', text)
    size = len(page.body)
    for path in re.findall(r'(?:href|src)="(/static[^"]+)"', text):
        asset = http.fetch(backend, path)
        assert asset.status == 200
        size += len(asset.body)
    assert size < 20 * 1024
    plain = http.fetch(backend, '/plain')
    assert plain.status == 200 and b'<iframe' in plain.body
    for r in page, plain, http.fetch(backend, '/nowhere'):
        assert r['X-Frame-Options'] == 'DENY' and "frame-ancestors 'none'" in \
            r['Content-Security-Policy']
    assert http.fetch(backend, '/', method='HEAD').body == b''
    for path, method, allow in (('/', 'POST', 'GET, HEAD'), ('/plain', 'DELETE', 'GET, HEAD'),
                                ('/plain/room', 'HEAD', 'GET'), ('/plain/say', 'GET', 'POST')):
        r = http.fetch(backend, path, method=method)
        assert (r.status, r['Allow']) == (405, allow), path
    assert http.fetch(backend, '/ws').status == 426


# --- who is there, and what is said ---

def test_the_order_of_things_for_a_newcomer(backend):
    with Member(backend) as a:
        assert a.welcome == {'type': 'welcome', 'name': a.name, 'users': [a.name]}
        assert re.fullmatch('[a-z]+-[a-z]+', a.name)
        a.say('before')
        a.until('message')
        with Member(backend) as b:
            assert b.users == [a.name, b.name]
            assert a.receive() == {'type': 'joined', 'name': b.name}
            b.say('hi')
            for m in a, b:
                assert m.receive() == {'type': 'message', 'name': b.name, 'text': 'hi'}
            b.rename('Bea 2')
            for m in a, b:
                assert m.receive() == {'type': 'renamed', 'old': b.name, 'name': 'Bea 2'}
        assert a.receive() == {'type': 'left', 'name': 'Bea 2'}
        assert a.quiet() is None


def test_what_is_for_one_alone_comes_where_it_belongs(backend):
    with Member(backend) as a, Member(backend) as b:
        a.until('joined')
        a.c.send(b''.join(a.frame(1, raw) for raw in (
            b'{"type": "message", "text": "1"}', b'nonsense', b'{"type": "message", "text": "2"}',
            b'{"type": "message", "text": "3"}', b'[]', b'{"type": "rename", "name": "Ann"}')))
        heard = [a.receive() for _ in range(6)]
        assert [m['type'] for m in heard] == ['message', 'error', 'message', 'message', 'error',
                                              'renamed']
        assert [m.get('text') for m in heard if m['type'] == 'message'] == ['1', '2', '3']
        assert [b.receive() for _ in range(4)] == [m for m in heard if m['type'] != 'error']


def test_texts_arrive_as_they_were_written(backend):
    texts = ['x' * 16384, 'ü' * 8192, '\u202eevil\u202c', '👩\u200d👧', '<b>&amp;</b>', ' a \n\tb ',
             '\x07\x1b[31m', '\\u0041 "quoted"', '\ufeff\u3164']
    with Member(backend) as a, Member(backend) as b:
        for text in texts:
            a.say(text)
            assert b.until('message')['text'] == text
            assert a.until('message')['text'] == text


def test_what_is_too_long_or_empty_is_refused_and_the_connection_kept(backend):
    with Member(backend) as a, Member(backend) as b:
        a.until('joined')
        for text in ('x' * 16385, 'ü' * 8193, ''):
            a.say(text)
            assert a.receive()['type'] == 'error'
        a.say('still here')
        assert b.receive()['text'] == 'still here'


def test_a_message_beyond_all_bounds_ends_its_connection(backend):
    with Member(backend) as a, Member(backend) as b:
        a.until('joined')
        b.send_raw(json.dumps({'type': 'message', 'text': 'x' * 65536}))
        with pytest.raises(Gone) as gone:
            b.until('message')
        assert gone.value.args[0] == 1009
        assert a.receive() == {'type': 'left', 'name': b.name}


def test_the_bounds_are_exact(backend):
    with Member(backend) as a:
        order = {'type': 'message', 'text': 'y', 'more': ''}
        order['more'] = 'x' * (65536 - len(json.dumps(order)))
        a.send(**order)
        assert a.receive() == {'type': 'message', 'name': a.name, 'text': 'y'}
        order['more'] += 'x'
        a.send(**order)
        with pytest.raises(Gone) as gone:
            a.receive()
        assert gone.value.args[0] == 1009


def test_names_that_are_names(backend):
    with Member(backend) as a, Member(backend) as b:
        for name in ('x', 'x' * 64, 'A b_C-9 z', '-', '_', '7', 'bob', 'BOB'):
            a.called(name)
            assert b.until('renamed')['name'] == name
        a.rename('BOB')
        assert a.receive()['type'] == 'error'
        # What nobody is called any more is free.
        b.called('x').called('bea')
        a.say('me')
        assert b.receive() == {'type': 'message', 'name': 'BOB', 'text': 'me'}


def test_what_is_said_with_the_handshake_comes_behind_the_welcome(backend):
    with Member(backend) as a, http.Connection(backend) as c:
        c.send(handshake(c.host) + a.frame(1, b'{"type":"message","text":"early"}'))
        joined = a.receive()
        assert joined['type'] == 'joined'
        assert a.receive() == {'type': 'message', 'name': joined['name'], 'text': 'early'}
        assert c.read_response().status == 101
        first, size = c.read_exactly(2)
        assert first == 0x81 and json.loads(c.read_exactly(size))['type'] == 'welcome'


NOT_NAMES = ['bob ', ' bob', 'bo  b', 'bob\u200b', 'bob\u200d', 'b\u3164ob', 'b\u043eb', 'bo\u0301b',
             'bob\n', 'b\x1bob', 'b\x00ob', '\u202ebob', '\uff42ob', 'bob.', '', ' ', 'x' * 65,
             'x' * 60000, 'b\u00a0ob', 'böb', '<b>']


def test_nobody_can_be_taken_for_somebody_else(backend):
    with Member(backend) as a, Member(backend) as b, Plain(backend) as p:
        a.called('bob')
        b.until('renamed')
        for name in [*NOT_NAMES, 'bob', 'BOB', 'Bob', 'b0b', 'B0B']:
            time.sleep(0.1)  # as fast as one may be for long
            b.rename(name)
            assert b.receive()['type'] == 'error', name
            if '\x00' not in name:
                assert p.post(name=name).status == 204
        a.say('it is me')
        assert b.receive() == {'type': 'message', 'name': 'bob', 'text': 'it is me'}
        p.until('it is me')
        assert [n for n, _ in p.heard()] == ['bob']
        assert 'is now called <b>bob' in p.text and p.text.count('is now called') == 1
        b.send_raw(json.dumps({'type': 'rename', 'name': 'x' * (1 << 20)}))
        with pytest.raises(Gone) as gone:
            b.receive()
        assert gone.value.args[0] == 1009


@pytest.mark.parametrize('message', [
    {'type': 'left', 'name': 'bob'}, {'type': 'joined', 'name': 'eve'},
    {'type': 'welcome', 'name': 'bob', 'users': []}, {'type': 'leave'}, {'type': 'join'}, {'type': 'disconnect'},
    {'type': 'renamed', 'old': 'bob', 'name': 'eve'}, {'type': 'error', 'text': 'x'},
    {'type': 'message', 'text': 5}, {'type': 'message', 'text': None}, {'type': 'message'},
    {'type': 'rename', 'name': ['x']}, {'type': 5}, {}, [], 'message', None])
def test_what_is_not_ones_own_to_say_does_nothing(backend, message):
    with Member(backend) as a, Member(backend) as b:
        a.called('bob')
        b.until('renamed')
        b.send_raw(json.dumps(message))
        assert b.receive()['type'] == 'error'
        b.send(type='message', text='x', name='bob', sender='bob', user='bob')
        for m in a, b:
            assert m.until('message')['name'] == b.name
        with Member(backend) as c:
            assert c.users == ['bob', b.name, c.name]


@pytest.mark.parametrize('raw', ['{', 'nonsense', '', '{"type":"message","text":"a","text":"b"}',
                                 '{"type":"message","text":"\\ud800"}', '[' * 3000])
def test_broken_json_keeps_the_connection(backend, raw):
    with Member(backend) as a:
        a.send_raw(raw)
        assert a.receive()['type'] == 'error'
        a.say('x')
        assert a.receive()['type'] == 'message'


def test_a_foreign_page_cannot_enter(backend):
    host = backend.removeprefix('tcp:')
    for origin in ('http://evil.example', 'null', f'https://{host}', 'http://127.0.0.1:1',
                   f'http://{host}/', f'http://{host}.', f'http://x@{host}', '',
                   'http://' + 'a' * 56 + '.onion'):
        assert Member(backend, {'Origin': origin}).response.status == 403
    with Member(backend) as a, http.Connection(backend) as evil:
        evil.send(handshake(evil.host, {'Origin': 'http://evil.example'})
                  + a.frame(1, b'{"type":"message","text":"from another page"}'))
        assert evil.read_response().status == 403
        assert a.quiet() is None
    with Member(backend, {'Origin': f'http://{host}'}) as a:
        assert a.users == [a.name]
    cross = {'Sec-Fetch-Site': 'cross-site'}
    assert http.fetch(backend, '/plain/room', cross).status == 403
    with Plain(backend) as p:
        assert p.post(cross, text='x').status == 403
        assert p.post({'Origin': 'http://evil.example'}, text='x').status == 403
        assert p.post({'Origin': 'null', 'Sec-Fetch-Site': 'same-origin'}, text='x').status == 204


def test_a_full_room(daemon):
    backend = room(daemon, '--max-users', '2')
    with Member(backend) as a, Plain(backend):
        a.until('joined')
        with Member(backend, greet=False) as c:
            assert c.receive()['type'] == 'error'
            with pytest.raises(Gone) as gone:
                c.receive()
            assert gone.value.args[0] == 1013
        full = http.fetch(backend, '/plain/room')
        assert full.status == 503 and full['X-Frame-Options'] == 'DENY'
        assert http.fetch(backend).status == 200
    until(lambda: Member(backend).users, 'there is room again')


@pytest.mark.parametrize('options, taken', [((), True), (('--max-connections', '3'), False)])
def test_a_full_room_still_has_pages(daemon, options, taken):
    """Connections that bring pages are not taken away by those that keep people in the room."""
    backend = room(daemon, '--max-users', '1000', *options)
    people = [http.Connection(backend) for _ in range(1000 if taken else 3)]
    try:
        for c in people:
            c.send(handshake(c.host))
        assert all(c.read_response().status == 101 for c in people)
        assert http.fetch(backend).status == (200 if taken else 503)
        if taken:
            with Member(backend, greet=False) as late:
                assert late.receive()['text'].startswith('The room is full')
    finally:
        for c in people:
            c.close()


# --- without JavaScript ---

def test_a_stream_is_a_member_and_its_form_speaks_for_it(backend):
    a = Member(backend)
    with Plain(backend) as p:
        assert p.response['X-Frame-Options'] == 'SAMEORIGIN'
        assert p.response['Content-Security-Policy'] == (
            "default-src 'self'; frame-ancestors 'self'; form-action 'self'; base-uri 'self'; "
            "img-src 'self' data:;")
        assert a.receive() == {'type': 'joined', 'name': p.name}
        a.say('<script>"x"</script>')
        p.until('&lt;script&gt;&quot;x&quot;&lt;/script&gt;')
        forms = p.text.count('<section>')
        said = p.post(text='grüße <b>')
        assert said.status == 204 and said['X-Frame-Options'] == 'DENY'
        assert a.until('message', name=p.name)['text'] == 'grüße <b>'
        p.until('<p class="msg own"')
        while p.text.count('<section>') == forms:  # an empty form comes
            assert p.more()
        assert p.post(name='zoe').status == 204
        assert a.receive() == {'type': 'renamed', 'old': p.name, 'name': 'zoe'}
        p.until('is now called <b>zoe</b>')
        # What is wrong is told in the stream, and what was typed stays where it is.
        forms = p.text.count('<section>')
        assert p.post(text='x' * 16385).status == 204
        p.until('too long')
        assert p.text.count('<section>') == forms
        secret = p.secret
    # It has hung up, and is gone without anything being written to it.
    assert a.receive() == {'type': 'left', 'name': 'zoe'}
    assert post(backend, {'secret': secret, 'text': 'x'}).status == 403
    a.close()


def test_forms_that_are_not_right(backend):
    with Plain(backend) as p, Member(backend) as a:
        assert p.post(secret='a' * 26, text='x').status == 403
        assert post(backend, {'text': 'x'}).status == 400
        assert p.post(text='x', name='y').status == 400
        assert p.post(other='x').status == 400
        assert p.post(text=b'x\xff').status == 204
        p.until('not text')
        assert p.post(text='x' * 70000).status == 413
        with http.Connection(backend) as c:
            assert c.request('POST', '/plain/say', {
                'Content-Type': 'application/x-www-form-urlencoded'},
                b'secret=x&text=y').status == 400
        with http.Connection(backend) as c:
            assert c.request('POST', '/plain/say', {
                'Content-Type': 'multipart/form-data; boundary=x'}, b'--y\r\n').status == 400
        assert a.quiet() is None


def test_secrets_are_each_ones_own(backend):
    with Plain(backend) as p, Plain(backend) as q:
        assert p.secret != q.secret and len(p.secret) == 26
        q.post(text='from q')
        p.until('from q')
        assert p.heard() == [(q.name, 'from q')]


# --- too much, too slow ---

def test_a_burst_is_fine(backend):
    with Member(backend) as a, Member(backend) as b:
        for i in range(20):
            a.say(str(i))
        assert [b.until('message')['text'] for _ in range(20)] == [str(i) for i in range(20)]


def test_what_all_say_at_once_is_heard_by_all_in_one_order(backend):
    """More than anybody's backlog, before anybody reads."""
    with contextlib.ExitStack() as there:
        members = [there.enter_context(Member(backend)) for _ in range(30)]
        for m in members:
            m.c.send(b''.join(m.frame(1, json.dumps({'type': 'message', 'text': str(i)}).encode())
                              for i in range(20)))
        heard = [[m.until('message') for _ in range(600)] for m in members]
    assert all(other == heard[0] for other in heard)
    for m in members:
        assert [e['text'] for e in heard[0] if e['name'] == m.name] == [str(i) for i in range(20)]


def test_a_flooder_slows_only_himself(backend):
    with Member(backend) as flooder, Member(backend) as a, Member(backend) as b:
        b.called('bea')
        for i in range(500):
            flooder.say(f'flood {i}')
        start = time.monotonic()
        a.say('calm')
        before = 0
        while True:
            m = b.until('message')
            if m['text'] == 'calm':
                break
            before += 1
        assert before < 100 and time.monotonic() - start < 10
        # None is lost, and all in order.
        got = [b.until('message')['text'] for _ in range(60 - before)]
        assert got == [f'flood {i}' for i in range(before, 60)]


def test_who_never_reads_is_dropped_and_the_others_notice_nothing(backend):
    deaf, deaf_plain = Member(backend), Plain(backend)
    for m in deaf, deaf_plain:
        m.c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    gone = set()
    with Member(backend) as reader:
        for _ in range(100):  # a kernel takes some MiB before a peer is seen not to read
            with Member(backend) as sender:
                for _ in range(18):
                    sender.say('x' * 16000)
                for _ in range(18):
                    sender.until('message')
            while True:
                m = reader.receive()
                if m['type'] == 'left':
                    gone.add(m['name'])
                    if m['name'] == sender.name:
                        break
            if {deaf.name, deaf_plain.name} <= gone:
                break
    assert {deaf.name, deaf_plain.name} <= gone
    deaf.close()
    deaf_plain.close()


# --- the end ---

@pytest.mark.parametrize('now', [[], ['--now']], ids=['in peace', 'now'])
def test_a_room_that_stops_says_so(daemon, now):
    backend = room(daemon)
    with Member(backend) as a, Plain(backend) as p:
        a.until('joined')
        start = time.monotonic()
        assert daemon.ctl('stop', *now, 'talk').status == 0
        assert time.monotonic() - start < 30
        with pytest.raises(Gone) as gone:
            a.receive()
        assert gone.value.args[0] == 1001
        if not now:
            p.until('The room was closed.')
            p.until('</html>')
    daemon.json('start', 'talk')
    with Member(backend) as a:
        assert a.users == [a.name]


def test_a_room_that_is_open_when_the_daemon_ends(daemon):
    backend = room(daemon)
    with Member(backend) as a, Plain(backend):
        a.until('joined')
        assert daemon.stop() == 0
        with pytest.raises(Gone):
            a.receive()


# --- what the admin sees ---

def test_watchers_learn_how_many_and_nothing_else(daemon):
    ctl = daemon.ctl_spawn('--json', 'chat', '--title', 'T')
    events, seen = [], threading.Event()

    def read():
        for line in ctl.stdout:
            events.append(json.loads(line))
            seen.set()
    threading.Thread(target=read, daemon=True).start()
    service = until(lambda: [s for s in daemon.json('list') if s['state'] == 'running'],
                    'it runs')[0]
    assert service['mode'] == 'chat' and service['ephemeral']
    with Member(service['backend']) as a, Member(service['backend']):
        def members(n):
            return any(e['event'] == 'members' and e['members'] == n for e in events)
        until(lambda: members(2), 'two are seen')
        a.say(CANARY)
        a.until('message')
    until(lambda: members(0), 'none is seen')
    assert all(set(e) == {'event', 'name', 'members'} for e in events if e['event'] == 'members')
    assert CANARY not in json.dumps(events) and a.name not in json.dumps(events)
    ctl.send_signal(2)
    assert ctl.wait(30) == 130
    assert daemon.json('list') == []


def test_people_coming_and_going_are_shown_where_the_room_was_opened(daemon):
    ctl = daemon.ctl_spawn('chat')
    shown = []

    def read():
        for line in ctl.stderr:
            shown.append(line.decode())
    threading.Thread(target=read, daemon=True).start()

    def is_shown(text):
        until(lambda: any(line.endswith(f'  {text}\n') for line in shown), f'{text}: {shown}')
    service = until(lambda: [s for s in daemon.json('list') if s['state'] == 'running'],
                    'it runs')[0]
    with Member(service['backend']) as a:
        is_shown('1 person is in the room')
        with Plain(service['backend']):
            is_shown('2 people are in the room')
            a.say(CANARY)
            a.until('message')
        is_shown('1 person is in the room')
    is_shown('0 people are in the room')
    ctl.send_signal(2)
    assert ctl.wait(30) == 130
    assert CANARY not in ''.join(shown)


def test_options(daemon):
    for bad in ('0', '10001', 'x'):
        assert daemon.ctl('create', 'chat', 'talk', '--max-users', bad).status in (1, 2)
    assert daemon.ctl('create', 'chat', 'talk', '/etc').status == 2
    daemon.json('create', 'chat', 'talk', '--max_users', '7')
    assert daemon.show('talk')['options']['max_users'] == 7
    assert daemon.json('edit', 'talk', '--unset', 'max-users')['options']['max_users'] == 1000
    with daemon.varlink() as v:
        with pytest.raises(Exception):
            v.call('Create', mode='chat', name='more', paths=['/etc'])


# --- nothing is left ---

def whole_session(backend):
    """Messages, names, refused ones, broken ones, forms and renames, all with the canary."""
    with Member(backend) as a, Member(backend) as b, Plain(backend) as p:
        a.say(CANARY)
        b.until('message')
        b.say(f'"{CANARY}" ' * 300)
        a.until('message', name=b.name)
        a.send_raw('{"type":"message","text":"' + CANARY)
        a.send_raw(json.dumps({'type': 'message', 'text': CANARY, 'more': {CANARY: CANARY}}))
        a.say(CANARY * 1000)
        a.until('error')
        assert p.post(text=CANARY).status == 204
        assert p.post(secret='a' * 26, text=CANARY).status == 403
        assert p.post(text=CANARY * 5000).status == 413
        b.until('message', name=p.name)
        a.rename('a new name')
        b.until('renamed')
        p.until('is now called')
        http.raw(backend, b'POST /plain/say HTTP/1.1\r\nHost: ' + backend[4:].encode()
                 + b'\r\nContent-Length: 1000\r\nContent-Type: multipart/form-data; boundary=x\r\n'
                 b'\r\n--x\r\nContent-Disposition: form-data; name="text"\r\n\r\n'
                 + CANARY.encode(), shut=True)


@pytest.mark.skipif(not shutil.which('strace'), reason='strace is not installed')
def test_no_message_is_written_anywhere_but_to_visitors(make_daemon, tmp_path):
    trace = tmp_path / 'trace'
    daemon = make_daemon(wrapper=['strace', '-f', '-yy', '-s', '100000', '-o', str(trace)], env={
        'ASAN_OPTIONS': 'detect_leaks=0:exitcode=99'}).start()
    whole_session(room(daemon))
    daemon.json('stop', 'talk')
    daemon.stop()
    lines = [line for line in trace.read_text(errors='replace').splitlines() if CANARY in line]
    # What is called, and with what: a visitor's connection (not named where a read goes on).
    calls = {re.sub(r'^\d+\s+(?:<\.\.\. )?(\w+)(?:\(\d+<(TCP):\[[^>]*>)?.*', r'\1 \2', line)
             for line in lines}
    assert 'sendto TCP' in calls and calls <= {
        'sendto TCP', 'sendmsg TCP', 'recvfrom TCP', 'recvfrom '}, calls


def memory_has(pid, needle):
    """Where in a process's memory the bytes are."""
    found = []
    with open(f'/proc/{pid}/maps') as maps, open(f'/proc/{pid}/mem', 'rb') as mem:
        for line in maps:
            span, access, *_, name = (line.rstrip('\n') + ' ').split(' ', 5)
            start, end = (int(x, 16) for x in span.split('-'))
            if 'r' not in access or '[v' in name or end - start > 1 << 31:
                continue
            try:
                mem.seek(start)
                at = mem.read(end - start).find(needle)
            except (OSError, ValueError, OverflowError):
                continue
            if at >= 0:
                found.append((hex(start + at), access, name.strip()))
    return found


only_root = pytest.mark.skipif(os.geteuid() != 0, reason='only root may look into the daemon')


def forgotten(pid, *needles):
    """Within seconds: what was asked for last may still be on its way out of the daemon."""
    for needle in needles:
        try:
            until(lambda n=needle: not memory_has(pid, n.encode()), 'it is forgotten', 5)
        except TooLate:
            assert not memory_has(pid, needle.encode()), needle


@only_root
def test_no_message_stays_in_memory(daemon):
    backend = room(daemon)
    # It would be found.
    daemon.json('create', 'chat', 'other', '--title', 'Zaunkoenig-55')
    assert memory_has(daemon.pid, b'Zaunkoenig-55')
    with Member(backend) as a, Plain(backend) as p:
        whole_session(backend)
        a.say('the end')
        p.until('the end')
        forgotten(daemon.pid, CANARY)  # while the room goes on
        # In pieces, and never finished.
        with Member(backend) as b:
            frame = b.frame(1, json.dumps({'type': 'message', 'text': CANARY * 50}).encode())
            for i in range(0, len(frame), 200):
                b.c.send(frame[i:i + 200])
            a.until('message', name=b.name)
            b.c.send(frame[:-1])
        a.until('left', name=b.name)
        a.say('the end again')
        p.until('the end again')
        forgotten(daemon.pid, CANARY)
    whole_session(backend)
    daemon.json('stop', 'talk')
    forgotten(daemon.pid, CANARY)


@only_root
def test_no_name_stays_in_memory_when_its_owner_has_left(daemon):
    backend = room(daemon)
    names = ['Zaunkoenig who came by socket', 'Gimpel who came by stream', 'Stieglitz before']
    with Member(backend) as stays, Plain(backend) as p:
        with Member(backend) as a, Plain(backend) as b:
            a.called(names[2])
            a.called(names[0])
            assert b.post(name=names[1]).status == 204
            a.until('renamed', name=names[1])
            a.say('hello')
            with Member(backend) as late:
                assert set(names[:2]) < set(late.users)
            p.until(names[1])
            secret = b.secret
            assert all(memory_has(daemon.pid, n.encode()) for n in names[:2])
        for n in names[:2]:
            stays.until('left')
        p.until(names[1] + ' has left')
        stays.say('they are gone')
        p.until('they are gone')
        forgotten(daemon.pid, *names, secret)


@only_root
def test_what_is_sent_to_a_room_in_vain_is_forgotten_too(daemon):
    backend = room(daemon)
    host = backend[4:].encode()
    form = (b'--x\r\nContent-Disposition: form-data; name="text"\r\n\r\n' + CANARY.encode() * 20
            + b'\r\n--x--\r\n')
    rest = (b'Content-Length: %d\r\nContent-Type: multipart/form-data; boundary=x\r\n\r\n'
            % len(form)) + form
    for head in (b'POST /plain/say HTTP/1.1\r\nHost: elsewhere.example\r\n',
                 b'POST /nowhere HTTP/1.1\r\nHost: ' + host + b'\r\n',
                 b'POST / HTTP/1.1\r\nHost: ' + host + b'\r\n',
                 b'POST /plain/say HTTP/1.1\r\nbad head : x\r\nHost: ' + host + b'\r\n',
                 b'POST /plain/say HTTP/1.1\r\nOrigin: http://a.example\r\nHost: ' + host + b'\r\n'):
        assert re.match(rb'HTTP/1.1 4', http.raw(backend, head + rest, shut=True))
    http.raw(backend, b'POST /plain/say HTTP/1.1\r\n' + CANARY.encode(), shut=True)
    forgotten(daemon.pid, CANARY)


def test_no_message_is_in_the_database_the_history_or_the_log(make_daemon):
    daemon = make_daemon(['--local-only', '--log-level', 'debug']).start()
    whole_session(room(daemon))
    daemon.json('stop', 'talk')
    shown = daemon.show('talk')
    assert shown['transfers'] == {'active': 0, 'completed': 0, 'bytes_in': 0, 'bytes_out': 0}
    history = daemon.json('history')
    assert {e['event'] for e in history} <= {'created', 'running', 'stopped', 'started'}, history
    daemon.stop()
    for folder, _, names in os.walk(daemon.state):
        for name in names:
            with open(os.path.join(folder, name), 'rb') as f:
                assert CANARY.encode() not in f.read(), name
    with sqlite3.connect(os.path.join(daemon.state, 'onionshared.db')) as db:
        assert CANARY not in '\n'.join(db.iterdump())
    assert CANARY not in daemon.log()
    daemon.process = None
