# SPDX-License-Identifier: GPL-3.0-or-later
"""Private keys as an admin handles them; who is let in by them is in test_onion_keys."""
import base64
import os
import re

import pytest

import shapes

KEY = re.compile(r'[A-Z2-7]{52}$')


@pytest.fixture
def service(daemon):
    daemon.json('create', 'share', 'docs', daemon.file('a'))
    return 'docs'


def labels(daemon):
    return [k['label'] for k in daemon.json('key', 'list', 'docs')]


def test_a_key_is_added_shown_again_and_taken_back(daemon, service):
    key = daemon.json('key', 'add', service, 'Anna Müller')
    shapes.members(key, shapes.KEY)
    assert key['label'] == 'Anna Müller' and KEY.match(key['private_key'])
    assert labels(daemon) == ['default', 'Anna Müller']
    listed = daemon.ctl('key', 'list', service)
    assert key['public_key'] in listed.out and key['private_key'] not in listed.out
    shown = daemon.ctl('key', 'list', service, '--show')
    assert key['private_key'] in shown.out and key['public_key'] not in shown.out
    assert daemon.json('key', 'list', service, 'Anna Müller') == [key]
    assert daemon.show(service)['keys'] == daemon.json('key', 'list', service)
    daemon.json('key', 'remove', service, 'Anna Müller')
    assert labels(daemon) == ['default']


def test_keys_outlive_the_daemon_however_it_ends(daemon, service):
    keys = [daemon.json('key', 'add', service) for _ in range(3)]
    assert [k['label'] for k in keys] == ['key-1', 'key-2', 'key-3']
    daemon.json('key', 'remove', service, 'key-2')
    daemon.kill()
    daemon.start()
    assert daemon.json('key', 'list', service)[1:] == [keys[0], keys[2]]
    events = [(e['event'], e.get('label')) for e in daemon.json('history', service)]
    assert ('key-removed', 'key-2') in events


def test_a_key_of_its_owners_own_is_kept_by_its_public_half(daemon, service):
    public = base64.b32encode(os.urandom(32)).decode().rstrip('=')
    done = daemon.ctl('key', 'add', service, 'bob', '--public-key', public.lower())
    assert done.status == 0 and 'Private key' not in done.out, done
    bob = daemon.json('key', 'list', service, 'bob')[0]
    assert bob == {'label': 'bob', 'private_key': None, 'public_key': public}
    assert 'known to its owner only' in daemon.ctl('key', 'list', service, '--show').out
    result = daemon.ctl('--json', 'key', 'add', service, 'carol', '--public-key', public)
    shapes.is_error(result, 'InvalidValue', 2)
    assert 'bob' in result.json['message']


@pytest.mark.parametrize('args, name, status', [
    (['add', 'docs', 'default'], 'NameInUse', 1),
    (['add', 'docs', ''], 'InvalidValue', 2),
    (['add', 'docs', 'a\nb'], 'InvalidValue', 2),
    (['add', 'docs', 'x', '--public-key', 'A' * 52], 'InvalidValue', 2),
    (['add', 'nothing', 'x'], 'NoSuchService', 4),
    (['remove', 'docs', 'nobody'], 'NoSuchKey', 1),
    (['remove', 'docs', 'default'], 'InvalidState', 1),
    (['list', 'nothing'], 'NoSuchService', 4),
    (['list', 'docs', 'nobody'], 'NoSuchKey', 1),
])
def test_what_is_refused_changes_nothing(daemon, service, args, name, status):
    shapes.is_error(daemon.ctl('--json', 'key', *args), name, status)
    assert labels(daemon) == ['default']


def test_a_public_service_has_no_keys_until_it_is_private_again(daemon, service):
    before = daemon.json('key', 'list', service)
    daemon.json('start', service)
    daemon.json('edit', service, '--public')
    assert daemon.json('key', 'list', service) == [] == daemon.show(service)['keys']
    shapes.is_error(daemon.ctl('--json', 'key', 'add', service, 'x'), 'InvalidState', 1)
    daemon.json('edit', service, '--private')
    assert daemon.json('key', 'list', service) == before


def test_a_service_that_was_made_public_gets_a_key_when_it_is_not_any_more(daemon):
    daemon.json('create', 'share', 'docs', daemon.file('a'), '--public')
    daemon.json('edit', 'docs', '--private')
    keys = daemon.json('key', 'list', 'docs')
    assert [k['label'] for k in keys] == ['default'] and KEY.match(keys[0]['private_key'])


def test_without_an_address_there_is_no_file_and_no_key(daemon, service):
    path = os.path.join(daemon.dir, 'x.auth_private')
    result = daemon.ctl('--json', 'key', 'add', service, 'anna', '-o', path)
    shapes.is_error(result, 'InvalidState', 1)
    assert not os.path.exists(path) and labels(daemon) == ['default']


def test_no_secret_is_in_the_log_or_on_the_disk(daemon, service):
    key = daemon.json('key', 'add', service, 'anna')['private_key']
    raw = base64.b32decode(key + '====')
    daemon.stop()
    assert key not in daemon.log()
    for folder, _, names in os.walk(daemon.state):
        for name in names:
            with open(os.path.join(folder, name), 'rb') as f:
                data = f.read()
            assert raw not in data and key.encode() not in data, name
