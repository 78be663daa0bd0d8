# SPDX-License-Identifier: GPL-3.0-or-later
"""A dropbox on disks that are full, fail, or may not be written to any more."""
import errno
import os
import shutil
import signal
import subprocess
import threading
import time

import pytest

from lib import proc
from lib.daemon import BUILD
from lib.dropbox import (BOUNDARY, ajax, check_whole, dropbox, form, post, submission,
                         submissions)
from lib.http import Closed, Connection
from lib.waiting import until

DATA = os.urandom(1 << 20)
RECIPIENT = 'age1hjt9pj3sf557lu7ymacxwv4rl0vsegddugagdywgtn0vr3guxueqvz6pew'


class Disk:
    """A small file system of its own for a data directory."""

    def __init__(self, path):
        self.path = path
        self.root = os.path.join(path, 'box')
        self.run('mount', '-t', 'tmpfs', '-o', 'size=16m,nr_inodes=64,mode=0777', 'none', path)

    def run(self, *argv):
        subprocess.run(argv, check=True, capture_output=True)

    def remount(self, how):
        self.run('mount', '-o', f'remount,{how}', self.path)

    def used(self):
        """Bytes and inodes."""
        v = os.statvfs(self.path)
        return (v.f_blocks - v.f_bfree) * v.f_frsize, v.f_files - v.f_ffree


@pytest.fixture(name='disk')
def disk_fixture(tmp_path):
    path = tmp_path / 'disk'
    path.mkdir()
    try:
        disk = Disk(str(path))
    except (OSError, subprocess.CalledProcessError):
        pytest.skip('a small disk needs a mount, which is not allowed here')
    yield disk
    subprocess.run(['umount', '-l', disk.path], check=True)


def upload(address, *parts):
    """The status; refused while it is sent, too."""
    body = form(*parts)
    with Connection(address, timeout=60) as c:
        try:
            c.send(f'POST /upload-ajax HTTP/1.1\r\nHost: {c.host}\r\nTransfer-Encoding: chunked\r\n'
                   f'Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n'.encode()
                   + b'%x\r\n' % len(body) + body + b'\r\n0\r\n\r\n')
        except OSError:
            pass
        return c.read_response().status


def test_a_full_disk_refuses_and_serves_again_when_there_is_room(daemon, disk):
    address = dropbox(daemon, 'box', '--data-dir', disk.root)['backend']
    other = dropbox(daemon, 'other')['backend']
    before = disk.used()
    big = ('file[]', 'big', b'x' * (64 << 20))
    assert ajax(address, big)[0] == 507  # by its announced length
    assert upload(address, big) == 507
    until(lambda: disk.used() == before, 'all room is free again')
    assert submissions(disk.root) == []
    assert ajax(other, ('file[]', 'a', DATA))[0] == 200
    with open(os.path.join(disk.path, 'filler'), 'wb') as f:
        try:
            while f.write(DATA):
                f.flush()
        except OSError:
            pass
    assert ajax(address, ('text', None, b'hello'))[0] == 507
    assert daemon.show('box')['reason'] is None  # who sends too much says nothing to the owner
    assert ajax(other, ('file[]', 'a', DATA))[0] == 200
    os.unlink(os.path.join(disk.path, 'filler'))
    assert ajax(address, ('text', None, b'hello'))[0] == 200
    assert submissions(disk.root) == [({}, b'hello')]


def test_uploads_at_once_on_a_disk_for_some_of_them(daemon, disk):
    address = dropbox(daemon, 'box', '--data-dir', disk.root)['backend']
    said = []
    visitors = [threading.Thread(target=lambda n=n: said.append(
        upload(address, ('file[]', 'a', DATA * 3), ('text', None, b'%d' % n)))) for n in range(12)]
    for v in visitors:
        v.start()
    for v in visitors:
        v.join()
    assert len(said) == 12 and set(said) <= {200, 507} and 507 in said
    kept = submissions(disk.root)
    assert len(kept) == said.count(200)
    assert all(files == {'a': DATA * 3} and message for files, message in kept)
    until(lambda: disk.used()[0] <= len(kept) * (len(DATA) * 3 + 4096), 'of others nothing stays')


def test_without_inodes_nothing_is_taken(daemon, disk):
    address = dropbox(daemon, 'box', '--data-dir', disk.root)['backend']
    before = disk.used()
    many = [('file[]', str(n), b'x') for n in range(100)]
    assert ajax(address, *many)[0] == 507
    until(lambda: disk.used() == before, 'all of it is gone')
    while (status := ajax(address, ('file[]', 'a', b'1'))[0]) == 200:
        pass
    assert status == 507
    assert len(submissions(disk.root)) >= 10
    # Some are left for what others do in it: taking things out, for one.
    assert os.statvfs(disk.path).f_favail >= 10
    entry = daemon.json('inbox', 'list', 'box')[0]
    daemon.json('inbox', 'delete', 'box', str(entry['id']))
    until(lambda: ajax(address, ('file[]', 'a', b'1'))[0] == 200, 'room again')


def test_a_disk_that_became_read_only_refuses_until_it_is_not(daemon, disk):
    address = dropbox(daemon, 'box', '--data-dir', disk.root)['backend']
    assert ajax(address, ('text', None, b'one'))[0] == 200
    disk.remount('ro')
    status, said = ajax(address, ('file[]', 'a', DATA), ('text', None, b'two'))
    assert status == 503 and 'error_flashes' in said
    answer = post(address, form(('text', None, b'three')), '/upload')
    assert answer.status == 503 and int(answer['retry-after']) > 0 and b'<form' in answer.body
    # What came in pieces is over, and begins again.
    headers = {'Upload-Complete': '?0'}
    path = post(address, b'', headers=headers)['location']
    r = post(address, form(('file[]', 'b', DATA)), path, {
        'Content-Type': 'application/partial-upload', 'Upload-Offset': '0',
        'Upload-Complete': '?1'}, method='PATCH')
    assert r.status == 503 and b'error_flashes' in r.body
    with Connection(address) as c:
        assert c.request('HEAD', path).status == 404
    # Its owner hears of it, once, and nothing of the visitor.
    trouble = 'submissions cannot be kept: Read-only file system'
    assert daemon.show('box')['state'] == 'running' and daemon.show('box')['reason'] == trouble
    assert daemon.log().count(f'warning: service box: {trouble}') == 1
    assert daemon.json('inbox', 'list', 'box')[0]['message'] is True
    disk.remount('rw')
    assert ajax(address, ('file[]', 'a', DATA))[0] == 200
    assert daemon.show('box')['reason'] is None
    assert sorted(len(files) for files, _ in submissions(disk.root)) == [0, 1]


# --- errors at every step ---

def files_thread(daemon):
    for task in os.listdir(f'/proc/{daemon.pid}/task'):
        with open(f'/proc/{daemon.pid}/task/{task}/comm') as f:
            if int(task) != daemon.pid and f.read().strip() != 'database':
                return task
    raise AssertionError('no thread for files')


def failing_at(daemon, call, error, n):
    """An strace that makes the n-th such call of the thread for files from now on fail."""
    task = files_thread(daemon)
    tracer = subprocess.Popen(['strace', '-qq', '-o', '/dev/null', '-e', f'trace={call}', '-e',
                               f'inject={call}:error={error}:when={n}', '-p', task],
                              stderr=subprocess.DEVNULL)

    def is_attached():
        with open(f'/proc/{daemon.pid}/task/{task}/status') as f:
            return f'TracerPid:\t{tracer.pid}\n' in f.read()
    until(is_attached, 'strace is attached')
    return tracer


@pytest.mark.parametrize('call,error', [
    # No write: the loop is woken by one, which must not fail. They have a test of their own.
    ('openat', 'EMFILE'), ('mkdirat', 'EIO'), ('fsync', 'EIO'), ('renameat2', 'EIO'),
    ('utimensat', 'EIO'), ('unlinkat', 'EIO'), ('fstatfs', 'EIO')])
def test_an_error_at_any_step_is_told_or_does_no_harm(make_daemon, call, error):
    if not shutil.which('strace'):
        pytest.skip('strace is not installed')
    daemon = make_daemon(env={'UV_THREADPOOL_SIZE': '1'}).start()
    service = dropbox(daemon)
    root, address = service['options']['data_dir'], service['backend']
    n, refused, acknowledged = 0, 0, set()
    while n < 60:
        tracer = failing_at(daemon, call, error, n + 1)
        files, message = submission(n)
        try:
            status = ajax(address, *(('file[]', k, d) for k, d in files.items()),
                          ('text', None, message))[0]
        except Closed:
            raise AssertionError(f'no answer at step {n}') from None
        finally:
            time.sleep(0.05)  # the last steps may come after the answer
            tracer.send_signal(signal.SIGINT)
            tracer.wait(30)
        assert proc.alive(daemon.pid)
        assert status in (200, 500, 507)
        if status == 200:
            acknowledged.add(n)
        refused += status != 200
        assert check_whole(root) == acknowledged, n
        n += 1
        if status == 200 and n > refused + 8:
            break
    assert refused or call == 'unlinkat', 'nothing failed'
    assert acknowledged, 'it never came to the end'
    # What could not be removed then goes with the service at the latest.
    daemon.json('stop', 'box')
    daemon.json('start', 'box')
    assert check_whole(root) == acknowledged
    run, = os.listdir(os.path.join(root, '.incoming'))
    assert os.listdir(os.path.join(root, '.incoming', run)) == []


class Writes:
    """Of a daemon: one of them to a file goes wrong."""

    def __init__(self, directory):
        self.path = os.path.join(directory, 'orders')
        with open(self.path, 'wb') as f:
            f.write(bytes(16))

    def env(self):
        return {'LD_PRELOAD': os.path.join(BUILD, 'tests', 'nowrite.so'), 'NOWRITE': self.path,
                # The sanitizer wants to be the first library, and need not be.
                'ASAN_OPTIONS': 'verify_asan_link_order=0:detect_leaks=1:exitcode=99'}

    def fail(self, countdown, how):
        with open(self.path, 'r+b') as f:
            f.write(countdown.to_bytes(8, 'little') + how.to_bytes(8, 'little'))

    def went_wrong(self):
        with open(self.path, 'rb') as f:
            return f.read(8) == bytes(8)


@pytest.mark.parametrize('options,how', [
    ([], 0), ([], errno.EINTR), ([], errno.EIO), ([], errno.EDQUOT),
    (['--encrypt-to', RECIPIENT], 0), (['--encrypt-to', RECIPIENT], errno.EIO)],
    ids=['half', 'signal', 'error', 'full', 'sealed-half', 'sealed-error'])
def test_a_write_that_goes_wrong_is_told_or_does_no_harm(make_daemon, tmp_path, options, how):
    """Half of it, or after a signal: it goes on. Else it is refused, and nothing stays."""
    writes = Writes(str(tmp_path))
    daemon = make_daemon(env=writes.env()).start()
    service = dropbox(daemon, 'box', *options)
    root, address = service['options']['data_dir'], service['backend']
    statuses, acknowledged, n = set(), 0, 0
    while True:
        n += 1
        writes.fail(n, how)
        status = ajax(address, ('file[]', 'a', DATA), ('file[]', 'b', DATA),
                      ('text', None, b'hello'))[0]
        if not writes.went_wrong():
            break
        statuses.add(status)
        acknowledged += status == 200
        if not options:
            assert submissions(root) == [({'a': DATA, 'b': DATA}, b'hello')] * acknowledged
        assert len(daemon.json('inbox', 'list', 'box')) == acknowledged
    writes.fail(0, 0)
    assert n > 3
    assert statuses == {{0: 200, errno.EINTR: 200, errno.EIO: 500, errno.EDQUOT: 507}[how]}
    daemon.json('restart', 'box')
    run, = os.listdir(os.path.join(root, '.incoming'))
    assert os.listdir(os.path.join(root, '.incoming', run)) == []
