# SPDX-License-Identifier: GPL-3.0-or-later
"""The Debian package as a file."""
import os
import re
import shutil
import subprocess

import pytest

from lib.daemon import TOP
from machine import build_packages

if not shutil.which('dpkg-buildpackage'):
    pytest.skip('dpkg-buildpackage is not installed', allow_module_level=True)


def digest(path):
    return subprocess.run(['sha256sum', path], check=True, capture_output=True,
                          text=True).stdout.split()[0]


def test_two_builds_in_two_places_are_the_same():
    """Each is looked at by lintian, too, which ends the build if it has a word to say."""
    first = build_packages('package')
    second = build_packages('package-again/elsewhere')
    assert [os.path.basename(p) for p in first] == [os.path.basename(p) for p in second]
    assert len(first) == 2
    for one, other in zip(first, second):
        assert digest(one) == digest(other), one
    shutil.rmtree(os.path.dirname(os.path.dirname(second[0])))


def test_what_the_build_needs_is_named_to_debian_too():
    with open(os.path.join(TOP, 'quickstart')) as f:
        packages = re.search(r'(?s)^build_packages=\((.*?)\)', f.read(), re.M)[1].split()
    with open(os.path.join(TOP, 'docs', 'packaging', 'debian', 'control')) as f:
        control = f.read()
    named = set(re.findall(r'(?m)^ ([\w.+-]+)', control.split('\nPackage:')[0]))
    libraries = {p for p in packages if p.endswith('-dev') and p != 'libc6-dev'}
    assert len(libraries) > 5
    assert libraries <= named, libraries - named
