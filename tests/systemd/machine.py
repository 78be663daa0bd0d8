# SPDX-License-Identifier: GPL-3.0-or-later
"""A Debian 12 with a systemd of its own, in a container, for tests that install the package.

The tree is made once for a build folder (debootstrap, a minute); each machine is
a copy of it. The container shares the network of its host, so a private Tor
network on the loopback is in its reach.
"""
import functools
import glob
import os
import shutil
import signal
import subprocess

from lib.daemon import BUILD, TOP
from lib.waiting import until

SUITE = 'bookworm'
# Beside what the package depends on, so that it installs without a network.
ALWAYS = ('systemd', 'systemd-sysv', 'dbus', 'adduser', 'curl')
BOOT_SECONDS = 120


class CannotRun(Exception):
    """No such machine can be had here: why."""


def need_tools():
    if os.geteuid() != 0:
        raise CannotRun('a container with a systemd needs root')
    for tool in ('systemd-nspawn', 'debootstrap', 'nsenter', 'dpkg-buildpackage'):
        if not shutil.which(tool):
            raise CannotRun(f'{tool} is not installed')


def dependencies(packages):
    """The names of what the packages depend on, themselves left out."""
    names = set()
    for path in packages:
        fields = subprocess.run(['dpkg-deb', '-f', path, 'Depends'], check=True,
                                capture_output=True, text=True).stdout
        for choice in fields.split(','):
            name = choice.split('|')[0].split('(')[0].strip()
            if name and not name.startswith('onionshare'):
                names.add(name)
    return names


def installed(tree):
    try:
        with open(os.path.join(tree, 'var/lib/dpkg/status'), encoding='utf-8') as f:
            return {line.split()[1] for line in f if line.startswith('Package: ')}
    except OSError:
        return set()


def base_tree(packages):
    """The path of a Debian with all that the packages need, and without them."""
    tree = os.path.join(BUILD, 'nspawn', 'tree')
    wanted = dependencies(packages) | set(ALWAYS)
    provided = {'default-systemd', 'systemd'}  # a virtual package of Debian 12's systemd
    if wanted - provided <= installed(tree):
        return tree
    partial = tree + '.partial'
    for old in (partial, tree):
        shutil.rmtree(old, ignore_errors=True)
    os.makedirs(os.path.dirname(tree), exist_ok=True)
    done = subprocess.run(
        ['debootstrap', '--variant=minbase',
         f'--include={",".join(sorted(wanted - {"default-systemd"}))}', SUITE, partial],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors='replace')
    if done.returncode != 0:
        shutil.rmtree(partial, ignore_errors=True)
        raise CannotRun(f'debootstrap: {done.stdout.strip().splitlines()[-1:]}')
    os.rename(partial, tree)
    return tree


@functools.cache
def build_packages(folder='package'):
    """The paths of the packages, built from the tree as it is, in a folder of BUILD."""
    folder = os.path.join(BUILD, folder)
    done = subprocess.run([os.path.join(TOP, 'quickstart'), 'package', folder],
                          capture_output=True, text=True, errors='replace')
    assert done.returncode == 0, done.stderr
    return sorted(glob.glob(os.path.join(folder, '*.deb')))


class Result:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    def __repr__(self):
        return f'<{self.status}\n{self.out}{self.err}>'


class Machine:
    def __init__(self, directory, packages):
        self.dir = str(directory)
        self.tree = os.path.join(self.dir, 'tree')
        self.log = os.path.join(self.dir, 'console')
        subprocess.run(['cp', '-a', '--reflink=auto', base_tree(packages), self.tree], check=True)
        self.nspawn = None
        self.leader = None

    # --- life ---

    def boot(self):
        with open(self.log, 'ab') as log:
            self.nspawn = subprocess.Popen(
                ['systemd-nspawn', '-D', self.tree, '--boot', '--register=no', '--keep-unit',
                 '--console=pipe', '--quiet', '--machine=onionshared-test'],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            until(self._is_up, 'the container boots', BOOT_SECONDS, step=0.2)
        except AssertionError:
            with open(self.log, errors='replace') as log:
                said = log.read()[-2000:]
            self.end()
            raise CannotRun(f'no systemd boots in a container here: {said}') from None
        return self

    def _is_up(self):
        if self.nspawn.poll() is not None:
            raise AssertionError('the container ended')
        with open(f'/proc/{self.nspawn.pid}/task/{self.nspawn.pid}/children') as f:
            children = f.read().split()
        if not children:
            return False
        self.leader = children[0]
        try:
            state = self.run('systemctl', 'is-system-running', timeout=20).out.strip()
        except (subprocess.TimeoutExpired, OSError):
            return False
        return state in ('running', 'degraded')

    def reboot(self):
        self.run('systemctl', 'reboot')
        self.nspawn.wait(60)
        self.boot()

    def end(self):
        if self.nspawn is None or self.nspawn.poll() is not None:
            return
        if self.leader:
            try:
                os.kill(int(self.leader), signal.SIGRTMIN + 4)  # poweroff, systemd(1)
            except ProcessLookupError:
                pass
        try:
            self.nspawn.wait(30)
        except subprocess.TimeoutExpired:
            self.nspawn.kill()
            self.nspawn.wait()

    def remove(self):
        self.end()
        shutil.rmtree(self.tree, ignore_errors=True)

    # --- what is done in it ---

    def run(self, *argv, timeout=60, input=None, user=None, group=None):
        """As root, or as user (with another group than its own)."""
        if user:
            argv = ('setpriv', f'--reuid={user}', f'--regid={group or user}', '--init-groups'
                    if not group else '--clear-groups', '--', *argv)
        done = subprocess.run(['nsenter', '-t', self.leader, '-a', '--', *argv],
                              capture_output=True, text=True, errors='replace', timeout=timeout,
                              input=input, stdin=None if input else subprocess.DEVNULL,
                              env={'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'HOME': '/root',
                                   'LANG': 'C.UTF-8'})
        return Result(done.returncode, done.stdout, done.stderr)

    def ok(self, *argv, **kwargs):
        result = self.run(*argv, **kwargs)
        assert result.status == 0, (argv, result)
        return result.out

    def write(self, path, text, mode=0o644):
        at = self.tree + path
        os.makedirs(os.path.dirname(at), exist_ok=True)
        with open(at, 'w') as f:
            f.write(text)
        os.chmod(at, mode)

    def property(self, name, unit='onionshared.service'):
        return self.ok('systemctl', 'show', '--value', '-p', name, unit).strip()
