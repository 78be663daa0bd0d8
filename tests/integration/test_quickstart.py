# SPDX-License-Identifier: GPL-3.0-or-later
"""./quickstart as a person runs it: a terminal, Ctrl-C, and nothing left behind."""
import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pytest
from lib import proc
from lib.daemon import ONIONSHARECTL, ONIONSHARED, TOP, environment
from lib.http import fetch
from lib.waiting import PATIENCE, until

CONTROL_SEQUENCE = re.compile(rb'\x1b\[[0-9;]*[A-Za-z]')


def ignore(_, names):
    return [n for n in names if n.startswith('build') or n in ('.git', '__pycache__')]


class Checkout:
    """A copy of the tree with what the tests were built from as its build."""

    def __init__(self, directory):
        self.dir = directory
        os.makedirs(os.path.dirname(directory), exist_ok=True)
        os.makedirs(directory)
        for name in ('quickstart', 'README.md'):
            shutil.copy(os.path.join(TOP, name), directory)
        shutil.copytree(os.path.join(TOP, 'tests', 'tornet'),
                        os.path.join(directory, 'tests', 'tornet'), ignore=ignore)
        for binary in (ONIONSHARED, ONIONSHARECTL):
            folder = os.path.join(directory, 'build', os.path.basename(os.path.dirname(binary)))
            os.makedirs(folder)
            os.symlink(binary, os.path.join(folder, os.path.basename(binary)))
        # A build that is up to date, as far as ninja can tell.
        with open(os.path.join(directory, 'build', 'build.ninja'), 'w', encoding='ascii') as f:
            f.write('build daemon/onionshared client/onionsharectl: phony\n')

    def outside_build(self):
        found = []
        for folder, folders, files in os.walk(self.dir):
            if folder == self.dir:
                folders.remove('build')
            folders[:] = [n for n in folders if n != '__pycache__']
            found += [os.path.join(folder, n) for n in files]
        return sorted(found)

    def processes(self):
        """Those that have this folder in their command line or work in it."""
        found = []
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                with open(f'/proc/{pid}/cmdline', 'rb') as f:
                    words = f.read()
                cwd = os.readlink(f'/proc/{pid}/cwd')
            except OSError:
                continue
            if (self.dir.encode() in words or cwd.startswith(self.dir)) and proc.alive(int(pid)):
                found.append((pid, words))
        return found


@pytest.fixture
def folder():
    path = tempfile.mkdtemp(prefix='os-')
    yield path
    shutil.rmtree(path)


class Terminal:
    """quickstart on a terminal of its own."""

    def __init__(self, checkout, *args, **env):
        self.said = b''
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(checkout.dir)
            os.execve('./quickstart', ['./quickstart', *args],
                      environment(TERM='xterm', PATH=os.environ['PATH'], **env))
        self.status = None

    def read(self):
        if select.select([self.fd], [], [], 0.1)[0]:
            try:
                self.said += CONTROL_SEQUENCE.sub(b'', os.read(self.fd, 65536))
            except OSError:
                return False
        return True

    def until(self, pattern, seconds=PATIENCE):
        """The first match of the pattern in what it says."""
        deadline = time.monotonic() + seconds
        while not re.search(pattern, self.said):
            assert self.read() and time.monotonic() < deadline, self.said.decode()
        return re.search(pattern, self.said)

    def ctrl_c(self):
        os.write(self.fd, b'\x03')
        return self.end()

    def end(self):
        """Its exit status, once it has ended."""
        deadline = time.monotonic() + PATIENCE
        while self.read():
            assert time.monotonic() < deadline, self.said.decode()
        self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.status

    def close(self):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


@pytest.fixture
def run():
    terminals = []

    def start(*args, **env):
        terminals.append(Terminal(*args, **env))
        return terminals[-1]

    yield start
    for terminal in terminals:
        terminal.close()


def port_of(url):
    return int(url.rsplit(b':', 1)[1])


def get(url, target):
    return fetch(f'tcp:127.0.0.1:{port_of(url)}', target)


def assert_gone(checkout, before):
    until(lambda: not checkout.processes(), 'every process is gone')
    assert checkout.outside_build() == before


@pytest.mark.parametrize('name', ['plain', 'with spaces, ünïcode and so long that no socket fits'])
def test_local_only_shares_until_ctrl_c_and_leaves_nothing(folder, run, name):
    checkout = Checkout(os.path.join(folder, name * (1 if name == 'plain' else 2)))
    before, temporary = checkout.outside_build(), folder + '/tmp'
    os.mkdir(temporary)
    file = os.path.join(folder, 'a file')
    with open(file, 'w', encoding='ascii') as f:
        f.write('the bytes')
    terminal = run(checkout, '--local-only', '../a file', XDG_RUNTIME_DIR=temporary)
    url = terminal.until(rb'(http://127\.0\.0\.1:\d+)\r')[1]
    terminal.until(rb'It can be reached now')
    assert get(url, '/download').body == b'the bytes'
    terminal.until(rb'download \d+ complete: 9\.0 B')
    assert get(url, '/download').body == b'the bytes'
    assert terminal.ctrl_c() == 130
    assert_gone(checkout, before)
    assert os.listdir(temporary) == []
    with socket.socket() as s:
        assert s.connect_ex(('127.0.0.1', port_of(url))) != 0


def test_a_second_one_says_that_the_first_runs(folder, run):
    checkout = Checkout(os.path.join(folder, 'x'))
    first = run(checkout, '--local-only')
    first.until(rb'It can be reached now')
    second = run(checkout, '--local-only')
    second.until(rb'another \./quickstart of this folder is running')
    assert second.end() == 1
    assert first.ctrl_c() == 130


def test_kill_9_of_quickstart_ends_what_it_started(folder, run):
    checkout = Checkout(os.path.join(folder, 'x'))
    before = checkout.outside_build()
    terminal = run(checkout, '--local-only')
    terminal.until(rb'It can be reached now')
    os.kill(terminal.pid, signal.SIGKILL)
    os.close(terminal.fd)
    terminal.fd = os.open('/dev/null', os.O_RDONLY)
    os.waitpid(terminal.pid, 0)
    terminal.status = -9
    assert_gone(checkout, before)


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGHUP])
def test_other_signals_end_it_as_well(folder, run, number):
    checkout = Checkout(os.path.join(folder, 'x'))
    before = checkout.outside_build()
    terminal = run(checkout, '--local-only')
    terminal.until(rb'It can be reached now')
    os.kill(terminal.pid, number)
    assert terminal.end() == 130
    assert_gone(checkout, before)


@pytest.mark.parametrize('args,status,words', [
    (['--help'], 0, 'usage: ./quickstart'), (['help'], 0, 'usage: ./quickstart'),
    (['--bogus'], 2, 'there is no option --bogus'), (['deps', 'x'], 2, 'deps takes no arguments'),
    (['/no/such/file'], 1, 'there is no /no/such/file'),
])
def test_what_it_says_to_other_words(folder, args, status, words):
    checkout = Checkout(os.path.join(folder, 'x'))
    done = subprocess.run(['./quickstart', *args], cwd=checkout.dir, capture_output=True,
                          text=True, env=environment(), stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == status
    assert words in (done.stdout if status == 0 else done.stderr)
    assert not checkout.processes()


def test_testnet_shares_with_those_who_have_the_key(folder, run):
    checkout = Checkout(os.path.join(folder, 'x'))
    before = checkout.outside_build()
    terminal = run(checkout, '--testnet')
    url = terminal.until(rb'(http://[a-z2-7]{56}\.onion)\r', 180)[1].decode()
    key = terminal.until(rb'Private key: ([A-Z2-7]{52})\r')[1].decode()
    terminal.until(rb'It can be reached now', 180)

    def visit(*args):
        return subprocess.run(
            ['tests/tornet/visit.py', 'build/demo/tornet.json', *args, '-sS', '--max-time', '60'],
            cwd=checkout.dir, capture_output=True, check=False, timeout=120,
            env={**environment(), 'PYTHONDONTWRITEBYTECODE': '1'})

    assert visit('--visitor', '1', url + '/download').returncode != 0
    with open(os.path.join(TOP, 'README.md'), 'rb') as f:
        assert visit('--key', key, url + '/download').stdout == f.read()
    assert terminal.ctrl_c() == 130
    assert_gone(checkout, before)
