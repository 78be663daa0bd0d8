# SPDX-License-Identifier: GPL-3.0-or-later
"""Share mode over HTTP: pages, files, zips, ranges, and when it stops by itself."""
import hashlib
import io
import os
import re
import subprocess
import zipfile

import pytest

from lib.http import Closed, Connection, fetch
from lib.waiting import until

KEEP = ['--no-autostop-sharing']
ZIP_NAME = re.compile(r'onionshare_[a-z2-7]{6}\.zip')


@pytest.fixture
def tree(daemon):
    """A folder with subfolders, an empty one, and content worth comparing."""
    daemon.file('docs/a.txt', b'alpha')
    daemon.file('docs/sub/b.bin', os.urandom(300_000))
    daemon.file('docs/sub/deep/ü ☂ & <b>.txt', b'umlaut')
    daemon.file('docs/sub/zero', b'')
    os.makedirs(os.path.join(daemon.content, 'docs/empty'))
    return os.path.join(daemon.content, 'docs')


def is_the_tree(data, root, prefix=''):
    """The archive has exactly the files and empty folders below root."""
    expected = {}
    for folder, folders, names in os.walk(root):
        base = os.path.relpath(folder, root)
        base = '' if base == '.' else base + '/'
        if not folders and not names and base:
            expected[prefix + base] = b''
        for name in names:
            with open(os.path.join(folder, name), 'rb') as f:
                expected[prefix + base + name] = f.read()
    with zipfile.ZipFile(io.BytesIO(data)) as z:
        assert z.testzip() is None
        found = {i.filename: z.read(i) for i in z.infolist()
                 if not (i.is_dir() and any(o.filename.startswith(i.filename)
                                            and o.filename != i.filename
                                            for o in z.infolist()))}
        for i in z.infolist():
            assert i.compress_type == zipfile.ZIP_STORED
            assert i.date_time == (1980, 1, 1, 0, 0, 0), 'a time of the machine'
            assert b'UT' not in i.extra[:2] and b'ux' not in i.extra, i.extra
            assert not i.filename.startswith('/') and '..' not in i.filename.split('/')
    assert found == expected


# --- one file ---

def test_one_file_is_sent_as_it_is(daemon):
    data = os.urandom(1_000_000)
    service = daemon.share('docs', daemon.file('picture.png', data), options=KEEP)
    answer = fetch(service['backend'], '/download')
    assert answer.status == 200 and answer.body == data
    assert answer['content-length'] == str(len(data))
    assert answer['content-type'] == 'image/png'
    assert answer['accept-ranges'] == 'bytes'
    assert re.fullmatch(r'"[^"]+"', answer['etag'])
    assert answer['content-disposition'].startswith('attachment')
    assert 'picture.png' in answer['content-disposition']


def test_an_empty_file_too(daemon):
    service = daemon.share('docs', daemon.file('empty', b''))
    answer = fetch(service['backend'], '/download')
    assert answer.status == 200 and answer['content-length'] == '0'
    daemon.until_state('docs', 'stopped')


@pytest.mark.parametrize('name', ['plain.txt', 'sp ace.txt', 'ü☂.txt', 'quo"te.txt', 'back\\slash',
                                  'semi;colon', "apo'strophe", '%41.txt', '-dash', 'new\nline',
                                  '\x1b[31mred', 'rtl\u202egpj.exe', 'x' * 255])
def test_file_names_reach_the_visitor_unharmed(daemon, name):
    service = daemon.share('docs', daemon.file(name, b'data'), options=KEEP)
    answer = fetch(service['backend'], '/download')
    assert answer.status == 200 and answer.body == b'data'
    disposition = answer['content-disposition']
    assert all(' ' <= c <= '~' for c in disposition), disposition
    if name.isprintable():
        from urllib.parse import unquote
        encoded = re.search(r"filename\*=UTF-8''([^;]+)", disposition)
        if encoded:
            assert unquote(encoded[1]) == name
        else:
            assert name in disposition
    page = fetch(service['backend'], '/').body
    assert b'\x1b' not in page and '\u202e'.encode() not in page


# --- zips ---

def test_one_folder_is_flattened_into_a_zip(daemon, tree):
    service = daemon.share('docs', tree, options=KEEP)
    answer = fetch(service['backend'], '/download')
    assert answer.status == 200 and answer['content-type'] == 'application/zip'
    assert ZIP_NAME.search(answer['content-disposition'])
    assert len(answer.body) == int(answer['content-length'])
    is_the_tree(answer.body, tree)


def test_a_folder_with_one_file_is_a_zip(daemon):
    daemon.file('single/only.txt', b'only')
    service = daemon.share('docs', os.path.join(daemon.content, 'single'))
    answer = fetch(service['backend'], '/download')
    assert answer['content-type'] == 'application/zip'
    assert zipfile.ZipFile(io.BytesIO(answer.body)).namelist() == ['only.txt']


def test_several_inputs_keep_their_names(daemon, tree):
    service = daemon.share('docs', tree, daemon.file('other.txt', b'other'), options=KEEP)
    names = zipfile.ZipFile(io.BytesIO(fetch(service['backend'], '/download').body)).namelist()
    assert 'other.txt' in names and 'docs/a.txt' in names


def test_equal_names_are_told_apart(daemon):
    service = daemon.share('docs', daemon.file('one/same.txt', b'1'),
                           daemon.file('two/same.txt', b'2'), options=KEEP)
    with zipfile.ZipFile(io.BytesIO(fetch(service['backend'], '/download').body)) as z:
        assert len(set(z.namelist())) == 2
        assert {z.read(n) for n in z.namelist()} == {b'1', b'2'}
    page = fetch(service['backend'], '/').body.decode()
    links = re.findall(r'href="(/[^"]*same[^"]*)"', page)
    assert {fetch(service['backend'], link).body for link in links} == {b'1', b'2'}


@pytest.mark.parametrize('tool', [['unzip', '-q', 'FILE', '-d', 'OUT'],
                                  ['bsdtar', '-xf', 'FILE', '-C', 'OUT'],
                                  ['/usr/bin/python3', '-m', 'zipfile', '-e', 'FILE', 'OUT']],
                         ids=lambda t: os.path.basename(t[0]))
def test_other_programs_unpack_the_zip(daemon, tree, tmp_path, tool):
    service = daemon.share('docs', tree, options=KEEP)
    path, out = tmp_path / 'x.zip', tmp_path / 'out'
    path.write_bytes(fetch(service['backend'], '/download').body)
    out.mkdir()
    subprocess.run([{'FILE': path, 'OUT': out}.get(a, a) for a in tool], check=True,
                   env={**os.environ, 'LANG': 'C.UTF-8', 'LC_ALL': 'C.UTF-8'},
                   capture_output=True)
    assert subprocess.run(['diff', '-r', tree, out], capture_output=True).returncode == 0
    assert (out / 'empty').is_dir()


def test_the_zip_does_not_tell_of_the_machine(daemon, make_daemon, tree):
    """The same bytes on another machine: other times, owner and time zone."""
    service = daemon.share('docs', tree, options=KEEP)
    first = fetch(service['backend'], '/download')
    other = make_daemon(env={'TZ': 'Asia/Tokyo'}).start()
    copy = os.path.join(other.content, 'docs')
    subprocess.run(['cp', '-r', tree, copy], check=True)
    for folder, _, names in os.walk(copy):
        for name in names:
            os.utime(os.path.join(folder, name), (86400, 86400))
            os.chmod(os.path.join(folder, name), 0o640)
    second = fetch(other.share('docs', copy, options=KEEP)['backend'], '/download')
    assert second.body == first.body
    # But the tag is each service's own: it must not link the two.
    assert second['etag'] != first['etag']


# --- validators and ranges ---

def ranged(service, value, **headers):
    return fetch(service['backend'], '/download', {'Range': value, **headers})


@pytest.fixture(params=['file', 'zip'])
def sent(request, daemon, tree):
    """(service, the whole download)"""
    path = daemon.file('data.bin', os.urandom(70_001)) if request.param == 'file' else tree
    service = daemon.share('docs', path, options=KEEP)
    return service, fetch(service['backend'], '/download')


def test_single_ranges(sent):
    service, whole = sent
    n = len(whole.body)
    for text, first, last in [
            ('bytes=0-0', 0, 0), ('bytes=0-10', 0, 10), ('bytes=5-', 5, n - 1),
            ('bytes=-1', n - 1, n - 1), ('bytes=-100', n - 100, n - 1),
            (f'bytes={n - 1}-', n - 1, n - 1), (f'bytes=0-{n - 1}', 0, n - 1),
            (f'bytes=10-{n + 1000}', 10, n - 1), ('bytes=0-18446744073709551615', 0, n - 1),
            (f'bytes=-{n + 1000}', 0, n - 1), ('bytes= 3-4', 3, 4)]:
        answer = ranged(service, text)
        if answer.status == 200 and text == 'bytes= 3-4':
            continue
        assert answer.status == 206, text
        assert answer['content-range'] == f'bytes {first}-{last}/{n}', text
        assert answer['content-length'] == str(last - first + 1)
        assert answer.body == whole.body[first:last + 1], text
        assert answer['etag'] == whole['etag']


def test_ranges_beyond_the_end(sent):
    service, whole = sent
    n = len(whole.body)
    for text in (f'bytes={n}-', f'bytes={n + 5}-{n + 10}', 'bytes=18446744073709551615-',
                 'bytes=99999999999999999999999999-', 'bytes=-0'):
        answer = ranged(service, text)
        assert answer.status == 416, text
        assert answer['content-range'] == f'bytes */{n}'
        assert b'<title>OnionShare: 416 ' in answer.body


@pytest.mark.parametrize('text', [
    'bytes', 'bytes=', 'bytes=-', 'bytes=a-b', 'bytes=5-2', 'items=0-5', 'bytes=0x0-5', 'bytes=+1-2',
    'bytes=1-2-3', 'BYTES', 'bytes=0-1,2-3', 'bytes=0-0,-1', 'bytes=' + ','.join(['0-'] * 1000),
    'bytes=' + ','.join(f'{i}-{i}' for i in range(300)), 'bytes=1 - 2'])
def test_what_is_no_single_range_gets_it_all(sent, text):
    """RFC 9110 14.2: such a Range may be ignored; it must never cost more than that."""
    service, whole = sent
    answer = ranged(service, text)
    assert answer.status in (200, 206, 416), answer
    if answer.status == 200:
        assert answer.body == whole.body
    elif answer.status == 206:
        assert len(answer.body) <= len(whole.body)


def test_the_zip_at_every_seam(daemon):
    """Ranges that begin and end at each byte of a small archive."""
    daemon.file('d/a', b'x' * 40)
    daemon.file('d/e/b', b'y' * 3)
    os.makedirs(os.path.join(daemon.content, 'd/f'))
    service = daemon.share('docs', os.path.join(daemon.content, 'd'), options=KEEP)
    with Connection(service['backend']) as c:
        whole = c.request('GET', '/download').body
        for i in range(len(whole)):
            assert c.request('GET', '/download', {'Range': f'bytes={i}-'}).body == whole[i:]
            assert c.request('GET', '/download', {'Range': f'bytes=0-{i}'}).body == whole[:i + 1]


def test_if_range_resumes_only_the_same_representation(sent):
    service, whole = sent
    same = ranged(service, 'bytes=10-', **{'If-Range': whole['etag']})
    assert same.status == 206 and same.body == whole.body[10:]
    for other in ('"other"', 'W/' + whole['etag'], 'Mon, 01 Jan 2024 00:00:00 GMT', 'nonsense'):
        answer = ranged(service, 'bytes=10-', **{'If-Range': other})
        assert answer.status == 200 and answer.body == whole.body, other


def test_conditions(sent):
    service, whole = sent
    tag = whole['etag']

    def status(**headers):
        return fetch(service['backend'], '/download',
                     {k.replace('_', '-'): v for k, v in headers.items()})
    fresh = status(If_None_Match=tag)
    assert fresh.status == 304 and fresh.body == b'' and fresh['etag'] == tag
    for value in ('*', f'"a", {tag}, "b"', f'W/{tag}', f'"a",{tag}'):
        assert status(If_None_Match=value).status == 304, value
    for value in ('"other"', tag[:-2] + '"'):
        assert status(If_None_Match=value).status == 200, value
    assert status(If_Match=tag).status == 200
    assert status(If_Match='*').status == 200
    assert status(If_Match='"other"').status == 412
    assert status(If_Match='W/' + tag).status == 412
    # A tag inside another's quotes is not a match.
    assert status(If_None_Match=f'"x{tag[1:-1]}"').status == 200


def test_the_tag_survives_a_restart(daemon, tree):
    service = daemon.share('docs', tree, options=KEEP)
    before = fetch(service['backend'], '/download')
    daemon.kill()
    daemon.start()
    service = daemon.until_state('docs', 'running')
    after = fetch(service['backend'], '/download')
    assert after['etag'] == before['etag'] and after.body == before.body
    tail = ranged(service, 'bytes=100000-', **{'If-Range': before['etag']})
    assert tail.status == 206 and tail.body == before.body[100000:]


def test_the_tag_changes_with_the_content(daemon):
    path = daemon.file('a.txt', b'before')
    service = daemon.share('docs', path, options=KEEP)
    before = fetch(service['backend'], '/download')
    daemon.file('a.txt', b'after!')

    def changed():
        answer = fetch(service['backend'], '/download')
        return answer if answer.body == b'after!' else None
    after = until(changed, 'the new content is served')
    assert after['etag'] != before['etag']
    mixed = ranged(service, 'bytes=3-', **{'If-Range': before['etag']})
    assert mixed.status == 200 and mixed.body == b'after!'


# --- when it stops by itself ---

def test_a_complete_download_stops_the_share(daemon):
    service = daemon.share('docs', daemon.file('a', b'x' * 100_000))
    assert len(fetch(service['backend'], '/download').body) == 100_000
    stopped = daemon.until_state('docs', 'stopped')
    assert stopped['reason'] == 'completed' and stopped['wanted'] is False
    with pytest.raises(OSError):
        fetch(service['backend'])
    # It does not come back by itself, but can be started again at the same address.
    daemon.json('edit', 'docs', '--title', 'written behind the end of the share')
    daemon.kill()
    daemon.start()
    assert daemon.show('docs')['state'] == 'stopped'
    assert daemon.json('start', 'docs')['url'] == service['url']


def test_what_is_no_complete_download_stops_nothing(daemon):
    # More than sockets hold, so that a cut download was not handed over whole.
    service = daemon.share('docs', daemon.file('a', os.urandom(60_000_000)))
    backend = service['backend']
    assert fetch(backend, '/').status == 200
    assert fetch(backend, '/download', method='HEAD').status == 200
    assert ranged(service, 'bytes=0-99').status == 206
    tag = fetch(backend, '/download', method='HEAD')['etag']
    assert fetch(backend, '/download', {'If-None-Match': tag}).status == 304
    assert fetch(backend, '/missing').status == 404
    with Connection(backend) as c:
        c.send(b'GET /download HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
        c.read_head()
        c.read_exactly(1000)
    until(lambda: daemon.show('docs')['transfers']['active'] == 0, 'the cut one has ended')
    assert daemon.show('docs')['state'] == 'running'
    assert fetch(backend, '/').status == 200


def test_a_download_in_pieces_is_complete_when_all_bytes_were_sent(daemon):
    """Resumed downloads and download managers count as one."""
    data = os.urandom(1_000_000)
    service = daemon.share('docs', daemon.file('a', data))
    parts = [ranged(service, f'bytes={i}-{i + 249_999}').body for i in (500_000, 0, 250_000)]
    assert daemon.show('docs')['state'] == 'running'
    parts.append(ranged(service, 'bytes=750000-').body)
    assert parts[1] + parts[2] + parts[0] + parts[3] == data
    assert daemon.until_state('docs', 'stopped')['reason'] == 'completed'


def test_a_cut_download_counts_for_what_it_sent(daemon):
    data = os.urandom(20_000_000)
    service = daemon.share('docs', daemon.file('a', data))
    with Connection(service['backend']) as c:
        c.send(b'GET /download HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
        head = c.read_head()
        got = c.read_exactly(5_000_000)
    tag = re.search(rb'(?i)etag: (".*?")', head)[1].decode()
    rest = ranged(service, f'bytes={len(got)}-', **{'If-Range': tag})
    assert rest.status == 206 and got + rest.body == data
    daemon.until_state('docs', 'stopped')


def test_others_wait_while_a_download_runs(daemon):
    path = daemon.file('big')
    os.truncate(path, 200_000_000)
    service = daemon.share('docs', path)
    with Connection(service['backend']) as c:
        c.send(b'GET /download HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
        c.read_head()
        for target in ('/', '/download'):
            busy = fetch(service['backend'], target)
            assert busy.status == 503, busy
            assert b'OnionShare download in progress' in busy.body
            assert int(busy['retry-after']) > 0
        assert ranged(service, 'bytes=0-9').status == 206
    until(lambda: fetch(service['backend'], '/').status == 200, 'the next one may')


def test_the_last_of_several_downloads_stops_it(daemon):
    service = daemon.share('docs', daemon.file('a', b'abc'), options=['--max-downloads', '3'])
    for n in range(3):
        assert daemon.show('docs')['state'] == 'running', n
        assert fetch(service['backend'], '/download').body == b'abc'
        until(lambda: daemon.show('docs')['transfers']['completed'] == n + 1, 'it is counted')
    daemon.until_state('docs', 'stopped')


def test_kept_sharing_goes_on(daemon):
    service = daemon.share('docs', daemon.file('a', b'abc'), options=KEEP)
    for _ in range(5):
        assert fetch(service['backend'], '/download').body == b'abc'
    assert daemon.show('docs')['state'] == 'running'


# --- pages and single files ---

def test_the_page_lists_folders_first_and_escapes(daemon):
    for name in ('b.txt', 'a.txt', '<img src=x onerror=alert(1)>.html', 'zdir/x', 'adir/y'):
        daemon.file('d/' + name)
    service = daemon.share('docs', os.path.join(daemon.content, 'd'),
                           options=['--title', 'My "docs" & more', *KEEP])
    answer = fetch(service['backend'])
    page = answer.body.decode()
    assert answer['content-type'] == 'text/html; charset=utf-8'
    assert '<img src=x' not in page and '&lt;img src=x' in page
    assert 'My &quot;docs&quot; &amp; more' in page or 'My "docs" &amp; more' in page
    order = [page.index(n) for n in ('adir', 'zdir', 'a.txt', 'b.txt')]
    assert order == sorted(order)
    assert '<script' not in page.lower() and 'onclick' not in page


def test_single_files_only_with_kept_sharing(daemon, tree):
    service = daemon.share('kept', tree, options=KEEP)
    assert fetch(service['backend'], '/a.txt').body == b'alpha'
    encoded = '/sub/deep/%C3%BC%20%E2%98%82%20%26%20%3Cb%3E.txt'
    assert fetch(service['backend'], encoded).body == b'umlaut'
    assert fetch(service['backend'], '/sub/zero')['content-length'] == '0'
    part = fetch(service['backend'], '/sub/b.bin', {'Range': 'bytes=5-9'})
    assert part.status == 206 and len(part.body) == 5
    once = daemon.share('once', tree)
    for target in ('/a.txt', '/sub/b.bin'):
        assert fetch(once['backend'], target).status == 404
    # A share stays while single files are fetched.
    assert daemon.show('kept')['state'] == 'running'


def test_single_files_cannot_run_as_pages_of_the_service(daemon):
    daemon.file('d/evil.html', b'<script>alert(1)</script>')
    daemon.file('d/evil.svg', b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>')
    service = daemon.share('docs', os.path.join(daemon.content, 'd'), options=KEEP)
    for name in ('evil.html', 'evil.svg'):
        answer = fetch(service['backend'], '/' + name)
        assert answer.status == 200
        csp = ' '.join(answer.all('content-security-policy'))
        assert ('sandbox' in csp or answer.get('content-disposition', '').startswith('attachment')
                or "default-src 'self'" in csp)


def test_folders_are_listed_with_and_without_a_slash(daemon, tree):
    service = daemon.share('docs', tree, options=KEEP)
    for target in ('/sub', '/sub/'):
        answer = fetch(service['backend'], target)
        assert answer.status == 200 and b'b.bin' in answer.body, target
    assert fetch(service['backend'], '/a.txt/').status == 404


def test_every_link_on_every_page_works(daemon, tree):
    service = daemon.share('docs', tree, options=KEEP)
    seen, todo = set(), ['/']
    while todo:
        target = todo.pop()
        answer = fetch(service['backend'], target)
        assert answer.status == 200, target
        seen.add(target)
        if answer['content-type'].startswith('text/html'):
            import html
            for link in re.findall(r'(?:href|src)="([^"#]+)"', answer.body.decode()):
                link = html.unescape(link)
                if not link.startswith(('data:', 'http')):
                    from urllib.parse import urljoin
                    link = urljoin(target, link)
                    if link not in seen and link not in todo:
                        todo.append(link)
    assert {'/', '/download', '/a.txt'} <= seen and any('%C3%BC' in t for t in seen)


def test_names_of_the_modes_own_paths_can_be_shared(daemon):
    """A file called download, or like the pages' own assets, is still there."""
    daemon.file('d/download', b'the file')
    daemon.file('d/favicon.ico', b'icon')
    service = daemon.share('docs', os.path.join(daemon.content, 'd'), options=KEEP)
    data = fetch(service['backend'], '/download').body
    with zipfile.ZipFile(io.BytesIO(data)) as z:
        assert z.read('download') == b'the file' and z.read('favicon.ico') == b'icon'


def test_new_files_appear_and_old_ones_vanish(daemon):
    daemon.file('d/a.txt', b'a')
    service = daemon.share('docs', os.path.join(daemon.content, 'd'), options=KEEP)
    assert b'a.txt' in fetch(service['backend']).body
    daemon.file('d/new.txt', b'new')
    until(lambda: b'new.txt' in fetch(service['backend']).body, 'the new file is listed')
    data = until(lambda: (b := fetch(service['backend'], '/download').body) and b'new.txt' in b
                 and b, 'the new file is in the zip')
    assert sorted(zipfile.ZipFile(io.BytesIO(data)).namelist()) == ['a.txt', 'new.txt']
    os.unlink(os.path.join(daemon.content, 'd/a.txt'))
    until(lambda: b'a.txt' not in fetch(service['backend']).body, 'the old one is gone')
    assert fetch(service['backend'], '/a.txt').status == 404


# --- crash in the middle ---

@pytest.mark.parametrize('kind', ['file', 'zip'])
def test_a_download_resumes_after_kill_9(daemon, kind):
    """Same address, key and running; the rest of the same bytes, by range."""
    digest = hashlib.sha256()
    if kind == 'file':
        path = daemon.file('big', b''.join(hashlib.sha256(b'%d' % i).digest() * 1024
                                           for i in range(1500)))
    else:
        for i in range(40):
            daemon.file(f'many/{i:03}', hashlib.sha256(b'%d' % i).digest() * 40000)
        path = os.path.join(daemon.content, 'many')
    before = daemon.share('docs', path)
    reference = fetch(before['backend'], '/download', {'Range': 'bytes=0-0'})
    total = int(reference['content-range'].rpartition('/')[2])
    with Connection(before['backend']) as c:
        c.send(b'GET /download HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
        head = c.read_head()
        got = c.read_exactly(total // 3)
        daemon.kill()
        try:
            got += c.read_to_end()
        except Closed:
            pass
    assert len(got) < total
    daemon.start()
    after = daemon.until_state('docs', 'running')
    assert (after['url'], after['keys']) == (before['url'], before['keys'])
    tag = re.search(rb'(?i)etag: (".*?")', head)[1].decode()
    rest = ranged(after, f'bytes={len(got)}-', **{'If-Range': tag})
    assert rest.status == 206 and len(got) + len(rest.body) == total
    digest.update(got + rest.body)
    if kind == 'file':
        with open(path, 'rb') as f:
            assert hashlib.sha256(f.read()).digest() == digest.digest()
    else:
        is_the_tree(got + rest.body, path)


def test_a_flood_of_downloads_does_not_flood_the_history(daemon):
    daemon.json('create', 'share', 'docs', daemon.file('a.txt', b'x'), '--no-autostop-sharing')
    daemon.json('start', 'docs')
    with Connection(daemon.backend('docs')) as c:
        for _ in range(300):
            assert c.request('GET', '/a.txt').status == 200
    daemon.json('stop', 'docs')
    entries = daemon.json('history', 'docs')
    one_by_one = sum(e['event'] == 'download' for e in entries)
    together = sum(e.get('count', 0) for e in entries if e['event'] == 'transfers')
    assert one_by_one + together == 300
    assert len(entries) < 100
