# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP/1.1 as bytes: what is accepted, what is refused, and that nothing is read twice.

The refusals are those of RFC 9112 and of the request-smuggling literature; several
are accepted by HTTP parsers in wide use (CVE-2023-30589, CVE-2024-27982).
"""
import gzip
import re

import pytest

from lib.daemon import Daemon
from lib.http import Closed, Connection, Response, connect, fetch, raw

H = b'Host: 127.0.0.1\r\n'
GET = b'GET / HTTP/1.1\r\n' + H
CSP = ("default-src 'self'; frame-ancestors 'none'; form-action 'self'; base-uri 'self'; "
       "img-src 'self' data:;")
ON_EVERYTHING = {
    'content-security-policy': CSP, 'x-frame-options': 'DENY', 'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer', 'x-xss-protection': '1; mode=block', 'server': 'OnionShare',
}


@pytest.fixture(scope='module')
def server():
    """A share that stays: the backend's address."""
    daemon = Daemon().start()
    service = daemon.share('docs', daemon.file('a.txt', b'0123456789' * 100),
                           options=['--no-autostop-sharing'])
    yield service['backend']
    daemon.end()


def responses(data):
    """All responses in what a server sent until it closed."""
    found = []
    while data:
        head, end, rest = data.partition(b'\r\n\r\n')
        assert end, f'a broken response: {data[:200]!r}'
        response = Response(head, b'')
        if response.status >= 200 and response.status not in (204, 304):
            length = int(response['content-length'])
            response.body, rest = rest[:length], rest[length:]
            assert len(response.body) == length, 'a body cut short'
        found.append(response)
        data = rest
    return found


SMUGGLED = b'GET /smuggled HTTP/1.1\r\n' + H + b'\r\n'
END = b'Connection: close\r\n\r\n'

BROKEN = {
    'no host': b'GET / HTTP/1.1\r\n\r\n',
    'two hosts': GET + H + b'\r\n',
    'two hosts, different': GET + b'Host: evil.example\r\n\r\n',
    'two hosts, other case': GET + b'hOST: 127.0.0.1\r\n\r\n',
    'space before colon': b'GET / HTTP/1.1\r\nHost : 127.0.0.1\r\n\r\n',
    'space before colon of another field': GET + b'X-A : b\r\n\r\n',
    'no colon': GET + b'nonsense\r\n\r\n',
    'empty name': GET + b': value\r\n\r\n',
    'folded line': GET + b'X-A: b\r\n c\r\n\r\n',
    'folded with a tab': GET + b'X-A: b\r\n\tc\r\n\r\n',
    'folded host hides a length': b'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n Content-Length: 5\r\n\r\n',
    'space at the first field': b'GET / HTTP/1.1\r\n Host: 127.0.0.1\r\n\r\n',
    'bare CR hides a field': GET + b'X-Abc:\rxTransfer-Encoding: chunked\r\n\r\n',
    'bare CR in a value': GET + b'X-A: b\rc\r\n\r\n',
    'bare LF lines': b'GET / HTTP/1.1\nHost: 127.0.0.1\n\n',
    'bare LF after one field': GET + b'X-A: b\nX-B: c\r\n\r\n',
    'NUL in a value': GET + b'X-A: b\0c\r\n\r\n',
    'NUL in a name': GET + b'X\0A: b\r\n\r\n',
    'control in a value': GET + b'X-A: b\x01c\r\n\r\n',
    'DEL in a value': GET + b'X-A: b\x7fc\r\n\r\n',
    'control in the target': b'GET /\x01 HTTP/1.1\r\n' + H + b'\r\n',
    'NUL in the target': b'GET /\0 HTTP/1.1\r\n' + H + b'\r\n',
    'high byte in the target': b'GET /\xff HTTP/1.1\r\n' + H + b'\r\n',
    'fragment in the target': b'GET /#frag HTTP/1.1\r\n' + H + b'\r\n',
    'two spaces': b'GET  /  HTTP/1.1\r\n' + H + b'\r\n',
    'tab as separator': b'GET\t/\tHTTP/1.1\r\n' + H + b'\r\n',
    'space at the end of the line': b'GET / HTTP/1.1 \r\n' + H + b'\r\n',
    'no version': b'GET /\r\n' + H + b'\r\n',
    'lower-case version': b'GET / http/1.1\r\n' + H + b'\r\n',
    'another protocol': b'DESCRIBE rtsp://a/ RTSP/1.0\r\n' + H + b'\r\n',
    'garbage': b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 tls hello\r\n\r\n',
    'relative target': b'GET index.html HTTP/1.1\r\n' + H + b'\r\n',
    'length and chunked': GET + b'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'chunked and length': GET + b'Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n',
    'two lengths': GET + b'Content-Length: 0\r\nContent-Length: 5\r\n\r\n',
    'two equal lengths': GET + b'Content-Length: 0\r\nContent-Length: 0\r\n\r\n',
    'list of lengths': GET + b'Content-Length: 0, 0\r\n\r\n',
    'signed length': GET + b'Content-Length: +5\r\n\r\n',
    'negative length': GET + b'Content-Length: -1\r\n\r\n',
    'hex length': GET + b'Content-Length: 0x5\r\n\r\n',
    'empty length': GET + b'Content-Length: \r\n\r\n',
    'length with a space': GET + b'Content-Length: 1 0\r\n\r\n',
    'huge length': GET + b'Content-Length: 99999999999999999999999\r\n\r\n',
    'chunked in 1.0': b'POST / HTTP/1.0\r\n' + H + b'Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'two codings': GET + b'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n',
    'chunked twice': GET + b'Transfer-Encoding: chunked, chunked\r\n\r\n',
}


@pytest.mark.parametrize('name', BROKEN)
def test_a_broken_head_is_400_and_the_end(server, name):
    answer = responses(raw(server, BROKEN[name] + SMUGGLED))
    assert [r.status for r in answer] == [400], answer
    has_the_usual_headers(answer[0])
    assert answer[0]['connection'] == 'close'


ODD = {
    # name: (bytes, permitted statuses)
    'unknown coding': (GET + b'Transfer-Encoding: xchunked\r\n\r\n', {400, 501}),
    'chunked not last': (GET + b'Transfer-Encoding: chunked, identity\r\n\r\n', {400, 501}),
    'gzip coding': (GET + b'Transfer-Encoding: gzip, chunked\r\n\r\n', {400, 501}),
    'empty host': (b'GET / HTTP/1.1\r\nHost:\r\n\r\n', {400, 421}),
    'HTTP/2.0': (b'GET / HTTP/2.0\r\n' + H + b'\r\n', {400, 505}),
    'HTTP/1.9': (b'GET / HTTP/1.9\r\n' + H + b'\r\n', {400, 505}),
    'HTTP/0.9': (b'GET /\r\n\r\n', {400}),
    'h2 preface': (b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', {400, 505}),
    'connect': (b'CONNECT 127.0.0.1:80 HTTP/1.1\r\n' + H + b'\r\n', {400, 405, 501}),
    'asterisk': (b'OPTIONS * HTTP/1.1\r\n' + H + b'Connection: close\r\n\r\n', {204, 405}),
    'unknown expectation': (GET + b'Expect: a-miracle\r\n' + END, {417}),
    'encoded body': (b'POST / HTTP/1.1\r\n' + H + b'Content-Encoding: gzip\r\nContent-Length: 3\r\n'
                     + END + b'abc', {405, 415}),
}


@pytest.mark.parametrize('name', ODD)
def test_an_odd_request_gets_its_status(server, name):
    data, permitted = ODD[name]
    answer = responses(raw(server, data, shut=True))
    assert len(answer) == 1 and answer[0].status in permitted, answer
    has_the_usual_headers(answer[0])


CHUNKED = b'POST / HTTP/1.1\r\n' + H + b'Transfer-Encoding: chunked\r\n\r\n'
BROKEN_CHUNKS = {
    'no CRLF behind the data': b'2\r\nabXX0\r\n\r\n',
    'LF behind the size': b'2\nab\r\n0\r\n\r\n',
    'negative size': b'-2\r\nab\r\n0\r\n\r\n',
    'no size': b'\r\nab\r\n0\r\n\r\n',
    'not hex': b'g\r\nab\r\n0\r\n\r\n',
    '0x': b'0x2\r\nab\r\n0\r\n\r\n',
    'size overflows': b'fffffffffffffffff\r\nab\r\n0\r\n\r\n',
    'endless extension': b'2;' + b'x' * 5000 + b'\r\nab\r\n0\r\n\r\n',
    'space before the size': b' 2\r\nab\r\n0\r\n\r\n',
    'endless trailers': b'0\r\n' + b'A: b\r\n' * 5000 + b'\r\n',
}


@pytest.mark.parametrize('name', BROKEN_CHUNKS)
def test_broken_chunks_end_the_connection(server, name):
    """Share mode refuses the POST; its body must not become another request all the same."""
    answer = responses(raw(server, CHUNKED + BROKEN_CHUNKS[name] + SMUGGLED, shut=True))
    assert len(answer) == 1 and answer[0].status in (400, 405, 431), answer


def test_good_chunks_are_read_past(server):
    """The body of a refused request is consumed, extensions and trailers with it."""
    body = b'3;ext=1;x="y"\r\nabc\r\nA\r\n0123456789\r\n0\r\nHost: evil\r\nX-T: 1\r\n\r\n'
    answer = responses(raw(server, CHUNKED + body + b'GET /download HTTP/1.1\r\n' + H + END))
    # 405, and then either the next request's answer or an orderly close.
    assert answer[0].status == 405 and answer[0]['allow']
    assert [r.status for r in answer[1:]] in ([200], [])


def test_a_get_with_a_body_is_answered_once(server):
    data = GET + b'Content-Length: %d\r\n\r\n' % len(SMUGGLED) + SMUGGLED + GET + END
    answer = responses(raw(server, data))
    assert [r.status for r in answer] in ([200, 200], [200], [400])
    assert all(b'404' not in r.body for r in answer)


# --- hosts ---

@pytest.mark.parametrize('host, status', [
    ('127.0.0.1', 200), ('127.0.0.1:1234', 200), ('localhost', 200), ('LOCALHOST:80', 200),
    ('[::1]', 200), ('[::1]:8080', 200),
    ('evil.example', 421), ('127.0.0.1.evil.example', 421), ('localhost.evil.example', 421),
    ('127.0.0.2', 421), ('0.0.0.0', 421), ('a' * 56 + '.onion', 421),
])
def test_only_its_own_hosts_are_answered(server, host, status):
    answer = fetch(server, '/', host=host)
    assert answer.status == status
    has_the_usual_headers(answer)


@pytest.mark.parametrize('host', ['127.0.0.1:99999999', '127.0.0.1:-1', '127.0.0.1:x', '127.0.0.1 ',
                                  'user@127.0.0.1', '127.0.0.1/', '[::1', 'a,b'])
def test_a_malformed_host_is_refused(server, host):
    data = f'GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n'.encode()
    status = [r.status for r in responses(raw(server, data))]
    # White space around a value is no part of it (RFC 9110 5.5).
    assert status in ([[200]] if host.endswith(' ') else [[400], [421]]), status


def test_absolute_form_replaces_the_host(server):
    def ask(target, host):
        return [r.status for r in responses(raw(
            server, f'GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n'
            .encode()))]
    assert ask('http://127.0.0.1/', '127.0.0.1') == [200]
    assert ask('http://evil.example/', '127.0.0.1') in ([421], [400])
    assert ask('ftp://127.0.0.1/', '127.0.0.1') in ([400], [421])
    assert ask('http://user@127.0.0.1/', '127.0.0.1') in ([400], [421])


def test_http_1_0_needs_no_host_and_is_closed(server):
    answer = raw(server, b'GET / HTTP/1.0\r\n\r\n')
    assert answer.startswith((b'HTTP/1.1 200', b'HTTP/1.0 200'))
    with Connection(server) as c:
        c.send(b'GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n')
        assert c.read_response().status == 200


# --- methods ---

@pytest.mark.parametrize('method', ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND',
                                    'FROBNICATE', 'get', 'GETT'])
@pytest.mark.parametrize('target', ['/', '/download', '/missing'])
def test_other_methods_are_refused(server, method, target):
    answer = fetch(server, target, method=method)
    if target == '/missing' and answer.status == 404:
        return
    assert answer.status in (405, 501), answer
    if answer.status == 405:
        assert {m.strip() for m in answer['allow'].split(',')} >= {'GET', 'HEAD'}
        assert b'<title>OnionShare: 405 Method Not Allowed</title>' in answer.body
    assert b'evil' not in answer.body
    has_the_usual_headers(answer)


@pytest.mark.parametrize('target', ['/', '/download', '/missing', '/a.txt'])
def test_head_is_get_without_the_body(server, target):
    get = fetch(server, target)
    with Connection(server) as c:
        head = c.request('HEAD', target)
        again = c.request('GET', target)
    assert (head.status, head.headers) == (get.status, get.headers)
    assert again.body == get.body


# --- sizes ---

def padded(total, fields=0):
    """A request whose head has so many bytes in all (with that many small fields)."""
    head = GET + b''.join(b'X-%d: y\r\n' % i for i in range(fields)) + b'Connection: close\r\n'
    filler = total - len(head) - len(b'X-Filler: \r\n\r\n')
    return head + b'X-Filler: ' + b'f' * filler + b'\r\n\r\n'


def status_of(server, data):
    answer = responses(raw(server, data))
    for response in answer:
        has_the_usual_headers(response)
    return [r.status for r in answer]


def test_a_head_of_16_kib_and_no_more(server):
    assert status_of(server, padded(16 * 1024)) == [200]
    assert status_of(server, padded(16 * 1024 + 1)) == [431]
    assert status_of(server, padded(200_000)) == [431]


def test_100_fields_and_no_more(server):
    def fields(n):
        return GET + b''.join(b'X-%d: y\r\n' % i for i in range(n - 2)) + END
    assert status_of(server, fields(100)) == [200]
    assert status_of(server, fields(101)) == [431]


def test_a_request_line_of_8_kib_and_no_more(server):
    def line(n):
        target = b'/' + b'x' * (n - len(b'GET / HTTP/1.1\r\n'))
        return b'GET ' + target + b' HTTP/1.1\r\n' + H + END
    assert status_of(server, line(8 * 1024)) == [404]
    assert status_of(server, line(8 * 1024 + 3)) == [414]
    assert status_of(server, line(100_000)) == [414]


def test_a_head_that_never_ends_is_cut_off(server):
    """An attacker's stream is answered and dropped, not read for ever."""
    with Connection(server) as c:
        sent = 0
        try:
            c.send(GET)
            while sent < 100 << 20:
                c.send(b'X-Endless: ' + b'x' * 65536 + b'\r\n')
                sent += 65536
        except OSError:
            pass
        assert sent < 80 << 20


def test_empty_lines_before_a_request(server):
    """RFC 9112 2.2: at least one is ignored. Any number is not."""
    assert status_of(server, b'\r\n' + GET + END) == [200]
    answer = raw(server, b'\r\n' * 100_000)
    assert answer == b'' or b' 400 ' in answer.split(b'\r\n')[0] or b' 431 ' in answer


# --- pipelining ---

def test_requests_in_one_segment_are_answered_in_order(server):
    targets = [b'/', b'/missing', b'/download', b'/a.txt'] * 25
    data = b''.join(b'GET ' + t + b' HTTP/1.1\r\n' + H + b'\r\n' for t in targets[:-1])
    data += b'GET ' + targets[-1] + b' HTTP/1.1\r\n' + H + END
    answer = responses(raw(server, data))
    expected = {b'/': 200, b'/missing': 404, b'/download': 200, b'/a.txt': 200}
    assert [r.status for r in answer] == [expected[t] for t in targets]
    assert answer[2].body == b'0123456789' * 100


def test_a_request_split_anywhere_is_the_same_request(server):
    data = (b'GET /download HTTP/1.1\r\n' + H + b'Range: bytes=5-14\r\nX-Long: ' + b'y' * 60
            + b'\r\n\r\n')
    with Connection(server) as c:
        c.send(data)
        whole = c.read_response()
        assert (whole.status, whole.body) == (206, b'5678901234')
        for i in range(1, len(data)):
            c.send(data[:i])
            c.send(data[i:])
            part = c.read_response()
            assert (part.head, part.body) == (whole.head, whole.body), i


def test_one_byte_at_a_time(server):
    with Connection(server) as c:
        for byte in GET + b'\r\n':
            c.send(bytes([byte]))
        assert c.read_response().status == 200


def test_keep_alive_survives_refusals(server):
    with Connection(server) as c:
        for target, status in [('/missing', 404), ('/', 200), ('/../etc/passwd', 404),
                               ('/download', 200)]:
            assert c.request('GET', target).status in {status, 400}, target


def test_connection_close_is_kept(server):
    with Connection(server) as c:
        c.send(GET + END)
        assert c.read_response()['connection'] == 'close'
        assert c.at_end()


# --- Expect ---

def test_no_continue_for_what_is_refused(server):
    data = (b'POST /upload HTTP/1.1\r\n' + H + b'Expect: 100-continue\r\nContent-Length: 1000000\r\n'
            b'\r\n')
    with Connection(server) as c:
        c.send(data)
        answer = c.read_response()
        assert answer.status in (404, 405)


def test_an_early_answer_arrives_though_the_body_is_still_coming(server):
    """Lingering close: the page, not a reset."""
    with Connection(server) as c:
        c.send(b'POST / HTTP/1.1\r\n' + H + b'Content-Length: 8000000\r\n\r\n')
        block, sent = b'x' * 65536, 0
        try:
            while sent < 8_000_000 - 65536:
                c.send(block)
                sent += len(block)
        except OSError:
            pass
        assert c.read_response().status == 405


# --- headers ---

def has_the_usual_headers(response):
    for name, value in ON_EVERYTHING.items():
        assert response.all(name) == [value], (name, response)
    leaks = {'date', 'last-modified', 'via', 'x-powered-by', 'set-cookie', 'age', 'expires'}
    assert not leaks & set(response.names()), response
    assert len(response.names()) == len(set(response.names())) or 'vary' in response.names()


# What besides ON_EVERYTHING a response may have: a test for each new one.
EXPECTED = {
    ('GET', '/'): {'content-type', 'content-length', 'cache-control', 'etag', 'vary'},
    ('GET', '/download'): {'content-type', 'content-length', 'content-disposition', 'etag',
                           'accept-ranges', 'cache-control', 'vary'},
    ('GET', '/a.txt'): {'content-type', 'content-length', 'content-disposition', 'etag',
                        'accept-ranges', 'cache-control', 'vary'},
    ('GET', '/missing'): {'content-type', 'content-length', 'cache-control'},
    ('POST', '/'): {'content-type', 'content-length', 'allow', 'cache-control', 'connection'},
}


@pytest.mark.parametrize('method, target', EXPECTED)
def test_no_header_is_there_that_nobody_knows_of(server, method, target):
    answer = fetch(server, target, method=method)
    has_the_usual_headers(answer)
    surplus = set(answer.names()) - set(ON_EVERYTHING) - EXPECTED[method, target]
    assert not surplus, answer


def test_error_pages_are_small_and_tell_nothing(server):
    missing = fetch(server, '/missing')
    assert missing.status == 404
    assert b'<title>OnionShare: 404 Not Found</title>' in missing.body
    assert missing['content-type'] == 'text/html; charset=utf-8'
    assert len(missing.body) < 4096
    assert not re.search(rb'missing|/home|/tmp|\bllhttp|libuv|0\.1\.0', missing.body)
    bad = responses(raw(server, BROKEN['no host']))[0]
    assert b'<title>OnionShare: 400 Bad Request</title>' in bad.body
    wrong = fetch(server, '/', host='evil.example')
    assert b'<title>OnionShare: 421 ' in wrong.body and b'evil' not in wrong.body


TRAVERSALS = [
    '/../../../../etc/passwd', '/..', '/../', '/a/../../etc/passwd', '/./../etc/passwd',
    '/%2e%2e/%2e%2e/etc/passwd', '/%2e%2e%2fetc%2fpasswd', '/..%2f..%2fetc/passwd',
    '/%252e%252e/etc/passwd', '/..%5c..%5cetc/passwd', '/..\\..\\etc\\passwd', '/..;/etc/passwd',
    '/%c0%ae%c0%ae/etc/passwd', '/%c0%af../etc/passwd', '/%e0%80%ae/', '/%uff0e%uff0e/',
    '//etc/passwd', '///etc/passwd', '/etc/passwd', '/proc/self/environ', '/a.txt/', '/a.txt/..',
    '/a.txt%00', '/a.txt%00.html', '/%00', '/%', '/%2', '/%zz', '/%2x', '/a.txt/../a.txt',
    '/.', '/./', '/%2e', '/%2e/', '/~root', '/C:/Windows/', '/a.txt%2f', '/a%2etxt%2f..',
    '/%ff%fe', '/\x7f'.replace('\x7f', '%7f'), '/' + '../' * 500 + 'etc/passwd', '/a.txt;x=1',
    '/server-status', '/.git/config', '/private_key', '/.htaccess',
]


@pytest.mark.parametrize('target', TRAVERSALS, ids=lambda t: t[:40])
def test_no_path_leads_out(server, target):
    reference = fetch(server, '/missing')
    answer = fetch(server, target)
    assert b'root:' not in answer.body and answer.status in (400, 404), answer
    if answer.status == 404:
        assert answer.body == reference.body


def test_no_page_names_another_host(server):
    page = fetch(server, '/').body
    # The SVG and XHTML namespaces are names, not places.
    places = [u for u in re.findall(rb'https?://[^\s"\'<>)]+', page) if b'www.w3.org/' not in u]
    assert places == []
    for asset in set(re.findall(rb'(?:href|src)="(/[^"]+)"', page)):
        answer = fetch(server, asset.decode())
        assert answer.status == 200, asset
        if answer['content-type'].startswith('text/'):
            has_the_usual_headers(answer)


def test_what_pages_bring_along_is_packed_for_who_takes_it(server):
    page = fetch(server, '/').body
    wants = {'Accept-Encoding': 'gzip'}
    for asset in set(re.findall(r'(?:href|src)="(/[^"]+\.(?:css|js))"', page.decode())):
        plain, packed = fetch(server, asset), fetch(server, asset, wants)
        assert plain.all('content-encoding') == [] and packed['content-encoding'] == 'gzip'
        assert gzip.decompress(packed.body) == plain.body and len(packed.body) < len(plain.body)
        assert packed.body[4:8] == bytes(4)  # no time of anything
        assert plain['vary'] == packed['vary'] == 'Accept-Encoding'
        assert plain['etag'] != packed['etag']
        again = fetch(server, asset, {**wants, 'If-None-Match': packed['etag']})
        assert again.status == 304
        refused = fetch(server, asset, {'Accept-Encoding': 'gzip;q=0'})
        assert refused.body == plain.body


def test_half_a_request_and_gone(server):
    """Visitors that vanish at every stage leave the server as it was."""
    data = GET + b'Range: bytes=0-\r\n\r\n'
    for i in range(0, len(data), 3):
        s = connect(server)
        s.sendall(data[:i])
        s.close()
    try:
        assert fetch(server).status == 200
    except Closed as e:
        raise AssertionError('the server is gone') from e
