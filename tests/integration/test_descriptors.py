# SPDX-License-Identifier: GPL-3.0-or-later
"""No descriptor is closed twice: by then its number may be another thread's new file."""
import os
import re
import shutil
import threading

import pytest

from lib import http
from lib.chat import Member
from lib.dropbox import ajax, dropbox, form, post
from lib.http import Connection


def visit_all(address, over):
    """A list, a file that is small and one that is not, what is not there, half a file."""
    while not over.is_set():
        for target in ('/', '/index.html', '/big.bin', '/nowhere', '/download'):
            http.fetch(address, target, {'Accept-Encoding': 'gzip'})
        with Connection(address) as c:
            c.send(f'GET /big.bin HTTP/1.1\r\nHost: {c.host}\r\n\r\n'.encode())
            c.read_exactly(1000)


def visited(daemon, names, work):
    """work() while there are visitors."""
    over = threading.Event()
    visitors = [threading.Thread(target=visit_all, args=(daemon.backend(name), over))
                for name in names for _ in range(2)]
    for v in visitors:
        v.start()
    try:
        work()
    finally:
        over.set()
        for v in visitors:
            v.join()


def content_comes_and_goes(daemon, folders):
    for mode, options in (('share', ['--no-autostop-sharing']), ('website', [])):
        for copy in ([], ['--copy']):
            name = mode + ('-copy' if copy else '')
            daemon.json('create', mode, name, folders[0], *options, *copy)
            daemon.json('start', name)

    def exchange():
        for i in range(6):
            for name in names:
                daemon.json('publish', name, folders[(i + 1) % 2])
    names = ('share', 'share-copy', 'website', 'website-copy')
    visited(daemon, names, exchange)
    assert daemon.ctl('publish', 'website-copy', '/nowhere').status != 0
    daemon.json('add', 'share', os.path.join(folders[0], 'index.html'))
    daemon.json('remove', 'share', folders[0])
    daemon.json('restart', 'website')


def submissions_arrive(daemon):
    box = dropbox(daemon)['backend']
    for _ in range(5):
        assert ajax(box, ('file[]', 'a', os.urandom(300_000)), ('text', None, b'hi'))[0] == 200
    # One that ends in the middle.
    body = form(('file[]', 'b', os.urandom(300_000)))
    with Connection(box) as c:
        c.send(b'POST /upload HTTP/1.1\r\nHost: ' + c.host.encode() + b'\r\nContent-Length: '
               + str(len(body)).encode() + b'\r\nContent-Type: multipart/form-data; '
               b'boundary=----onionshare-test\r\n\r\n' + body[:200_000])
    assert post(box, b'nonsense').status == 400
    first = str(daemon.json('inbox', 'list', 'box')[0]['id'])
    daemon.json('inbox', 'save', 'box', first, os.path.join(daemon.dir, 'saved'))
    daemon.json('inbox', 'delete', 'box', first)


def people_talk(daemon):
    daemon.json('create', 'chat', 'room')
    address = daemon.json('start', 'room')['backend']
    for _ in range(5):
        with Member(address) as member:
            member.say('hello')
            member.receive()
            http.fetch(address, '/')


def test_nothing_is_closed_twice(make_daemon):
    if not shutil.which('strace'):
        pytest.skip('strace is not installed')
    daemon = make_daemon()
    trace = os.path.join(daemon.dir, 'trace')
    daemon.wrapper = ['strace', '-f', '-qq', '-e', 'trace=close', '-e', 'status=failed', '-o',
                      trace]
    # Under strace a leak checker cannot attach.
    daemon.env['ASAN_OPTIONS'] += ':detect_leaks=0'
    daemon.start()
    folders = []
    for version in (b'1', b'2'):
        daemon.file(b'v%s/index.html' % version, version * 2000)
        daemon.file(b'v%s/more/page.html' % version, version)
        big = daemon.file(b'v%s/big.bin' % version, version * 600_000)
        folders.append(os.path.dirname(big))
    content_comes_and_goes(daemon, folders)
    submissions_arrive(daemon)
    people_talk(daemon)
    assert daemon.stop() == 0
    with open(trace) as f:
        said = f.read()
    assert not re.findall(r'.*EBADF.*', said), said[-2000:]
