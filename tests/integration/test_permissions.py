# SPDX-License-Identifier: GPL-3.0-or-later
"""What a member of the control group may do: all, but what is the admin's."""
import json
import os

import pytest

from lib.dropbox import ajax, submissions
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


def own_folder(member, name):
    path = os.path.join(member.own, name)
    os.mkdir(path)
    os.chown(path, 65534, 65534)
    return path


def test_what_is_served_in_place_needs_a_descriptor(member):
    done = member.ctl('--json', 'call', 'Create', json.dumps(
        {'mode': 'share', 'name': 'x', 'paths': [member.file('b', b'b', 0o644)]}))
    denied(done, 'a descriptor of each path')


def test_a_member_receives_into_a_folder_of_his_own(member):
    daemon, box = member.daemon, own_folder(member, 'box')
    secret = member.file('secret', b'word', 0o600, 65534)
    done = member.ctl('--json', 'create', 'receive', 'box', '--data-dir', box, '--min-free', '0',
                      '--webhook-secret-file', secret)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)['options']['data_dir'] == box
    backend = daemon.json('start', 'box')['backend']
    assert ajax(backend, ('text', None, b'hello'))[0] == 200
    assert submissions(box) == [({}, b'hello')]
    assert len(daemon.json('inbox', 'list', 'box')) == 1
    # Also after a restart; but nowhere else, wherever the name may lead.
    daemon.stop()
    daemon.start()
    daemon.until_state('box', 'running')
    assert ajax(backend, ('text', None, b'again'))[0] == 200
    daemon.json('stop', 'box')
    os.rename(box, box + '-old')
    elsewhere = os.path.join(daemon.content, 'elsewhere')
    os.mkdir(elsewhere)
    for make in (lambda: os.symlink(elsewhere, box),
                 lambda: os.mkdir(box)):
        make()
        assert member.ctl('inbox', 'list', 'box').returncode == 1
        assert member.ctl('start', 'box').returncode == 3
        assert daemon.show('box')['state'] == 'failed' and os.listdir(box) == []
        (os.rmdir if os.path.isdir(box) and not os.path.islink(box) else os.unlink)(box)
    daemon.json('delete', 'box', '--yes')


def test_a_member_does_not_lend_what_is_not_his(member):
    daemon = member.daemon
    theirs = os.path.join(daemon.content, 'theirs')
    os.mkdir(theirs)
    os.chmod(theirs, 0o777)
    for words, needs in (
            (['--data-dir', theirs], 'a path of one\'s own'),
            (['--data-dir', os.path.join(member.own, 'missing')], 'a descriptor of each path'),
            (['--data-dir', daemon.state], 'a descriptor of each path'),
            (['--webhook-secret-file', member.file('s', b'word', 0o644)], 'a path of one\'s own'),
            (['--webhook-secret-file', member.file('t', b'word', 0o600)],
             'a descriptor of each path')):
        denied(member.ctl('--json', 'create', 'receive', 'box', *words), needs)
    assert daemon.json('list') == []
    # A descriptor of something else proves nothing.
    done = member.ctl('--json', 'call', 'Create', json.dumps(
        {'mode': 'receive', 'name': 'x', 'options': {'data_dir': member.own}}))
    denied(done, 'a descriptor of each path')


def test_a_secret_is_looked_at_before_anything_changes(member):
    daemon = member.daemon
    daemon.json('create', 'receive', 'box', '--webhook-url', 'http://127.0.0.1:9/')
    good, own = member.file('good', b'word', 0o600), member.file('mine', b'mine', 0o600, 65534)
    for bad in (os.path.join(daemon.content, 'missing'), daemon.content,
                member.file('empty', b'', 0o600)):
        before = daemon.show('box')
        done = daemon.ctl('edit', 'box', '--title', 'changed', '--webhook-secret-file', bad)
        assert done.status == 2 and 'webhook_secret_file' in done.err
        assert daemon.show('box') == before
    assert daemon.json('edit', 'box', '--webhook-secret-file', good)['options'][
        'webhook_secret_file'] == good
    denied(member.ctl('--json', 'edit', 'box', '--webhook-secret-file', good),
           'a descriptor of each path')
    assert member.ctl('edit', 'box', '--webhook-secret-file', own).returncode == 0
    assert daemon.show('box')['options']['webhook_secret_file'] == own
    assert member.ctl('edit', 'box', '--unset', 'webhook-secret-file').returncode == 0
    assert daemon.show('box')['options']['webhook_secret_file'] is None
