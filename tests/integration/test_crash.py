# SPDX-License-Identifier: GPL-3.0-or-later
"""A dropbox in accidents: kill -9 at any moment and at every step, and cut power.

Whoever was told that a submission has arrived finds it whole afterwards; of others
all or nothing is there. More rounds than the tests of every day: $ONIONSHARED_KILL_ROUNDS
and $ONIONSHARED_POWER_CUTS.
"""
import os
import random
import shutil
import signal
import subprocess
import threading
import time

import pytest

from lib import proc
from lib.daemon import BUILD, Daemon, is_sanitized
from lib.dropbox import ajax, check_whole, dropbox, submission, uploader
from lib.http import Closed
from lib.waiting import until

RECIPIENT = 'age1hjt9pj3sf557lu7ymacxwv4rl0vsegddugagdywgtn0vr3guxueqvz6pew'


def nothing_is_left(root):
    run = os.listdir(os.path.join(root, '.incoming'))
    assert len(run) == 1 and os.listdir(os.path.join(root, '.incoming', run[0])) == []


class Crowd:
    """Three visitors that go on submitting."""

    def __init__(self, address, first):
        self.acknowledged, self.stop = set(), threading.Event()
        self.threads = [threading.Thread(target=uploader, args=(
            address, first + k, 3, self.acknowledged, self.stop)) for k in range(3)]
        for t in self.threads:
            t.start()

    def end(self):
        self.stop.set()
        for t in self.threads:
            t.join()


def test_kill_9_loses_nothing_that_was_acknowledged(daemon):
    service = dropbox(daemon)
    root, address = service['options']['data_dir'], service['backend']
    acknowledged, arrived = set(), 0
    for i in range(int(os.environ.get('ONIONSHARED_KILL_ROUNDS', '12'))):
        crowd = Crowd(address, i * 3_000_000)
        time.sleep(random.uniform(0.02, 0.6))
        daemon.kill()
        crowd.end()
        acknowledged |= crowd.acknowledged
        daemon.start()
        daemon.until_state('box', 'running')
        assert acknowledged <= check_whole(root), f'round {i}'
        nothing_is_left(root)
        arrived += len(crowd.acknowledged)
        if i % 20 == 19:  # so that many rounds do not look at everything again and again
            for day in os.listdir(root):
                if day[0] != '.':
                    shutil.rmtree(os.path.join(root, day))
            acknowledged.clear()
    assert arrived, 'no upload came to its end before a kill'


# --- every step ---

def thread_of(daemon, which):
    """loop: the main one; database: so named; files: the one of the pool."""
    ids = {}
    for task in os.listdir(f'/proc/{daemon.pid}/task'):
        with open(f'/proc/{daemon.pid}/task/{task}/comm') as f:
            name = f.read().strip()
        ids['loop' if int(task) == daemon.pid else
            'database' if name == 'database' else 'files'] = task
    return ids[which]


def killed_at(daemon, thread, call, n):
    """An strace that kills the daemon when that thread makes its n-th such call from now on."""
    tracer = subprocess.Popen(['strace', '-qq', '-o', '/dev/null', '-e', f'trace={call}', '-e',
                               f'inject={call}:signal=KILL:when={n}', '-p',
                               thread_of(daemon, thread)], stderr=subprocess.DEVNULL)

    def is_attached():
        with open(f'/proc/{daemon.pid}/task/{thread_of(daemon, thread)}/status') as f:
            return f'TracerPid:\t{tracer.pid}\n' in f.read()
    until(is_attached, 'strace is attached')
    return tracer


def submit(address, number):
    """Was it acknowledged?"""
    files, message = submission(number)
    try:
        return ajax(address, *(('file[]', k, d) for k, d in files.items()),
                    ('text', None, message))[0] == 200
    except (Closed, OSError):
        return False


@pytest.mark.parametrize('thread,call', [
    ('files', 'openat,openat2'), ('files', 'write,writev,pwrite64'), ('files', 'fsync,fdatasync'),
    ('files', 'renameat,renameat2,linkat'), ('files', 'mkdirat'), ('files', 'utimensat'),
    ('files', 'unlinkat'), ('database', 'pwrite64'), ('database', 'fsync,fdatasync'),
    ('loop', 'writev,sendto,sendmsg')])
def test_killed_at_every_step_of_one_submission(make_daemon, thread, call):
    if not shutil.which('strace'):
        pytest.skip('strace is not installed')
    # With one thread for files the steps come in the same order each time.
    daemon = make_daemon(env={'UV_THREADPOOL_SIZE': '1'}).start()
    service = dropbox(daemon)
    root, address = service['options']['data_dir'], service['backend']
    steps = 0
    while steps < 200:
        tracer = killed_at(daemon, thread, call, steps + 1)
        acknowledged = submit(address, steps)
        # The last steps may come after the answer.
        time.sleep(0.05)
        alive = daemon.process.poll() is None and proc.alive(daemon.pid)
        if alive:
            tracer.send_signal(signal.SIGINT)
        tracer.wait(30)
        if alive and daemon.process.poll() is None:
            assert acknowledged
            break
        daemon.process.wait(30)
        daemon.process = None
        daemon.start()
        daemon.until_state('box', 'running')
        assert not acknowledged or steps in check_whole(root)
        check_whole(root)
        nothing_is_left(root)
        steps += 1
    assert 0 < steps < 200, steps


# --- memory ---

class Memory:
    """Of a daemon: one allocation of it fails."""

    def __init__(self, directory):
        self.path = os.path.join(directory, 'countdown')
        self.fail(0)

    def env(self):
        return {'LD_PRELOAD': os.path.join(BUILD, 'tests', 'nomem.so'), 'NOMEM': self.path}

    def fail(self, countdown):
        with open(self.path, 'r+b' if os.path.exists(self.path) else 'wb') as f:
            f.write(countdown.to_bytes(8, 'little'))

    def has_failed(self):
        with open(self.path, 'rb') as f:
            return f.read() == bytes(8)


@pytest.mark.parametrize('options', [[], ['--encrypt-to', RECIPIENT]], ids=['plain', 'sealed'])
def test_any_allocation_may_fail(make_daemon, tmp_path, options):
    """It ends cleanly, or answers; either way nothing that was acknowledged is lost."""
    if is_sanitized():
        pytest.skip('the sanitizer has the allocator')
    memory = Memory(str(tmp_path))
    daemon = make_daemon(env=memory.env()).start()
    service = dropbox(daemon, 'box', *options)
    root, address = service['options']['data_dir'], service['backend']
    ended, n, acknowledged = 0, 1, 0
    while True:
        memory.fail(n)
        acknowledged += submit(address, n)
        time.sleep(0.02)  # the last steps may come after the answer
        failed = memory.has_failed()
        memory.fail(0)
        if daemon.ctl('status').status != 0:
            assert daemon.process.wait(30) == -signal.SIGABRT
            daemon.process = None
            ended += 1
            daemon.start()
            daemon.until_state('box', 'running')
        if not options:
            check_whole(root)
        assert len(daemon.json('inbox', 'list', 'box')) >= acknowledged
        nothing_is_left(root)
        if not failed:
            break
        n += 1 if n < 60 else 13 if not options else 101
    assert ended > 10 and n < 20000, (ended, n)


# --- power ---

class Disk:
    """An ext4 in a file, mounted: what is in the file is what a power cut leaves."""

    def __init__(self, directory):
        self.image = os.path.join(directory, 'disk')
        self.path = os.path.join(directory, 'mounted')
        os.mkdir(self.path)
        with open(self.image, 'wb') as f:
            f.truncate(1 << 30)
        run('mkfs.ext4', '-q', '-F', self.image)

    def mount(self, image=None):
        # Nothing is written but what is asked for: so a copy is of one moment.
        run('mount', '-o', 'loop,commit=600', image or self.image, self.path)

    def umount(self):
        run('umount', self.path)


def run(*argv):
    subprocess.run(argv, check=True, capture_output=True)


def is_stopped(pid):
    for task in os.listdir(f'/proc/{pid}/task'):
        with open(f'/proc/{pid}/task/{task}/stat') as f:
            if f.read().rpartition(')')[2].split()[0] != 'T':
                return False
    return True


def power_cut(daemon, disk, crowd, copy):
    """What the disk has at this moment, and what had been acknowledged before."""
    acknowledged = set(crowd.acknowledged)
    daemon.process.send_signal(signal.SIGSTOP)
    until(lambda: is_stopped(daemon.pid), 'it stands still')
    run('cp', '--sparse=always', disk.image, copy)
    daemon.process.send_signal(signal.SIGCONT)
    return acknowledged


@pytest.fixture(name='disk')
def disk_fixture(tmp_path):
    if os.geteuid() != 0 or not shutil.which('mkfs.ext4'):
        pytest.skip('needs root and mkfs.ext4 for a disk of its own')
    disk = Disk(str(tmp_path))
    try:
        disk.mount()
    except subprocess.CalledProcessError as e:
        pytest.skip(f'cannot mount an image: {e.stderr.decode().strip()}')
    yield disk
    subprocess.run(['umount', disk.path], capture_output=True)


def test_a_power_cut_loses_nothing_that_was_acknowledged(disk, tmp_path):
    cuts = []
    # The files of the tests themselves stay outside.
    daemon = Daemon(directory=str(tmp_path / 'daemon'))
    daemon.state = os.path.join(disk.path, 'state')
    try:
        daemon.start()
        service = dropbox(daemon)
        root = service['options']['data_dir']
        assert root.startswith(disk.path)
        crowd = Crowd(service['backend'], 0)
        for i in range(int(os.environ.get('ONIONSHARED_POWER_CUTS', '8'))):
            if i % 2:  # right after an answer
                before = len(crowd.acknowledged)
                until(lambda b=before: len(crowd.acknowledged) > b, 'a submission has arrived',
                      step=0.0005)
            else:
                time.sleep(random.uniform(0.01, 0.4))
            copy = str(tmp_path / f'cut-{i}')
            cuts.append((copy, power_cut(daemon, disk, crowd, copy)))
        crowd.end()
        daemon.stop()
        disk.umount()
        for copy, acknowledged in cuts:
            disk.mount(copy)
            daemon.start()
            daemon.until_state('box', 'running')
            assert acknowledged <= check_whole(root)
            nothing_is_left(root)
            daemon.stop()
            disk.umount()
            run('e2fsck', '-fn', copy)
        assert any(acknowledged for _, acknowledged in cuts)
    finally:
        daemon.end()
