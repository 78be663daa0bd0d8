# SPDX-License-Identifier: GPL-3.0-or-later
"""What the client makes for the machine with Onionbalance; no daemon is asked."""
import base64
import hashlib
import json
import os
import subprocess

from lib.daemon import ONIONSHARECTL, environment

ONE = '2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid'
TWO = 'duckduckgogg42xjoc72x3sjasowoarfbgcmvfimaftt6twagswzczad'


def ctl(*args, cwd=None):
    return subprocess.run([ONIONSHARECTL, *map(os.fspath, args)], capture_output=True, text=True,
                          env=environment(), cwd=cwd)


def test_a_key_is_tors_and_its_address_is_right(tmp_path):
    made = json.loads(ctl('--json', 'balance', 'key', cwd=tmp_path).stdout)
    path = tmp_path / 'frontend.key'
    key = path.read_bytes()
    assert made['file'] == 'frontend.key' and path.stat().st_mode & 0o777 == 0o600
    assert len(key) == 96 and key[:32] == b'== ed25519v1-secret: type0 =='.ljust(32, b'\0')
    raw = base64.b32decode(made['onion'].upper())
    assert raw[34:] == b'\3'
    assert raw[32:34] == hashlib.sha3_256(b'.onion checksum' + raw[:32] + b'\3').digest()[:2]
    again = ctl('balance', 'key', cwd=tmp_path)
    assert again.returncode == 1 and 'File exists' in again.stderr and path.read_bytes() == key


def test_a_configuration_is_printed_or_written_whole(tmp_path):
    made = json.loads(ctl('--json', 'balance', 'key', cwd=tmp_path).stdout)
    shown = ctl('balance', 'config', ONE, f'http://{TWO}.onion/', cwd=tmp_path).stdout
    for text in (f'address: {ONE}.onion', f'address: {TWO}.onion', 'SocksPort 0', 'ExecStart=', 'Restart=on-failure'):
        assert text in shown
    done = ctl('balance', 'config', ONE, TWO, '--key', 'frontend.key', '-o', 'ob', cwd=tmp_path)
    assert done.returncode == 0, done
    folder = tmp_path / 'ob'
    assert sorted(os.listdir(folder)) == ['config.yaml', 'frontend.key', 'onionshared.conf',
                                          'torrc']
    assert (folder / 'frontend.key').read_bytes() == (tmp_path / 'frontend.key').read_bytes()
    assert (folder / 'frontend.key').stat().st_mode & 0o777 == 0o600
    assert made['onion'] in (folder / 'config.yaml').read_text()


def test_what_cannot_be_is_refused_with_a_sentence(tmp_path):
    made = json.loads(ctl('--json', 'balance', 'key', cwd=tmp_path).stdout)
    (tmp_path / 'bad').write_bytes(b'x' * 96)
    for words, why in (
            ([ONE, ONE], 'there twice'),
            (['example.org'], 'must be an onion address'),
            ([ONE[:-1] + 'a'], 'version 3'),
            (['3' + ONE[1:]], 'checksum'),
            ([made['onion'], '--key', 'frontend.key'], 'the frontend itself'),
            ([ONE, '--key', 'bad'], 'no key of an onion service'),
            ([ONE, '--key', 'none'], 'cannot read'),
            ([ONE, '-o', 'bad'], 'cannot write')):
        done = ctl('balance', 'config', *words, cwd=tmp_path)
        status = 2 if why in ('must be an onion address', 'version 3', 'checksum') else 1
        assert done.returncode == status and why in done.stderr, (words, done)
    assert ctl('balance', 'config', cwd=tmp_path).returncode == 2


def test_a_check_needs_tor_and_addresses(daemon, tmp_path):
    config = tmp_path / 'config.yaml'
    config.write_text(f'services:\n- key: a\n  instances:\n  - address: {TWO}.onion\n')
    two = tmp_path / 'two.yaml'
    two.write_text(f'- key: a\n  instances: [{{address: {TWO}.onion}}]\n- key: b\n')
    for words, status, why in (
            ([ONE, TWO], 7, '--local-only'),
            ([ONE, '--config', config], 7, '--local-only'),
            ([ONE, ONE], 2, "the frontend's own address"),
            (['example.org'], 2, 'frontend: must be an onion address'),
            ([ONE, TWO, '--path', 'a b'], 2, 'percent-encoded'),
            ([ONE, 'example.org'], 1, 'example.org: an address of a backend must be'),
            ([ONE, '--config', tmp_path / 'none'], 1, 'cannot read'),
            ([ONE, '--config', tmp_path], 1, 'cannot read'),
            ([ONE, '--config', two], 1, 'several services'),
            ([], 2, 'FRONTEND')):
        done = daemon.ctl('balance', 'check', *map(str, words))
        assert done.status == status and why in done.err, (words, done)
    refused = daemon.ctl('--json', 'balance', 'check', ONE)
    assert refused.json['error'].endswith('TorUnavailable')
    assert not daemon.ctl('balance', 'check', '--help').err
