# SPDX-License-Identifier: GPL-3.0-or-later
"""A website from outside: some files of each kind, and what a visitor is answered."""
import os
import time

from lib.http import Connection
from lib.waiting import until

PROSE = b'Nothing that is written here means anything at all. ' * 400
# A file younger than that is not kept in memory, nor made smaller: it may change unseen.
GROWN_UP = 0.08


def make(daemon, name, *paths, options=()):
    """A running website."""
    daemon.json('create', 'website', name, *paths, *options)
    daemon.json('start', name)
    return daemon.show(name)


def fill(daemon):
    """The folder site below content/, with a few files: its path."""
    daemon.file('site/index.html', b'<h1>front</h1>\n')
    daemon.file('site/style.css', b'body { color: red }\n')
    daemon.file('site/prose.txt', PROSE)
    daemon.file('site/picture.png', os.urandom(5000))
    daemon.file('site/film.webm', os.urandom(700_000))
    daemon.file('site/sub/index.html', b'<h1>below</h1>\n')
    daemon.file('site/files/one.txt', b'one\n')
    daemon.file('site/files/two.bin', b'two\n')
    daemon.file('site/.git/config', b'[secret]\n')
    daemon.file('site/files/.hidden', b'hidden\n')
    grow_up(daemon.content + '/site/files/.hidden')
    return os.path.join(daemon.content, 'site')


def ask(address, target, *headers, method='GET'):
    """Whole lines, since some come twice."""
    with Connection(address) as c:
        lines = [f'{method} {target} HTTP/1.1', f'Host: {c.host}', *headers, '', '']
        c.send('\r\n'.join(lines).encode('utf-8'))
        return c.read_response(head_only=method == 'HEAD')


def grow_up(*paths):
    until(lambda: all(time.time() - os.stat(p).st_ctime > GROWN_UP for p in paths),
          'the files are no news any more')
