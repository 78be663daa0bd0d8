# SPDX-License-Identifier: GPL-3.0-or-later
"""Website mode over HTTP: live files, what is found and what is not, codings, ranges, policies."""
import gzip
import json
import os
import re
import subprocess
import threading

import pytest

from lib.http import Closed, Connection
from lib.varlink import VarlinkError
from lib.waiting import until
from lib.website import PROSE, ask, fill, grow_up, make

POLICY = ("default-src 'self'; frame-ancestors 'none'; form-action 'self'; base-uri 'self'; "
          "img-src 'self' data:;")


@pytest.fixture
def site(daemon):
    return fill(daemon)


@pytest.fixture
def url(daemon, site):
    return make(daemon, 'web', site)['backend']


# --- what is where ---

def test_pages_and_files_are_served(url):
    front = ask(url, '/')
    assert front.status == 200 and front.body == b'<h1>front</h1>\n'
    assert front['content-type'] == 'text/html; charset=utf-8'
    assert ask(url, '/index.html').body == front.body
    assert ask(url, '/style.css')['content-type'] == 'text/css; charset=utf-8'
    assert ask(url, '/picture.png')['content-type'] == 'image/png'
    assert ask(url, '/sub/').body == b'<h1>below</h1>\n'
    for name in ('content-length', 'etag', 'accept-ranges', 'cache-control'):
        assert front[name]
    for name in ('last-modified', 'date', 'content-disposition'):
        assert front.get(name) is None


def test_a_folder_without_its_slash_is_redirected_to_it(url):
    answer = ask(url, '/sub')
    assert answer.status == 301 and answer['location'] == '/sub/'
    assert ask(url, '/sub?a=b&c')['location'] == '/sub/?a=b&c'
    assert ask(url, '/files')['location'] == '/files/'
    # A file is no folder.
    assert ask(url, '/prose.txt/').status == 404


def test_a_redirect_stays_on_this_host(daemon):
    for name in ('evil.example', '@evil.example', 'a:b', '%2f', 'new\nline', 'ü', '?x', '#y'):
        os.makedirs(os.path.join(daemon.content, 'site', name, name))
    url = make(daemon, 'web', os.path.join(daemon.content, 'site'))['backend']
    for name in ('evil.example', '%40evil.example', 'a%3Ab', '%252f', 'new%0Aline', '%C3%BC',
                 '%3Fx', '%23y'):
        for path in (name, f'{name}/{name}'):
            answer = ask(url, '/' + path)
            assert answer.status == 301, path
            assert re.fullmatch(r'/[A-Za-z0-9%.~_-][A-Za-z0-9%.~_/-]*/', answer['location'])
    for target in ('//evil.example', '//evil.example/', '///evil.example/%2e%2e', '/\\evil.example',
                   '/%5Cevil.example', '/%2F/evil.example', '//evil.example/evil.example'):
        answer = ask(url, target)
        assert answer.status in (400, 404) and answer.get('location') is None, target


def test_a_folder_without_index_is_listed(url):
    answer = ask(url, '/files/')
    page = answer.body.decode()
    assert answer.status == 200 and answer['content-type'] == 'text/html; charset=utf-8'
    assert 'href="/files/one.txt"' in page and 'two.bin' in page and '4.0 B' in page
    assert 'hidden' not in page and 'All files' in page


def test_without_listing_such_a_folder_is_not_there(daemon, site):
    url = make(daemon, 'web', site, options=['--no-listing'])['backend']
    nothing = ask(url, '/nowhere').body
    for target in ('/files/', '/files'):
        answer = ask(url, target)
        assert answer.status == 404 and answer.body == nothing
    assert ask(url, '/files/one.txt').status == 200
    assert ask(url, '/sub').status == 301 and ask(url, '/').status == 200


def test_names_that_begin_with_a_dot_are_as_absent_as_what_is_not_there(daemon, site):
    url = make(daemon, 'web', site)['backend']
    nothing = ask(url, '/nowhere')
    for target in ('/.git/config', '/.git/', '/.git', '/files/.hidden', '/.nope', '/.git/nope',
                   '/%2egit/config', '/.well-known/x'):
        answer = ask(url, target)
        assert (answer.head, answer.body) == (nothing.head, nothing.body), target
    open_url = make(daemon, 'open', site, options=['--dotfiles'])['backend']
    assert ask(open_url, '/.git/config').body == b'[secret]\n'
    assert '.hidden' in ask(open_url, '/files/').body.decode()


def test_the_sites_own_page_for_what_is_missing(daemon, site):
    url = make(daemon, 'web', site)['backend']
    assert b'OnionShare: 404' in ask(url, '/nowhere').body
    daemon.file('site/404.html', b'<p>lost?</p>\n')
    for target in ('/nowhere', '/sub/nowhere', '/.git/config', '/prose.txt/'):
        answer = ask(url, target, 'Range: bytes=0-1', 'If-None-Match: *')
        assert answer.status == 404 and answer.body == b'<p>lost?</p>\n', target
        assert answer['content-type'] == 'text/html; charset=utf-8'
    head = ask(url, '/nowhere', method='HEAD')
    assert head.status == 404 and head['content-length'] == '13'
    assert ask(url, '/404.html').status == 200


# All that an answer has, in all its forms: nothing that tells one machine from another.
ALWAYS = {'content-security-policy', 'x-frame-options', 'x-content-type-options',
          'referrer-policy', 'x-xss-protection', 'server'}
FILE = {'content-type', 'content-length', 'etag', 'cache-control', 'accept-ranges'}


@pytest.mark.parametrize('target, headers, status, names', [
    ('/film.webm', [], 200, FILE),
    ('/prose.txt', [], 200, FILE | {'vary'}),
    ('/prose.txt', ['Accept-Encoding: gzip'], 200, FILE | {'vary', 'content-encoding'}),
    ('/prose.txt', ['Range: bytes=1-2'], 206, FILE | {'vary', 'content-range'}),
    ('/prose.txt', ['Range: bytes=99999999-'], 416,
     {'content-type', 'content-length', 'content-range', 'cache-control'}),
    ('/prose.txt', ['If-None-Match: *'], 304, {'etag', 'vary', 'cache-control'}),
    ('/prose.txt', ['If-Match: "x"'], 412, {'content-type', 'content-length', 'cache-control'}),
    ('/files/', [], 200, {'content-type', 'content-length', 'cache-control', 'vary'}),
    ('/files', [], 301, {'location', 'content-length', 'cache-control'}),
    ('/nowhere', [], 404, {'content-type', 'content-length', 'cache-control'}),
])
def test_an_answer_has_these_fields_and_no_others(url, target, headers, status, names):
    answer = ask(url, target, *headers)
    assert answer.status == status and set(answer.names()) == ALWAYS | names
    assert len(answer.names()) == len(set(answer.names()))
    assert answer['server'] == 'OnionShare'


def test_other_methods_are_refused(url):
    for method in ('POST', 'PUT', 'DELETE', 'OPTIONS'):
        answer = ask(url, '/', method=method)
        assert answer.status == 405 and answer['allow'] == 'GET, HEAD'


def test_several_paths_keep_their_names(daemon, site):
    other = daemon.file('elsewhere/index.html', b'<p>top</p>')
    twin = daemon.file('twin/site/x.txt', b'x')
    url = make(daemon, 'web', site, other, os.path.dirname(twin))['backend']
    assert ask(url, '/').body == b'<p>top</p>'
    assert ask(url, '/site/').body == b'<h1>front</h1>\n'
    assert ask(url, '/site').status == 301
    assert ask(url, '/site-1/x.txt').body == b'x'
    assert ask(url, '/style.css').status == 404 and ask(url, '/nowhere/x').status == 404
    listed = make(daemon, 'list', site, os.path.dirname(twin))['backend']
    page = ask(listed, '/').body.decode()
    assert 'href="/site/"' in page and 'href="/site-1/"' in page


def test_an_addition_stands_before_what_the_folder_has_of_that_name(daemon, site):
    url = make(daemon, 'web', site)['backend']
    index = daemon.file('new/index.html', b'<h1>added</h1>')
    files = os.path.dirname(daemon.file('new/files/three.txt', b'three\n'))
    daemon.json('add', 'web', index, files)
    assert ask(url, '/').body == ask(url, '/index.html').body == b'<h1>added</h1>'
    assert ask(url, '/files/three.txt').body == b'three\n'
    assert ask(url, '/files/one.txt').status == 404
    assert ask(url, '/sub/').body == b'<h1>below</h1>\n'
    daemon.json('remove', 'web', index)
    page = ask(url, '/files/').body.decode()
    assert 'three.txt' in page and 'one.txt' not in page
    daemon.json('remove', 'web', files)
    assert ask(url, '/').body == b'<h1>front</h1>\n'
    assert ask(url, '/files/one.txt').body == b'one\n'


def test_a_file_alone_has_its_name(daemon):
    url = make(daemon, 'web', daemon.file('page.html', b'<p>x</p>'))['backend']
    assert ask(url, '/page.html').body == b'<p>x</p>'
    assert 'href="/page.html"' in ask(url, '/').body.decode()


def test_any_bytes_in_a_name(daemon):
    for name in (b'\xff\xfe.txt', b'new\nline.txt', b'%41.txt', 'ü ☂.txt'.encode(), b"a'b&c<d>.txt",
                 b'x' * 255):
        with open(os.fsencode(daemon.content) + b'/' + name, 'wb') as f:
            f.write(b'here')
    url = make(daemon, 'web', daemon.content)['backend']
    links = re.findall(r'href="(/[^"]+)"><bdi>', ask(url, '/').body.decode())
    assert len(links) == 6
    for link in links:
        assert ask(url, link).body == b'here', link


# --- live ---

def test_an_edit_shows_on_the_next_request(daemon, site, url):
    path = os.path.join(site, 'page.html')
    for i in range(300):
        with open(path, 'w') as f:
            f.write(f'<p>{i:03d}</p>')
        assert ask(url, '/page.html').body == b'<p>%03d</p>' % i
    os.unlink(path)
    assert ask(url, '/page.html').status == 404
    daemon.file('site/new/deep/file.txt', b'new')
    assert ask(url, '/new/deep/file.txt').body == b'new'


def test_an_edit_that_keeps_size_and_time_is_noticed(site, url):
    path = os.path.join(site, 'prose.txt')
    before, times = ask(url, '/prose.txt'), os.stat(path)
    packed = ask(url, '/prose.txt', 'Accept-Encoding: gzip')
    assert ask(url, '/prose.txt', f'If-None-Match: {before["etag"]}').status == 304
    with open(path, 'r+b') as f:
        f.write(b'Something')
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    answer = ask(url, '/prose.txt', f'If-None-Match: {before["etag"]}')
    assert answer.status == 200 and answer.body.startswith(b'Something')
    again = ask(url, '/prose.txt', 'Accept-Encoding: gzip', f'If-None-Match: {packed["etag"]}')
    assert again.status == 200
    body = gzip.decompress(again.body) if again.get('content-encoding') else again.body
    assert body.startswith(b'Something')


def test_a_file_or_folder_that_is_replaced_is_another_at_once(daemon, site, url):
    assert ask(url, '/sub/').body == b'<h1>below</h1>\n'
    daemon.file('next/index.html', b'<h1>other</h1>\n')
    os.rename(os.path.join(site, 'sub'), os.path.join(daemon.content, 'old-sub'))
    os.rename(os.path.join(daemon.content, 'next'), os.path.join(site, 'sub'))
    assert ask(url, '/sub/').body == b'<h1>other</h1>\n'
    # The root itself, too.
    daemon.file('site2/index.html', b'<h1>second</h1>\n')
    for _ in range(50):
        assert ask(url, '/').body == b'<h1>front</h1>\n'
        os.rename(site, site + '-away')
        os.rename(os.path.join(daemon.content, 'site2'), site)
        assert ask(url, '/').body == b'<h1>second</h1>\n'
        os.rename(site, os.path.join(daemon.content, 'site2'))
        assert ask(url, '/').status == 503
        os.rename(site + '-away', site)


def test_a_site_that_is_missing_when_the_daemon_starts_fails_and_says_so(daemon, site, url):
    daemon.stop()
    os.rename(site, site + '-away')
    daemon.start()
    service = daemon.until_state('web', 'failed')
    assert site in service['reason'] and service['wanted']
    assert daemon.ctl('wait', 'web', '--for', 'running').status == 3
    os.rename(site + '-away', site)
    daemon.json('start', 'web')
    assert daemon.show('web')['backend'] == url and ask(url, '/').status == 200


def test_no_visitor_is_ever_shown_what_was_there_before(daemon, site, url):
    """Small files that are asked for all the time: replaced, or written in place."""
    path, over = os.path.join(site, 'hot.txt'), threading.Event()
    written, answered, faults = [0], [], []

    def write(n):
        if n % 2:
            with open(path + '.new', 'w') as f:
                f.write(f'{n:06d}\n' * 100)
            os.rename(path + '.new', path)
        else:
            with open(path, 'r+') as f:
                f.write(f'{n:06d}\n' * 100)
        written[0] = n

    def read():
        while not over.is_set() and not faults:
            try:
                read_on_one_connection()
            except (Closed, ConnectionError):
                pass  # cut: the file was written while it was sent

    def read_on_one_connection():
        with Connection(url) as c:
            while not over.is_set() and not faults:
                before = written[0]
                reply = c.request(target='/hot.txt', headers={'Accept-Encoding': 'gzip'})
                body = gzip.decompress(reply.body) if reply.get('content-encoding') else reply.body
                if reply.status != 200 or len(set(body.split())) != 1 or int(body[:6]) < before:
                    faults.append((before, reply, body[:20]))
                answered.append(int(body[:6]))
    write(1)
    readers = [threading.Thread(target=read) for _ in range(4)]
    for r in readers:
        r.start()
    for n in range(2, 1500):
        write(n)
    over.set()
    for r in readers:
        r.join()
    assert not faults, faults[0]
    assert len(set(answered)) > 20


def test_a_file_that_changes_while_it_is_sent_never_looks_complete(daemon, site, url):
    path = daemon.file('site/large.bin', os.urandom(40_000_000))
    with Connection(url) as c:
        c.send(b'GET /large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n')
        c.read_head()
        c.read_exactly(100_000)
        with open(path, 'r+b') as f:
            f.write(b'changed')
        assert 100_000 + len(c.read_to_end()) < 40_000_000
    path = daemon.file('site/shorter.bin', os.urandom(40_000_000))
    with Connection(url) as c:
        c.send(b'GET /shorter.bin HTTP/1.1\r\nHost: localhost\r\n\r\n')
        c.read_head()
        c.read_exactly(100_000)
        os.truncate(path, 20_000_000)
        assert 100_000 + len(c.read_to_end()) <= 20_000_000


# --- codings ---

def test_text_is_made_smaller_for_those_who_take_it(url):
    plain = ask(url, '/prose.txt')
    packed = ask(url, '/prose.txt', 'Accept-Encoding: gzip, deflate, br')
    assert packed['content-encoding'] == 'gzip' and gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body) / 10
    assert plain.get('content-encoding') is None and plain['etag'] != packed['etag']
    assert plain['vary'] == packed['vary'] == 'Accept-Encoding'
    assert packed['etag'] == ask(url, '/prose.txt', 'Accept-Encoding: *')['etag']
    head = ask(url, '/prose.txt', 'Accept-Encoding: gzip', method='HEAD')
    assert head.headers == packed.headers
    assert ask(url, '/prose.txt', 'Accept-Encoding: gzip',
               f'If-None-Match: {packed["etag"]}').status == 304
    # The gzip's header tells no time and no name.
    assert packed.body[3:8] == bytes(5)


@pytest.mark.parametrize('accept', ['gzip;q=0', 'identity', 'gzip;q=0.5, identity;q=1', 'deflate',
                                    '*;q=0', 'gzip;q=0.000', 'gzip;q=x', ''])
def test_others_get_it_as_it_is(url, accept):
    answer = ask(url, '/prose.txt', 'Accept-Encoding: ' + accept)
    assert answer.body == PROSE and answer.get('content-encoding') is None


def test_pictures_and_small_things_are_left_alone(url):
    for target in ('/picture.png', '/film.webm', '/style.css'):
        answer = ask(url, target, 'Accept-Encoding: gzip, br')
        assert answer.get('content-encoding') is None and answer.status == 200
    assert ask(url, '/picture.png').get('vary') is None


def test_a_file_beside_it_is_sent_in_its_place(daemon, site, url):
    beside = gzip.compress(PROSE + b'!')
    daemon.file('site/prose.txt.gz', beside)
    answer = ask(url, '/prose.txt', 'Accept-Encoding: gzip')
    assert answer.body == beside and answer['content-encoding'] == 'gzip'
    assert answer['content-type'] == 'text/plain; charset=utf-8'
    daemon.file('site/prose.txt.br', b'as if it were brotli')
    for accept, coding in (('gzip, br', 'br'), ('br;q=0.4, gzip;q=0.8', 'gzip'), ('br', 'br'),
                           ('gzip', 'gzip')):
        assert ask(url, '/prose.txt', f'Accept-Encoding: {accept}')['content-encoding'] == coding
    etags = {ask(url, '/prose.txt', f'Accept-Encoding: {a}')['etag'] for a in ('gzip', 'br', '')}
    assert len(etags) == 3
    part = ask(url, '/prose.txt', 'Accept-Encoding: gzip', 'Range: bytes=2-5')
    assert part.status == 206 and part.body == beside[2:6]
    # By its own name it is what it is.
    own = ask(url, '/prose.txt.gz', 'Accept-Encoding: gzip')
    assert own['content-type'] == 'application/gzip' and own.get('content-encoding') is None
    # One that was forgotten when the text was edited is not sent.
    os.utime(os.path.join(site, 'prose.txt.br'), (1, 1))
    os.utime(os.path.join(site, 'prose.txt.gz'), (1, 1))
    answer = ask(url, '/prose.txt', 'Accept-Encoding: gzip, br')
    assert gzip.decompress(answer.body) == PROSE
    # And a link is nothing.
    os.unlink(os.path.join(site, 'prose.txt.gz'))
    os.symlink('/etc/passwd', os.path.join(site, 'prose.txt.gz'))
    assert gzip.decompress(ask(url, '/prose.txt', 'Accept-Encoding: gzip').body) == PROSE


def test_many_at_once_wait_for_one_body(daemon, site, url):
    grow_up(daemon.file('site/long.txt', PROSE * 100))
    bodies = []

    def visit():
        bodies.append(ask(url, '/long.txt', 'Accept-Encoding: gzip').body)
    threads = [threading.Thread(target=visit) for _ in range(30)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(set(bodies)) == 1 and gzip.decompress(bodies[0]) == PROSE * 100


# --- conditions and ranges ---

def test_validators_are_strong_and_of_this_service_only(daemon, site, url):
    tag = ask(url, '/film.webm')['etag']
    assert re.fullmatch(r'"[0-9a-f]{32}"', tag)
    other = make(daemon, 'other', site)['backend']
    assert ask(other, '/film.webm')['etag'] != tag
    daemon.restart()
    daemon.until_state('web', 'running')
    assert ask(daemon.backend('web'), '/film.webm')['etag'] == tag


def expected(size, etag):
    """Headers -> status and the part, after the ideas of nginx's tests and RFC 9110."""
    last = size - 1
    return [
        (['Range: bytes=0-9'], 206, (0, 10)),
        (['Range: bytes=0-0'], 206, (0, 1)),
        (['Range: bytes=-1'], 206, (last, 1)),
        (['Range: bytes=-0'], 416, None),
        ([f'Range: bytes=-{size + 10}'], 206, (0, size)),
        (['Range: bytes=0-18446744073709551615'], 206, (0, size)),
        ([f'Range: bytes={last}-'], 206, (last, 1)),
        ([f'Range: bytes={size}-'], 416, None),
        (['Range: bytes=99999999999999999999-'], 416, None),
        (['Range: bytes=0-4,5-9'], 206, (0, 10)),
        (['Range: bytes=0-4,100-109'], 200, None),
        (['Range: bytes=' + ','.join(f'{i}-{i}' for i in range(0, 2000, 2))], 200, None),
        (['Range: bytes=9-0'], 200, None),
        (['Range: lines=0-9'], 200, None),
        (['Range: bytes=0-9', 'Range: bytes=0-9'], 200, None),
        (['Range: bytes=0-9', f'If-Range: {etag}'], 206, (0, 10)),
        (['Range: bytes=0-9', f'If-Range: W/{etag}'], 200, None),
        (['Range: bytes=0-9', 'If-Range: "other"'], 200, None),
        (['Range: bytes=0-9', 'If-Range: Sun, 06 Nov 1994 08:49:37 GMT'], 200, None),
        ([f'If-None-Match: {etag}'], 304, None),
        ([f'If-None-Match: W/{etag}'], 304, None),
        ([f'If-None-Match: "a", {etag}, "b"'], 304, None),
        (['If-None-Match: *'], 304, None),
        (['If-None-Match: "other"'], 200, None),
        ([f'If-None-Match: {etag}', 'Range: bytes=0-9'], 304, None),
        (['If-None-Match: "other"', f'If-None-Match: {etag}'], 304, None),
        (['If-None-Match: "other', f'If-None-Match: x{etag}'], 200, None),
        ([f'If-None-Match: {etag}', 'If-Match: "other"'], 412, None),
        ([f'If-None-Match: {etag}', 'If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT'], 304,
         None),
        ([f'If-Range: {etag}'], 200, None),
        (['Range: bytes=0-9', f'If-Range: {etag}', f'If-Range: {etag}'], 200, None),
        ([f'Range: bytes={size}-', 'If-Range: "other"'], 200, None),
        ([f'Range: bytes={size}-', f'If-Range: {etag}'], 416, None),
        (['Range: bytes=0-9', 'If-Match: "other"'], 412, None),
        (['Range: bytes=5-9,0-6,7-7'], 206, (0, 10)),
        ([f'Range: bytes=0-9,{size}-'], 206, (0, 10)),
        (['Range: bytes= 0-9 ,'], 206, (0, 10)),
        (['Range: BYTES=0-9'], 206, (0, 10)),
        (['Range: bytes=-'], 200, None),
        (['Range: bytes='], 200, None),
        (['Range: bytes=0-9-'], 200, None),
        (['Range: bytes=+0-9'], 200, None),
        (['Range: bytes=0x0-9'], 200, None),
        (['Range: bytes=0-9;x'], 200, None),
        ([f'If-Match: {etag}'], 200, None),
        (['If-Match: *'], 200, None),
        ([f'If-Match: W/{etag}'], 412, None),
        (['If-Match: "other"'], 412, None),
        ([f'If-Match: "other", {etag}', 'Range: bytes=1-2'], 206, (1, 2)),
        (['If-Modified-Since: Sun, 06 Nov 2095 08:49:37 GMT'], 200, None),
        (['If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT'], 200, None),
    ]


@pytest.mark.parametrize('name, coding', [
    ('film.webm', 'identity'), ('prose.txt', 'identity'), ('prose.txt', 'gzip'),
    ('picture.png', 'identity')])
def test_conditions_and_ranges(url, name, coding):
    accept = 'Accept-Encoding: ' + coding
    whole = ask(url, '/' + name, accept)
    data, etag = whole.body, whole['etag']
    assert whole.get('content-encoding', 'identity') == coding
    for headers, status, part in expected(len(data), etag):
        answer = ask(url, '/' + name, accept, *headers)
        assert answer.status == status, (headers, answer)
        if status == 206:
            first, n = part
            assert answer.body == data[first:first + n]
            assert answer['content-range'] == f'bytes {first}-{first + n - 1}/{len(data)}'
        elif status == 200:
            assert answer.body == data and answer.get('content-range') is None
        elif status == 304:
            assert answer.body == b'' and answer['etag'] == etag
        elif status == 416:
            assert answer['content-range'] == f'bytes */{len(data)}'
        if status in (200, 206):
            assert answer['etag'] == etag and answer['accept-ranges'] == 'bytes'
            # Ranges are of GET only.
            head = ask(url, '/' + name, accept, *headers, method='HEAD')
            assert head.status == 200 and head.headers == whole.headers


def test_a_part_of_what_was_replaced_is_never_mixed_with_the_new(daemon, site, url):
    old, new = os.urandom(300_000), os.urandom(300_000)
    path = daemon.file('site/a.bin', old)
    grow_up(path)
    first = ask(url, '/a.bin', 'Range: bytes=0-99999')
    assert first.status == 206 and first.body == old[:100_000]
    rest = ('Range: bytes=100000-', f'If-Range: {first["etag"]}')
    daemon.restart()
    daemon.until_state('web', 'running')
    answer = ask(daemon.backend('web'), '/a.bin', *rest)
    assert answer.status == 206 and answer.body == old[100_000:]
    assert answer['etag'] == first['etag']
    os.rename(daemon.file('next', new), path)
    answer = ask(daemon.backend('web'), '/a.bin', *rest)
    assert answer.status == 200 and answer.body == new and answer['etag'] != first['etag']


def test_an_empty_file(daemon, site, url):
    path = daemon.file('site/empty.txt', b'')
    answer = ask(url, '/empty.txt', 'Accept-Encoding: gzip')
    assert answer.status == 200 and answer.body == b'' and answer['content-length'] == '0'
    assert ask(url, '/empty.txt', 'Range: bytes=0-0').status == 416
    grow_up(path)  # now it may be kept in memory
    for _ in range(3):
        assert ask(url, '/empty.txt').body == b''


@pytest.mark.parametrize('command', ['curl', 'wget'])
def test_a_download_is_resumed_after_the_daemon_was_started_again(daemon, tmp_path, command):
    data = os.urandom(30_000_000)
    daemon.file('site/big.bin', data)
    url = make(daemon, 'web', os.path.join(daemon.content, 'site'))['url'] + '/big.bin'
    out = tmp_path / 'big.bin'
    argv = {'curl': ['curl', '-sf', '--limit-rate', '10M', '-C', '-', '-o', str(out), url],
            'wget': ['wget', '-q', '--limit-rate=10m', '--tries=1', '-c', '-O', str(out), url]}[command]
    first = subprocess.Popen(argv)
    until(lambda: out.exists() and out.stat().st_size > 1_000_000, 'some of it has come')
    daemon.kill()
    assert first.wait(30) != 0
    have = out.stat().st_size
    assert 1_000_000 < have < len(data)
    daemon.start()
    daemon.until_state('web', 'running')
    fast = [a for a in argv if 'limit' not in a and a != '10M']
    assert subprocess.run(fast, timeout=60).returncode == 0
    assert out.read_bytes() == data


# --- listings ---

def test_a_long_listing_comes_in_pages(daemon):
    folder = os.path.join(daemon.content, 'many')
    os.makedirs(folder)
    for i in range(50_000):
        os.close(os.open(f'{folder}/{i:05d}.txt', os.O_CREAT | os.O_WRONLY))
    os.makedirs(folder + '/zz-folder')
    url = make(daemon, 'web', folder)['backend']
    first = ask(url, '/')
    names = re.findall(r'href="/([^"?]+)"><bdi>', first.body.decode())
    assert len(names) == 1000 and names[0] == 'zz-folder/' and names[1] == '00000.txt'
    assert 'Page 1 of 51' in first.body.decode() and '?page=2"' in first.body.decode()
    packed = ask(url, '/', 'Accept-Encoding: gzip')
    assert gzip.decompress(packed.body) == first.body
    every = []
    for page in range(1, 52):
        every += re.findall(r'href="/([^"?]+)"><bdi>', ask(url, f'/?page={page}').body.decode())
    assert len(every) == 50_001 and sorted(every[1:]) == every[1:]
    assert ask(url, '/?page=52').status == 404
    assert ask(url, '/?page=99999999999').body == first.body
    assert ask(url, '/?page=0').body == first.body


# --- policies ---

def policy(answer):
    return answer.all('content-security-policy')


def test_the_policy_is_the_default_one(url):
    for target in ('/', '/nowhere', '/files/', '/sub'):
        assert policy(ask(url, target)) == [POLICY]


def test_a_policy_of_ones_own_is_sent_with_everything(daemon, site):
    own = "default-src 'self' 'unsafe-inline'; img-src *"
    url = make(daemon, 'web', site, options=['--custom-csp', own])['backend']
    for target in ('/', '/nowhere', '/files/', '/sub'):
        answer = ask(url, target)
        assert policy(answer) == [own]
        assert answer['x-content-type-options'] == 'nosniff'
    with Connection(url) as c:
        c.send(b'nonsense\r\n\r\n')
        assert policy(c.read_response()) == [own]


def test_no_policy_at_all(daemon, site):
    url = make(daemon, 'web', site, options=['--disable-csp'])['backend']
    for target in ('/', '/nowhere', '/files/'):
        assert policy(ask(url, target)) == []


@pytest.mark.parametrize('value', ["x\r\nSet-Cookie: a=b", 'x\ny', 'x\ry', 'x\ty',
                                   'x\x7fy', 'ü', '', 'x' * 5000])
def test_a_policy_that_is_no_field_is_refused(daemon, site, value):
    with daemon.varlink() as v, pytest.raises(VarlinkError) as refused:
        v.call('Create', {'mode': 'website', 'name': 'web', 'paths': [site],
                          'options': {'custom_csp': value}})
    assert refused.value.name.endswith('InvalidValue')
    assert refused.value.parameters['field'] == 'custom_csp'
    assert daemon.json('list') == []


def test_both_ways_at_once_are_refused(daemon, site):
    args = ('create', 'website', 'web', site, '--disable-csp', '--custom-csp', 'x')
    assert daemon.ctl(*args).status == 2
    daemon.json('create', 'website', 'web', site, '--disable-csp')
    assert daemon.ctl('edit', 'web', '--custom-csp', 'x').status == 2
    assert daemon.ctl('create', 'share', 's', site, '--disable-csp').status == 2


# --- what is counted and told ---

def counts(daemon):
    return daemon.show('web')['transfers']


def test_visits_are_counted_and_leave_no_names(daemon, site, url):
    total = sum(len(ask(url, t).body) for t in ('/', '/style.css', '/prose.txt', '/film.webm'))
    ask(url, '/nowhere')
    until(lambda: counts(daemon)['bytes_out'] == total, 'all bytes are counted')
    assert counts(daemon)['completed'] == 4 and counts(daemon)['active'] == 0
    assert 'film' not in str(daemon.json('history')) and 'film' not in str(daemon.log())


def test_watchers_are_told_of_small_answers_together(daemon, url):
    process = daemon.ctl_spawn('--json', 'watch', 'web')
    until(lambda: b'snapshot' in process.stdout.readline(), 'the watch has begun')
    for _ in range(20):
        ask(url, '/style.css')
    count = 0
    while count < 20:
        event = json.loads(process.stdout.readline())
        if event['event'] == 'transfer':
            assert event['phase'] == 'completed' and event['direction'] == 'out'
            assert event['bytes'] == event['total'] == event['count'] * 20
            count += event['count']
    assert count == 20
    process.terminate()
    process.wait(30)


def test_paths_are_in_the_history_if_wanted(daemon, site):
    url = make(daemon, 'web', site, options=['--log-filenames'])['backend']
    ask(url, '/style.css')
    until(lambda: '/style.css' in str(daemon.json('history', 'web')), 'the path is in the history')


def test_a_one_off_website(daemon, site):
    process = daemon.ctl_spawn('--json', 'website', site)
    service = until(lambda: next((s for s in daemon.json('list') if s['state'] == 'running'), None),
                    'it runs')
    assert service['mode'] == 'website' and service['name'].startswith('website-')
    assert ask(service['backend'], '/').body == b'<h1>front</h1>\n'
    process.terminate()
    process.wait(30)
    until(lambda: daemon.json('list') == [], 'it is gone')


def test_content_that_is_not_there_is_refused(daemon):
    assert daemon.ctl('create', 'website', 'web', '/nonexistent').status in (1, 2)
    assert daemon.json('list') == []
