# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's onionbalance in front of two daemons with a tor each, on a private Tor network."""
import datetime
import os
import re
import shutil
import subprocess

import pytest

from lib import proc
from lib.daemon import Daemon
from lib.waiting import until
from tornet import tornet as network

VISITORS = int(os.environ.get('ONIONSHARED_VISITORS', '90'))
LONG = 150
SIZE = 40_000_000


@pytest.fixture(scope='module')
def net(tmp_path_factory):
    """Onionbalance on a test network counts on a vote every 20 s."""
    if not shutil.which('onionbalance'):
        pytest.skip('onionbalance is not installed')
    usual = network.AUTHORITY
    network.AUTHORITY = re.sub('(V3AuthVotingInterval|VoteDelay|DistDelay) .*', lambda m: (
        f'{m[1]} 20' if 'Interval' in m[1] else f'{m[1]} 4'), usual)
    network.AUTHORITY = re.sub('(TestingV3AuthInitialVotingInterval) .*', r'\1 20',
                               network.AUTHORITY)
    try:
        with network.TorNet(str(tmp_path_factory.mktemp('net'))) as net:
            yield net
    finally:
        network.AUTHORITY = usual


class Site:
    """Two machines with one release, and the frontend."""

    def __init__(self, net, folder):
        self.net, self.folder = net, str(folder)
        self.visitor, self.front = net.clients
        self.machines = [Daemon(['--tor', 'managed', '--torrc', net.torrc_file]) for _ in '12']
        self.balance, self.failures = None, []

    def start(self):
        one = self.machines[0].start()
        self.machines[1].start()
        key = os.path.join(self.folder, 'made.key')
        self.frontend = one.json('balance', 'key', '-o', key)['onion']
        release = self.release = os.path.join(self.folder, 'site.release')
        big = one.file('big', os.urandom(SIZE))
        with open(big, 'rb') as f:
            self.big = f.read()
        backends = self.backends = []
        for d in self.machines:
            d.json('create', 'share', 'site', d.file('old'), '--public', '--no-autostop-sharing',
                   '--backend-of', self.frontend)
            if d is one:
                done = d.ctl('publish', 'site', big, one.file('small', b'small'), '--to', release)
                assert done.status == 0, done
            d.json('publish', 'site', '--from', release)
            backends.append(d.json('start', 'site', timeout=LONG)['onion'])
        config = self.config = os.path.join(self.folder, 'ob')
        done = one.ctl('balance', 'config', *backends, '--key', key, '-o', config)
        assert done.status == 0, done
        self.log = open(os.path.join(self.folder, 'log'), 'w+')
        self.balance = subprocess.Popen(
            ['onionbalance', '--is-testnet', '-s', self.front.control_socket, '-c',
             os.path.join(config, 'config.yaml'), '-v', 'info'],
            stdout=self.log, stderr=self.log,
            env={**os.environ, 'ONIONBALANCE_LOG_LOCATION': os.path.join(self.folder, 'ob.log')})
        until(self.both_serve, 'the frontend leads to both', LONG, step=1)
        return self

    def said(self):
        self.log.seek(0)
        return f'{self.failures}; {self.log.read()[-2000:]}'

    def end(self):
        if self.balance:
            self.balance.kill()  # asked, it takes its time
            self.balance.wait()
            self.log.close()
        for d in self.machines:
            d.end()

    def curl(self, target, *args, isolate=None, seconds=60):
        return subprocess.Popen(
            ['curl', '-sS', '-f', '-m', str(seconds),
             *self.visitor.curl_args(isolate or os.urandom(6).hex()), *args,
             f'http://{self.frontend}.onion{target}'],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def both_serve(self):
        """Onionbalance may publish before it has found all of them."""
        self.visitor.forget(wait=True)
        self.crowd(6)
        return min(self.counts()) > 0

    def crowd(self, n, at_once=6):
        """How many of n newcomers, with circuits and so a backend by lot of their own, were served."""
        served, self.failures = 0, []
        for i in range(0, n, at_once):
            running = [self.curl('/small') for _ in range(min(at_once, n - i))]
            for out, err in [p.communicate() for p in running]:
                served += out == b'small'
                self.failures += [] if out == b'small' else [err.decode()]
        return served

    def check(self, by=0):
        """balance check: (exit status, what release, visits by address)"""
        done = self.machines[by].ctl('--json', 'balance', 'check', self.frontend, '--config',
                                     os.path.join(self.config, 'config.yaml'), timeout=400)
        answer = done.json
        assert set(answer) == {'visits', 'release'}, answer
        return done.status, answer['release'], {v['onion']: v for v in answer['visits']}

    def counts(self):
        return [d.show('site')['transfers']['completed'] if d.process else 0
                for d in self.machines]


@pytest.fixture(scope='module')
def site(net, tmp_path_factory):
    site = Site(net, tmp_path_factory.mktemp('site'))
    try:
        yield site.start()
    finally:
        site.end()


@pytest.fixture(autouse=True)
def shown(request, site):
    request.node.daemons = site.machines


def test_newcomers_are_spread_over_both_and_none_fails(site):
    before = site.counts()
    assert site.crowd(VISITORS) == VISITORS, site.said()
    shares = [b - a for a, b in zip(before, site.counts())]
    print(f'{VISITORS} newcomers: {shares}')
    # By lot, but a tor that failed at an introduction point avoids it for a while.
    assert sum(shares) == VISITORS and min(shares) >= VISITORS / 10, shares


def test_all_are_visited_and_compared(site):
    before = site.counts()
    status, release, visits = until(lambda: (found := site.check())[0] == 0 and found,
                                    'all answer alike', LONG, step=2)
    assert release == 'same'
    assert {*site.backends, site.frontend} == set(visits)
    now = datetime.datetime.now(datetime.timezone.utc)
    for visit in visits.values():
        assert visit['good'] and visit['status'] == 200 and visit['path'] == '/download', visit
        d = visit['descriptor']
        after, to = (datetime.datetime.fromisoformat(d[f'published_{k}'].replace('Z', '+00:00'))
                     for k in ('after', 'before'))
        assert after <= to <= now + datetime.timedelta(seconds=1), visit
        assert (now - after).total_seconds() < 2 * 3600 and d['revision'] > 0, visit
    assert len({visit['etag'] for visit in visits.values()}) == 1
    # They were visits like any, and count for nothing.
    assert site.counts() == before
    one = site.machines[0]
    shown = one.ctl('balance', 'check', site.frontend, *site.backends, timeout=400)
    assert shown.status == 0 and 'All 3 serve the same release.' in shown.out, shown
    # The same files under a key of one's own are another release.
    one.json('publish', 'site', *(os.path.join(one.content, name) for name in ('big', 'small')))
    def reached_by_the_other():
        found = site.check(by=1)
        return all(visit['good'] for visit in found[2].values()) and found
    status, release, visits = until(reached_by_the_other, 'all are reached', LONG, step=2)
    one.json('publish', 'site', '--from', site.release)
    assert (status, release) == (3, 'different')
    tags = [visits[onion]['etag'] for onion in site.backends]
    assert tags[0] != tags[1] and visits[site.frontend]['etag'] in tags
    for onion in visits:
        assert not any(onion in d.log() for d in site.machines)


def test_a_cut_download_goes_on_at_the_other_machine(site, tmp_path):
    part, head = tmp_path / 'part', tmp_path / 'head'
    curl = site.curl('/big', '-o', part, '-D', head, seconds=300)
    until(lambda: part.exists() and part.stat().st_size > 1_000_000, 'it has begun', 90)
    at = next(i for i, d in enumerate(site.machines)
              if d.show('site')['transfers']['active'])
    loser = site.machines[at]
    tors = list(proc.descendants(loser.pid))
    loser.kill()
    until(lambda: not any(map(proc.alive, tors)), 'its tor ends with it', 40)
    assert curl.wait(200) != 0
    have = part.stat().st_size
    assert 0 < have < SIZE
    # While one is dead, no newcomer fails.
    assert site.crowd(VISITORS // 3) == VISITORS // 3, site.said()
    tag = re.search(r'(?im)^etag: (".*?")', head.read_text())[1]
    rest, err = site.curl('/big', '-H', f'Range: bytes={have}-', '-H', f'If-Range: {tag}',
                          seconds=200).communicate()
    assert part.read_bytes() + rest == site.big, err
    # And it returns.
    loser.start()
    loser.until_state('site', 'running', seconds=LONG)
    begun = site.counts()[at]

    def served_again():
        # What a visitor's tor knew of the dead one it asks for anew.
        site.visitor.forget(wait=True)
        site.crowd(6)
        return site.counts()[at] > begun
    until(served_again, 'it serves newcomers again', LONG)
