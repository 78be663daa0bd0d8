# SPDX-License-Identifier: GPL-3.0-or-later
"""Trees that no friendly program makes, and trees that change under the server."""
import io
import os
import socket
import subprocess
import threading
import time
import zipfile

import pytest

from lib import proc
from lib.http import Closed, Connection, fetch
from lib.waiting import until

KEEP = ['--no-autostop-sharing']
CANARY = b'canary-that-lies-outside'


def names(data):
    with zipfile.ZipFile(io.BytesIO(data)) as z:
        assert z.testzip() is None
        return sorted(z.namelist())


def root(daemon):
    return os.path.join(daemon.content, 'd')


def share_root(daemon, *options):
    return daemon.share('docs', root(daemon), options=[*KEEP, *options])


def zip_of(service):
    answer = fetch(service['backend'], '/download')
    assert answer.status == 200 and len(answer.body) == int(answer['content-length'])
    return answer.body


def test_special_files_are_left_out_and_block_nothing(daemon):
    daemon.file('d/good', b'good')
    os.mkfifo(os.path.join(root(daemon), 'fifo'))
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(os.path.join(root(daemon), 'socket'))
    if os.geteuid() == 0:
        os.mknod(os.path.join(root(daemon), 'device'), 0o600 | 0o020000, os.makedev(1, 5))
    service = share_root(daemon)
    page = fetch(service['backend']).body
    assert b'good' in page
    for special in ('fifo', 'socket', 'device'):
        assert b'>' + special.encode() not in page
        assert fetch(service['backend'], '/' + special, timeout=5).status == 404
    assert names(zip_of(service)) == ['good']
    listener.close()


def test_links_are_left_out_and_never_followed(daemon):
    daemon.file('outside/secret', CANARY)
    daemon.file('d/good', b'good')
    daemon.file('d/sub/file', b'file')
    outside = os.path.join(daemon.content, 'outside')
    for name, target in [('up', '../outside/secret'), ('abs', outside + '/secret'),
                         ('dir', outside), ('inside', 'good'), ('loop', 'loop'),
                         ('a', 'b'), ('b', 'a'), ('self', '.'), ('parent', '..'),
                         ('magic', '/proc/self/root'), ('fd', '/proc/self/fd/1'),
                         ('sub/deep', '../../outside'), ('dangling', 'nowhere')]:
        os.symlink(target, os.path.join(root(daemon), name))
    service = share_root(daemon)
    for target in ('/up', '/abs', '/dir', '/dir/secret', '/inside', '/loop', '/a', '/self',
                   '/self/good', '/parent', '/parent/outside/secret', '/magic',
                   '/magic/etc/passwd', '/fd', '/sub/deep', '/sub/deep/secret', '/dangling'):
        answer = fetch(service['backend'], target)
        assert answer.status == 404 and CANARY not in answer.body, target
    data = zip_of(service)
    assert CANARY not in data and names(data) == ['good', 'sub/file']
    assert CANARY not in fetch(service['backend']).body


def test_a_link_put_in_the_place_of_a_file_in_a_race(daemon):
    """A file and a link to a secret swap places as fast as they can."""
    daemon.file('outside/secret', CANARY * 10)
    daemon.file('d/good', b'good' * 60)
    path = os.path.join(root(daemon), 'good')
    spare, link = path + '.file', path + '.link'
    os.link(path, spare)
    os.symlink(os.path.join(daemon.content, 'outside/secret'), link)
    swap = subprocess.Popen(
        ['/usr/bin/python3', '-c', '''
import ctypes, sys
libc = ctypes.CDLL(None)
a, b = (p.encode() for p in sys.argv[1:])
while True:
    libc.renameat2(-100, a, -100, b, 2)
''', path, link])
    try:
        service = share_root(daemon)
        deadline = time.monotonic() + 6
        seen = set()
        while time.monotonic() < deadline:
            for target in ('/good', '/download', '/'):
                try:
                    answer = fetch(service['backend'], target)
                except Closed as cut:
                    assert CANARY not in cut.args[0]
                    continue
                except ConnectionResetError:
                    continue  # cut, so that what came does not look complete
                assert CANARY not in answer.body, target
                seen.add((target, answer.status))
        assert ('/good', 200) in seen and ('/good', 404) in seen
    finally:
        swap.kill()
        swap.wait()


def test_a_folder_that_becomes_a_link(daemon):
    daemon.file('outside/file', CANARY)
    daemon.file('d/sub/file', b'inside')
    service = share_root(daemon)
    assert fetch(service['backend'], '/sub/file').body == b'inside'
    os.rename(os.path.join(root(daemon), 'sub'), os.path.join(daemon.content, 'moved'))
    os.symlink('../outside', os.path.join(root(daemon), 'sub'))

    def gone():
        answer = fetch(service['backend'], '/sub/file')
        assert CANARY not in answer.body
        return answer.status == 404
    until(gone, 'the folder that was moved away is served no more')
    try:
        assert CANARY not in fetch(service['backend'], '/download').body
    except Closed as cut:
        assert CANARY not in cut.args[0]


def test_names_that_are_not_utf8_are_reached_by_their_bytes(daemon):
    daemon.file(b'd/\xff\xfe-latin-\xe4.txt', b'bytes')
    daemon.file(b'd/caf\xe9/x', b'x')
    service = share_root(daemon)
    assert fetch(service['backend'], '/%FF%FE-latin-%E4.txt').body == b'bytes'
    assert fetch(service['backend'], '/caf%E9/x').body == b'x'
    page = fetch(service['backend']).body
    assert page.decode('utf-8') and b'%FF%FE-latin-%E4.txt' in page.upper().replace(
        b'%FF%FE-LATIN-%E4.TXT', b'%FF%FE-latin-%E4.txt')
    found = names(zip_of(service))
    assert len(found) == 2 and all('\ufffd' in n for n in found)


def test_two_names_that_become_one_are_told_apart(daemon):
    daemon.file(b'd/x\xff', b'1')
    daemon.file(b'd/x\xfe', b'2')
    daemon.file('d/x\ufffd', b'3')
    data = zip_of(share_root(daemon))
    with zipfile.ZipFile(io.BytesIO(data)) as z:
        assert len(set(z.namelist())) == 3
        assert {z.read(n) for n in z.namelist()} == {b'1', b'2', b'3'}


@pytest.mark.parametrize('name', ['..', '...', '. .', ' ', 'a\\..\\b', 'C:\\x', '~', '*', '?', '|',
                                  'con', 'x.', 'a\nb', 'a\x01b', '\u202egnp', 'é', 'e\u0301'])
def test_names_that_are_odd_elsewhere(daemon, name):
    if name == '..':
        name = '..x'
    daemon.file('d/' + name, b'odd')
    daemon.file('d/plain', b'plain')
    service = share_root(daemon)
    found = names(zip_of(service))
    assert len(found) == 2
    for entry in found:
        assert '\\' not in entry and not entry.startswith('/')


def test_old_and_odd_times(daemon):
    """1975 is before a zip's epoch, 2200 beyond it, and negative is before everybody's."""
    for i, when in enumerate((157766400, 0, -1_000_000_000, 7258118400, 2**33)):
        daemon.file(f'd/{i}', b'x', mtime=when)
    service = share_root(daemon)
    assert len(names(zip_of(service))) == 5
    assert fetch(service['backend'], '/0').status == 200


def as_nobody(make_daemon):
    """A daemon that is not root, on directories of its own."""
    if os.geteuid() != 0:
        return make_daemon().start()
    daemon = make_daemon(wrapper=['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'])
    os.chmod(daemon.dir, 0o755)
    for path in (daemon.state, daemon.runtime):
        os.makedirs(path, exist_ok=True)
        os.chown(path, 65534, 65534)
    return daemon.start()


def test_what_the_daemon_may_not_read_is_named(make_daemon):
    """As root's client a path is handed over open, so the daemon's own rights count only for a walk."""
    daemon = as_nobody(make_daemon)
    daemon.file('d/good', b'good')
    secret = daemon.file('d/secret', CANARY)
    os.chmod(secret, 0o600)
    closed = os.path.join(root(daemon), 'closed')
    daemon.file('d/closed/x', CANARY)
    os.chmod(closed, 0o700)
    os.chmod(root(daemon), 0o755)
    result = daemon.ctl('create', 'share', 'docs', root(daemon), *KEEP)
    if result.status != 0:
        # Refused as a whole: then it says which, as whom, and what to do.
        assert result.status == 1 and ('secret' in result.err or 'closed' in result.err), result
        assert 'nobody' in result.err or '65534' in result.err, result
        return
    daemon.json('start', 'docs')
    service = daemon.show('docs')
    page = fetch(service['backend'])
    assert page.status == 200 and CANARY not in page.body
    assert fetch(service['backend'], '/secret').status in (403, 404)
    assert fetch(service['backend'], '/closed/x').status in (403, 404)
    try:
        assert 'good' in names(zip_of(service))
    except Closed:
        pass


def test_a_caller_shares_only_what_the_caller_can_read(daemon):
    """Root's daemon, an unprivileged caller: no confused deputy."""
    if os.geteuid() != 0:
        pytest.skip('needs root to be somebody else')
    secret = daemon.file('secret', CANARY)
    os.chmod(secret, 0o600)
    os.chmod(daemon.dir, 0o755)
    os.chmod(daemon.runtime, 0o755)
    os.chmod(daemon.control, 0o666)
    result = daemon.ctl('create', 'share', 'theirs', secret,
                        wrapper=['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'])
    assert result.status in (1, 5, 6), result
    assert daemon.json('list') == []


def test_a_share_whose_files_vanish(daemon):
    path = daemon.file('d/a', b'a')
    daemon.file('d/b', b'b')
    service = share_root(daemon)
    zip_of(service)
    os.unlink(path)
    assert fetch(service['backend'], '/a').status == 404
    until(lambda: names(zip_of(service)) == ['b'], 'the zip is made of what is there')
    subprocess.run(['rm', '-r', root(daemon)], check=True)
    for target in ('/', '/b', '/download'):
        try:
            assert fetch(service['backend'], target).status in (200, 404, 500, 503)
        except (Closed, OSError):
            pass
    assert daemon.json('status')['services']['total'] == 1


def download_while(service, change, total, at=1_000_000):
    """Reads a bit of a download, changes something, reads the rest: (bytes, complete?)."""
    with Connection(service['backend']) as c:
        # A small window, so that the server has not sent it all before the change.
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        c.send(b'GET /download HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
        head = c.read_head()
        got = c.read_exactly(at)
        change()
        try:
            got += c.read_exactly(total - at)
        except (Closed, ConnectionResetError) as cut:
            return head, got + (cut.args[0] if isinstance(cut, Closed) else b''), False
        return head, got, True


BIG = 300_000_000


@pytest.mark.parametrize('how', ['truncated', 'deleted', 'replaced', 'rewritten', 'grown'])
def test_a_file_that_changes_while_it_is_sent(daemon, how):
    """Cut, or the bytes as they were: never a complete-looking mixture."""
    path = daemon.file('big', b'')
    os.truncate(path, BIG)
    service = daemon.share('docs', path, options=KEEP)

    def change():
        if how == 'truncated':
            os.truncate(path, 2_000_000)
        elif how == 'deleted':
            os.unlink(path)
        elif how == 'replaced':
            with open(path + '.new', 'wb') as f:
                f.write(b'N' * 3_000_000)
            os.rename(path + '.new', path)
        elif how == 'rewritten':
            with open(path, 'r+b') as f:
                f.seek(BIG // 2)
                f.write(b'W' * (BIG // 2))
        else:
            with open(path, 'ab') as f:
                f.write(b'G' * 1_000_000)
    _, got, complete = download_while(service, change, BIG)
    if complete:
        assert got.count(0) == len(got), 'a mixture that looks complete'
    else:
        assert how != 'deleted' or len(got) < BIG
    assert daemon.json('status')['services']['total'] == 1


@pytest.mark.parametrize('how', ['truncated', 'deleted', 'grown', 'rewritten', 'fifo'])
def test_a_zip_whose_files_change_while_it_is_sent(daemon, how):
    for i in range(4):
        os.truncate(daemon.file(f'd/{i}', b''), BIG // 4)
    last = os.path.join(root(daemon), '3')
    service = share_root(daemon)
    total = int(fetch(service['backend'], '/download', method='HEAD')['content-length'])

    def change():
        if how == 'truncated':
            os.truncate(last, 10)
        elif how == 'grown':
            with open(last, 'ab') as f:
                f.write(b'more')
        elif how == 'rewritten':
            with open(last, 'r+b') as f:
                f.write(b'W' * 1000)
        else:
            os.unlink(last)
            if how == 'fifo':
                os.mkfifo(last)
    _, got, complete = download_while(service, change, total)
    if complete:
        # Then it is a whole and true archive.
        assert how in ('grown', 'rewritten')
        assert names(got) == ['0', '1', '2', '3']
    assert fetch(service['backend'], '/').status == 200


def test_20_000_files(daemon, sanitized):
    for i in range(200):
        folder = os.path.join(root(daemon), f'{i:03}')
        os.makedirs(folder)
        for k in range(100):
            with open(os.path.join(folder, f'{k:02}'), 'wb') as f:
                f.write(b'%d/%d' % (i, k))
    before = proc.rss(daemon.pid)
    begun = time.monotonic()
    service = share_root(daemon)
    assert time.monotonic() - begun < (20 if sanitized else 2)
    assert fetch(service['backend'], '/').status == 200
    data = zip_of(service)
    assert len(names(data)) == 20_000
    with zipfile.ZipFile(io.BytesIO(data)) as z:
        assert z.read('123/45') == b'123/45'
    middle = fetch(service['backend'], '/download',
                   {'Range': f'bytes={len(data) // 2}-{len(data) // 2 + 999}'})
    assert middle.body == data[len(data) // 2:len(data) // 2 + 1000]
    if not sanitized:
        assert proc.rss(daemon.pid) - before < 64 << 20


def test_one_folder_with_many_files_and_long_names(daemon):
    folder = os.path.join(root(daemon), *['n' * 200] * 10)
    os.makedirs(folder)
    for i in range(3000):
        with open(os.path.join(folder, f'{i:04}' + 'x' * 250), 'w'):
            pass
    service = share_root(daemon)
    assert len(names(zip_of(service))) == 3000
    page = fetch(service['backend'], '/' + '/'.join(['n' * 200] * 10))
    assert page.status == 200 and page.body.count(b'x' * 250) >= 3000


def test_a_deep_tree(daemon):
    """Deeper than any stack should be, up to what the kernel lets a program name."""
    os.makedirs(root(daemon))
    here = os.open(root(daemon), os.O_RDONLY)
    for _ in range(600):
        os.mkdir('d', dir_fd=here)
        deeper = os.open('d', os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(os.open('leaf', os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=here))
    os.close(here)
    daemon.json('create', 'share', 'docs', root(daemon), *KEEP)
    result = daemon.ctl('start', 'docs')
    if result.status == 0:
        assert fetch(daemon.backend('docs'), '/').status == 200
    else:
        assert result.status == 3 and 'levels' in result.err, result
        assert daemon.show('docs')['state'] == 'failed'


def test_6_gib_of_holes(daemon, sanitized):
    """Sizes beyond 32 bits: ZIP64, ranges deep inside, no waiting."""
    os.truncate(daemon.file('d/hole', b''), 6 << 30)
    daemon.file('d/small', b'small')
    service = share_root(daemon)
    backend = service['backend']
    begun = time.monotonic()
    head = fetch(backend, '/download', method='HEAD')
    total = int(head['content-length'])
    assert total > 6 << 30 and time.monotonic() - begun < 2
    deep = fetch(backend, '/hole', {'Range': f'bytes={(5 << 30) + 7}-{(5 << 30) + 16}'})
    assert deep.status == 206 and deep.body == bytes(10)
    assert deep['content-range'] == f'bytes {(5 << 30) + 7}-{(5 << 30) + 16}/{6 << 30}'
    if sanitized:
        return
    # The end of the archive has the directory: what a reader looks at first.
    tail = fetch(backend, '/download', {'Range': 'bytes=-400'}, timeout=120)
    assert tail.status == 206 and b'PK\x06\x06' in tail.body and b'PK\x05\x06' in tail.body


def test_many_readers_of_a_changing_tree(daemon):
    """Listings and zips while files come and go: errors are allowed, damage is not."""
    for i in range(50):
        daemon.file(f'd/{i}', b'x' * 1000)
    service = share_root(daemon)
    stop = threading.Event()

    def churn():
        n = 0
        while not stop.is_set():
            n += 1
            daemon.file(f'd/new{n % 20}', os.urandom(2000))
            try:
                os.unlink(os.path.join(root(daemon), f'new{(n + 10) % 20}'))
            except FileNotFoundError:
                pass
    thread = threading.Thread(target=churn)
    thread.start()
    try:
        whole = 0
        for _ in range(60):
            try:
                answer = fetch(service['backend'], '/download')
            except (Closed, ConnectionResetError):
                continue
            if answer.status == 200:
                assert len(names(answer.body)) >= 50
                whole += 1
    finally:
        stop.set()
        thread.join()
    assert whole > 0 or len(names(zip_of(service))) >= 50
