# SPDX-License-Identifier: GPL-3.0-or-later
"""The JSON that scripts rely on: exactly these members, of these types."""
import re

TIME = re.compile(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$')
STATES = {'stopped', 'scheduled', 'preparing', 'publishing', 'running', 'draining', 'offline',
          'failed'}
BASE32 = re.compile(r'[A-Z2-7]{52}$')


def optional(kind):
    return (kind, type(None))


SERVICE = {
    'name': str, 'mode': str, 'state': str, 'wanted': bool, 'reason': optional(str),
    'url': optional(str), 'onion': optional(str), 'backend': optional(str), 'public': bool,
    'keys': list, 'title': optional(str), 'start_at': optional(str), 'stop_at': optional(str),
    'options': dict, 'transfers': dict, 'created_at': str, 'started_at': optional(str),
}
TRANSFERS = {'active': int, 'completed': int, 'bytes_in': int, 'bytes_out': int}
KEY = {'label': str, 'private_key': str, 'public_key': str}
SHARE_OPTIONS = {'no_autostop_sharing': bool, 'max_downloads': optional(int),
                 'log_filenames': bool, 'pow': bool, 'max_connections': int,
                 'port': optional(int)}
STATUS = {'version': str, 'uptime': int, 'local_only': bool, 'tor': dict, 'services': dict}
TOR = {'mode': str, 'state': str, 'version': optional(str), 'bootstrap': dict}
BOOTSTRAP = {'percent': int, 'summary': str}
COUNTS = {'total': int, 'running': int, 'failed': int}
ERROR = {'error': str, 'parameters': dict, 'message': str}


def members(value, shape, exactly=True):
    """Each member of the shape is there and of its type (a bool is no int)."""
    assert isinstance(value, dict), value
    if exactly:
        assert set(value) >= set(shape), set(shape) ^ set(value)
    for name, kinds in shape.items():
        assert name in value, f'{name} is missing'
        kinds = kinds if isinstance(kinds, tuple) else (kinds,)
        assert type(value[name]) in kinds, f'{name}: {value[name]!r}'


def is_service(value, local=True):
    members(value, SERVICE)
    members(value['transfers'], TRANSFERS)
    assert value['state'] in STATES
    assert TIME.match(value['created_at'])
    assert value['started_at'] is None or TIME.match(value['started_at'])
    if value['mode'] == 'share':
        members(value['options'], SHARE_OPTIONS)
    if value['public']:
        assert value['keys'] == []
    for key in value['keys']:
        members(key, KEY)
        assert BASE32.match(key['private_key']) and BASE32.match(key['public_key'])
    if local:
        assert value['onion'] is None
        if value['url'] is not None:
            assert re.match(r'http://127\.0\.0\.1:\d+$', value['url'])
    elif value['onion'] is not None:
        assert re.match(r'[a-z2-7]{55}d$', value['onion'])
        assert value['url'] == f'http://{value["onion"]}.onion'


def is_status(value):
    members(value, STATUS)
    members(value['tor'], TOR)
    members(value['tor']['bootstrap'], BOOTSTRAP)
    members(value['services'], COUNTS)
    assert value['uptime'] >= 0


def is_error(result, name, status, parameters=None):
    """A client's answer with --json that ended in this error."""
    assert result.status == status, result
    value = result.json
    assert set(value) == set(ERROR), value
    members(value, ERROR)
    assert value['error'] == f'org.onionshared.Control.{name}', value
    assert value['message']
    for key, expected in (parameters or {}).items():
        assert value['parameters'].get(key) == expected, value
