# SPDX-License-Identifier: GPL-3.0-or-later
"""What every Python test may ask for."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

from lib.daemon import Daemon, is_sanitized  # noqa: E402


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """A failed test shows what its daemons said."""
    outcome = yield
    report = outcome.get_result()
    if report.when == 'call' and report.failed:
        for daemon in getattr(item, 'daemons', []):
            report.sections.append((f'daemon in {daemon.dir}', daemon.log()[-8000:]))


@pytest.fixture
def make_daemon(request):
    """make_daemon(args, …): a daemon that has not been started; ended and checked after the test."""
    request.node.daemons = []

    def make(*args, **kwargs):
        daemon = Daemon(*args, **kwargs)
        request.node.daemons.append(daemon)
        return daemon

    yield make
    failures = []
    for daemon in request.node.daemons:
        try:
            daemon.end()
        except Exception as e:  # whatever it was, the others are to end too
            failures.append(repr(e))
    assert not failures, '\n'.join(failures)


@pytest.fixture
def daemon(make_daemon):
    """A running daemon without Tor."""
    return make_daemon().start()


@pytest.fixture(scope='session')
def sanitized():
    """Figures of memory and time mean nothing with sanitizers."""
    return is_sanitized()


@pytest.fixture(scope='session')
def tornet(tmp_path_factory):
    """A private Tor network with two visitors, made once."""
    from tornet.tornet import TorNet
    with TorNet(str(tmp_path_factory.mktemp('tornet'))) as net:
        yield net
