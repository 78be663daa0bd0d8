# SPDX-License-Identifier: GPL-3.0-or-later
"""What a member of the control group may do: all, but what is the admin's."""
import json
import os

import pytest

from test_content import Member


@pytest.fixture
def member(make_daemon, tmp_path):
    if os.geteuid() != 0:
        pytest.skip('needs root to be somebody else')
    return Member(make_daemon, tmp_path)


def denied(done, needs):
    """Refused with exit status 5, in a sentence that says what would be needed."""
    assert done.returncode == 5, (done.stdout, done.stderr)
    error = json.loads(done.stdout)
    assert error['error'].endswith('.PermissionDenied') and error['parameters']['needs'] == needs
    return error['message']


def test_a_member_makes_runs_and_keys_services(member):
    path = member.file('a', b'a', 0o644)
    for words in (['create', 'share', 'docs', path], ['start', 'docs'], ['edit', 'docs', '--public'],
                  ['edit', 'docs', '--private', '--stop-at', '2099-01-01 00:00'],
                  ['key', 'add', 'docs', 'anna'], ['key', 'list', 'docs', '--show'],
                  ['key', 'remove', 'docs', 'anna'], ['show', 'docs'], ['stop', 'docs'],
                  ['rename', 'docs', 'other'], ['delete', 'other', '--yes']):
        done = member.ctl(*words)
        assert done.returncode == 0, (words, done.stderr)


def test_what_was_received_is_purged_by_the_admin_only(member):
    assert member.ctl('create', 'receive', 'box').returncode == 0
    said = denied(member.ctl('--json', 'delete', 'box', '--yes', '--purge'), 'admin')
    assert 'purge' in said and "root or the daemon's own user" in said
    assert member.daemon.show('box')['state'] == 'stopped'  # nothing has happened
    assert member.ctl('delete', 'box', '--yes').returncode == 0
    member.daemon.json('create', 'receive', 'box2')
    member.daemon.json('delete', 'box2', '--yes', '--purge')


def test_the_daemon_itself_is_the_admins(member):
    said = denied(member.ctl('--json', 'reload'), 'admin')
    assert 'Reload' in said
    member.daemon.json('reload')


def test_where_the_daemon_writes_and_reads_is_the_admins_to_choose(member):
    for words in (['create', 'receive', 'box', '--data-dir', member.own],):
        denied(member.ctl('--json', *words), "root or the daemon's own user")
    done = member.ctl('--json', 'call', 'Create', json.dumps(
        {'mode': 'share', 'name': 'x', 'paths': [member.file('b', b'b', 0o644)]}))
    denied(done, 'a descriptor of each path')
