# SPDX-License-Identifier: GPL-3.0-or-later
"""What is not for visitors of a website: links, special files, what lies outside, dotfiles."""
import gzip
import os
import re
import shutil
import socket
import stat
import subprocess
import tempfile
import threading
import time
from collections import Counter

import pytest

from lib.daemon import BUILD
from lib.http import raw
from lib.website import PROSE, ask, fill, make


@pytest.fixture
def site(daemon):
    return fill(daemon)


@pytest.fixture
def url(daemon, site):
    return make(daemon, 'web', site)['backend']


CANARY = b'canary-of-the-outside-7193'


def strings():
    """300 ways to ask for what is outside, or for what a sloppy decoder would make of it."""
    ups = ['..', '%2e%2e', '.%2e', '%2e.', '%252e%252e', '..%00', '..;', '..%5c', '..\\', '%c0%ae%c0%ae',
           '%e0%80%ae%e0%80%ae', '..%c0%af', '%uff0e%uff0e', '．．', '....', '..%2f', '..%252f', '.',
           '%2e', '..%09', '..%20', '..%0a', '..%ff', '%2e%2e%2f', '..%01']
    ends = ['/outside/canary', '//outside/canary', '/./outside/canary', '%2foutside%2fcanary',
            '\\outside\\canary', '/outside/canary%00.html']
    starts = ['', 'sub/']
    return [f'/{s}{u}{e}' for s in starts for u in ups for e in ends] + ['/link', '/linked/canary']


def test_nothing_outside_is_reached(daemon, site, url):
    canary = daemon.file('outside/canary', CANARY)
    os.symlink(canary, os.path.join(site, 'link'))
    os.symlink(os.path.dirname(canary), os.path.join(site, 'linked'))
    os.symlink('../outside', os.path.join(site, 'sub', 'relative'))
    os.symlink('/proc/self/root', os.path.join(site, 'magic'))
    os.symlink('index.html', os.path.join(site, 'inside'))
    targets = strings() + ['/sub/relative/canary', '/linked/', '/linked', '/magic' + canary,
                           '/inside', canary, '/' + canary, '/proc/self/environ', 'http://x' + canary]
    assert len(set(targets)) >= 300
    for target in targets:
        answer = ask(url, target)
        assert answer.status in (400, 404, 421), target
        assert CANARY not in answer.body
        assert answer.get('location') is None
    page = ask(url, '/sub/../').status
    assert page in (400, 404)


def test_special_files_are_not_there_and_notice_nothing(daemon, site, url):
    os.mkfifo(os.path.join(site, 'fifo'))
    # Where a page would be looked for, and beside a text.
    for name in ('files/index.html', '404.html', 'prose.txt.gz', 'prose.txt.br'):
        os.mkfifo(os.path.join(site, name))
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(os.path.join(site, 'socket'))
        for kind, form, device in (('null', stat.S_IFCHR, (1, 3)), ('zero', stat.S_IFCHR, (1, 5)),
                                   ('disk', stat.S_IFBLK, (7, 0))):
            try:
                os.mknod(os.path.join(site, kind), form | 0o666, os.makedev(*device))
            except PermissionError:
                pass
        for name in ('fifo', 'socket', 'null', 'zero', 'disk', 'fifo/', 'socket/x'):
            begun = time.monotonic()
            assert ask(url, '/' + name).status == 404, name
            assert time.monotonic() - begun < 10
        text = ask(url, '/prose.txt', 'Accept-Encoding: gzip, br')
        assert gzip.decompress(text.body) == PROSE
    # Who waits for a reader of a FIFO still waits.
    for name in ('fifo', 'files/index.html', '404.html', 'prose.txt.gz'):
        with pytest.raises(OSError):
            os.open(os.path.join(site, name), os.O_WRONLY | os.O_NONBLOCK)
    os.unlink(os.path.join(site, 'index.html'))
    listed = ask(url, '/').body.decode()
    assert 'prose.txt' in listed
    assert not [n for n in ('fifo', 'socket', 'null', 'zero', 'disk', '404', '.gz') if n in listed]
    listing = ask(url, '/files/').body.decode()
    assert 'one.txt' in listing and 'index.html' not in listing


SWAPPER = os.path.join(BUILD, 'tests', 'swapper')


@pytest.fixture
def fast_folder(tmp_path):
    """In memory, where names are exchanged fastest."""
    if not os.access('/dev/shm', os.W_OK):
        yield str(tmp_path)
        return
    with tempfile.TemporaryDirectory(prefix='os-', dir='/dev/shm') as folder:
        yield folder


def test_a_link_that_comes_and_goes_lets_nobody_out(daemon, fast_folder):
    """A file, a folder, one on the way, and what is beside a text in its place, each swapped
    with a link to the outside as fast as the kernel does it: 100,000 times a second and more."""
    def put(name, data):
        path = os.path.join(fast_folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'wb') as f:
            f.write(data)
    for name in ('canary', 'page.txt', 'way/page.txt'):
        put('outside/' + name, CANARY)
    for name in ('page.txt', 'swap/page.txt', 'deep/way/page.txt'):
        put('site/' + name, b'inside\n')
    put('site/prose.txt', PROSE)
    put('site/prose.txt.gz', gzip.compress(PROSE))
    pairs = []
    for name, target in (('page.txt', 'page.txt'), ('swap', ''), ('deep', ''),
                         ('prose.txt.gz', 'canary')):
        os.symlink(os.path.join(fast_folder, 'outside', target),
                   os.path.join(fast_folder, 'site', 'link-' + name))
        pairs += [name, 'link-' + name]
    url = make(daemon, 'web', os.path.join(fast_folder, 'site'))['backend']
    targets = ('/swap/page.txt', '/page.txt', '/swap/', '/swap', '/', '/deep/way/page.txt',
               '/deep/way/', '/prose.txt', '/link-swap/page.txt', '/link-page.txt')
    swapping = subprocess.Popen([SWAPPER, os.environ.get('ONIONSHARED_SWAP_SECONDS', '3'),
                                 os.path.join(fast_folder, 'site'), *pairs],
                                stdout=subprocess.PIPE, text=True)
    seen, faults, answers = set(), [], []

    def visit():
        while swapping.poll() is None and not faults:
            for target in targets:
                # A file that is moved away while it is sent may end in a cut connection.
                request = f'GET {target} HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n'
                data = raw(url, request.encode())
                if b'canary' in data:
                    faults.append((target, data))
                seen.add((target, data[9:12]))
                answers.append(len(data))
    visitors = [threading.Thread(target=visit) for _ in range(4)]
    for v in visitors:
        v.start()
    for v in visitors:
        v.join()
    rate = int(swapping.communicate()[0])
    assert swapping.returncode == 0 and not faults, faults[:3]
    print(f'{rate} swaps a second, {len(answers)} answers')
    assert rate > 1000
    # Both were seen: there, and not there.
    for target in ('/page.txt', '/swap/page.txt', '/deep/way/page.txt'):
        assert {(target, b'200'), (target, b'404')} <= seen, seen


# --- dotfiles ---

LOOKS = 'openat2,openat,open,fstat,newfstatat,statx,pread64,preadv2,read,sendfile,getdents64'


def calls_for(url, trace, target):
    """What the daemon asked the kernel about files for a request: (call, result) each."""
    begin = os.path.getsize(trace)
    ask(url, target)
    with open(trace) as f:
        f.seek(begin)
        lines = f.read().splitlines()
    found = re.findall(r'^\d+ +(\w+)\((?:.*?)(?:, (\{st_mode=\S+))?.*\) += (-?\d+(?: E\w+)?)',
                       '\n'.join(lines), re.M)
    # The loop is woken by reads of its own descriptors.
    return [(call, re.sub(r'^\d+$', 'ok', result)) for call, _, result in found if call != 'read']


def test_a_hidden_name_costs_the_same_system_calls_as_one_that_is_not_there(make_daemon):
    if not shutil.which('strace'):
        pytest.skip('strace is not installed')
    daemon = make_daemon()
    trace = os.path.join(daemon.dir, 'trace')
    # One thread for files: what one request asks for stands in one order.
    daemon.env['UV_THREADPOOL_SIZE'] = '1'
    daemon.env['ASAN_OPTIONS'] += ':detect_leaks=0'
    daemon.wrapper = ['strace', '-f', '-qq', '-s', '300', '-e', 'trace=' + LOOKS, '-o', trace]
    daemon.start()
    url = make(daemon, 'web', fill(daemon))['backend']
    pairs = [('/.git/config', '/xgit/config'), ('/.git/', '/xgit/'), ('/.git', '/xgit'),
             ('/files/.hidden', '/files/xhidden'), ('/files/.hidden/', '/files/xhidden/')]
    for hidden, absent in pairs:
        # Now and then the kernel has to be asked twice, when names change elsewhere.
        seen = {target: Counter() for target in (hidden, absent)}
        for _ in range(9):
            for target, counter in seen.items():
                counter[tuple(calls_for(url, trace, target))] += 1
        there, nowhere = (counter.most_common(1)[0][0] for counter in seen.values())
        assert there == nowhere, seen
        assert ('openat2', '-1 ENOENT') in there, there
