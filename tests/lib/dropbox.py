# SPDX-License-Identifier: GPL-3.0-or-later
"""A dropbox from outside: what its visitors send, and what is then on the disk."""
import hashlib
import json
import os
import random
import re

from lib.http import Closed, Connection

BOUNDARY = '----onionshare-test'
DAY = re.compile(r'\d{4}-\d{2}-\d{2}')
STAMP = re.compile(r'\d{12}')
SMALL = ['--min-free', '0']


def form(*parts):
    """parts: (field, filename or None, bytes)."""
    body = b''
    for field, filename, data in parts:
        named = '' if filename is None else f'; filename="{filename}"'
        body += (f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"{named}\r\n\r\n'
                 .encode() + data + b'\r\n')
    return body + f'--{BOUNDARY}--\r\n'.encode()


def post(address, body, target='/upload-ajax', headers=None, method='POST'):
    with Connection(address, timeout=60) as c:
        return c.request(method, target, {
            'Content-Type': f'multipart/form-data; boundary={BOUNDARY}', **(headers or {})}, body)


def ajax(address, *parts):
    answer = post(address, form(*parts))
    return answer.status, json.loads(answer.body)


def dropbox(daemon, name='box', *options):
    daemon.json('create', 'receive', name, *SMALL, *options)
    return daemon.json('start', name)


def submissions(root):
    """Of each submission that can be seen: (files by name, message or None)."""
    found = {}
    for day in os.listdir(root):
        if day.startswith('.'):
            continue
        assert DAY.fullmatch(day), day
        for name in os.listdir(os.path.join(root, day)):
            path = os.path.join(root, day, name)
            stamp = name[:12]
            assert STAMP.fullmatch(stamp), name
            files, message = found.get((day, stamp), ({}, None))
            if name.endswith('-message.txt'):
                with open(path, 'rb') as f:
                    message = f.read()
            else:
                assert name == stamp, name
                for file in os.listdir(path):
                    with open(os.path.join(path, file), 'rb') as f:
                        files[file] = f.read()
            found[day, stamp] = files, message
    return list(found.values())


def submission(number):
    """Two files and a message that know each other."""
    rand = random.Random(number)
    files = {f'{number}-{i}.bin': rand.randbytes(rand.choice((0, 10, 5_000, 400_000)))
             for i in range(2)}
    digest = hashlib.sha256(b''.join(files[n] for n in sorted(files))).hexdigest()
    return files, f'{number} {digest}'.encode()


def check_whole(root):
    """Whatever can be seen is whole; the numbers of the submissions."""
    numbers = set()
    for files, message in submissions(root):
        assert message is not None, f'files without their message: {sorted(files)}'
        number = int(message.split()[0])
        assert (files, message) == submission(number), number
        numbers.add(number)
    return numbers


def uploader(address, start, step, acknowledged, stop):
    number = start
    while not stop.is_set():
        files, message = submission(number)
        try:
            status, _ = ajax(address, *(('file[]', n, d) for n, d in files.items()),
                             ('text', None, message))
            if status == 200:
                acknowledged.add(number)
        except (Closed, OSError):
            return
        number += step
