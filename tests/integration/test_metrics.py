# SPDX-License-Identifier: GPL-3.0-or-later
"""What a monitor gets: as its own parser reads it, and nothing that names anybody."""
import os
import stat

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from lib import http
from lib.waiting import until


def samples(text):
    """{(name, labels): value}, and the parser's complaints as exceptions."""
    return {(s.name, tuple(sorted(s.labels.items()))): s.value
            for family in text_string_to_metric_families(text) for s in family.samples}


def test_counts_are_those_of_the_services(daemon):
    empty = samples(daemon.ctl('metrics', 'print').out)
    assert sum(v for (name, _), v in empty.items() if name == 'onionshared_services') == 0
    # Each mode and state is there from the start: an alert needs no history.
    assert empty['onionshared_services', (('mode', 'receive'), ('state', 'failed'))] == 0
    assert not [name for name, _ in empty if 'tor' in name]  # --local-only
    service = daemon.json('create', 'share', 'canary-name', daemon.file('canary-file', b'12345'),
                          '--no-autostop-sharing', '--title', 'canary-title')
    daemon.json('create', 'receive', 'canary-box')
    service = daemon.json('start', 'canary-name')
    assert http.fetch(service['backend'], '/download').body == b'12345'
    until(lambda: daemon.json('show', 'canary-name')['transfers']['completed'] == 1, 'counted')
    text = daemon.ctl('metrics', 'print').out
    now = samples(text)
    share = (('mode', 'share'),)
    assert now['onionshared_services', (('mode', 'share'), ('state', 'running'))] == 1
    assert now['onionshared_services', (('mode', 'receive'), ('state', 'stopped'))] == 1
    assert now['onionshared_transfers_completed', share] == 1
    assert now['onionshared_transfers_active', share] == 0
    assert now['onionshared_sent_bytes', share] >= 5
    assert now['onionshared_uptime_seconds', ()] >= 0
    assert 'canary' not in text and service['url'] not in text
    assert all(key['private_key'] not in text for key in service['keys'])
    # What was deleted is counted no more.
    daemon.json('delete', 'canary-name', 'canary-box', '--yes')
    gone = samples(daemon.ctl('metrics', 'print').out)
    assert {key: v for key, v in gone.items() if 'uptime' not in key[0]} == \
        {key: v for key, v in empty.items() if 'uptime' not in key[0]}


def test_a_file_is_replaced_as_a_whole(daemon):
    path = os.path.join(daemon.dir, 'onionshared.prom')
    with open(path, 'w') as f:
        f.write('old\n' * 1000)
    assert daemon.ctl('metrics', 'write', path).status == 0
    with open(path) as f:
        assert samples(f.read())
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o644
    assert [name for name in os.listdir(daemon.dir) if '.prom' in name] == ['onionshared.prom']


def test_a_place_that_cannot_be_written_is_an_error_and_nothing_is_left(daemon):
    refused = daemon.ctl('metrics', 'write', '/nonexistent/x.prom')
    assert refused.status == 1 and '/nonexistent/x.prom' in refused.err
    # A folder in the way: the temporary file is gone again.
    folder = os.path.join(daemon.dir, 'folder')
    os.mkdir(folder)
    assert daemon.ctl('metrics', 'write', folder).status == 1
    assert [name for name in os.listdir(daemon.dir) if name.startswith('folder')] == ['folder']


def test_no_daemon_leaves_the_file_as_it_is(daemon):
    path = os.path.join(daemon.dir, 'onionshared.prom')
    daemon.ctl('metrics', 'write', path)
    with open(path) as f:
        before = f.read()
    daemon.stop()
    assert daemon.ctl('metrics', 'write', path).status == 6
    with open(path) as f:
        assert f.read() == before
