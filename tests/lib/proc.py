# SPDX-License-Identifier: GPL-3.0-or-later
"""What /proc tells about a process."""
import os


def fds(pid):
    """Descriptor number -> what it points at."""
    found = {}
    for name in os.listdir(f'/proc/{pid}/fd'):
        try:
            found[int(name)] = os.readlink(f'/proc/{pid}/fd/{name}')
        except OSError:
            pass
    return found


def status(pid, key):
    with open(f'/proc/{pid}/status') as f:
        for line in f:
            if line.startswith(key + ':'):
                return line.split(':', 1)[1].strip()
    raise KeyError(key)


def rss(pid):
    """Resident bytes."""
    return int(status(pid, 'VmRSS').split()[0]) * 1024


def pss(pid):
    """Resident bytes, those shared with others in part."""
    with open(f'/proc/{pid}/smaps_rollup') as f:
        for line in f:
            if line.startswith('Pss:'):
                return int(line.split()[1]) * 1024
    raise KeyError('Pss')


def cpu_seconds(pid):
    """User and system time, in steps of a clock tick."""
    with open(f'/proc/{pid}/stat') as f:
        fields = f.read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def alive(pid):
    """Runs, and is no zombie."""
    try:
        return status(pid, 'State')[0] not in 'ZX'
    except (OSError, KeyError):
        return False


def children(pid):
    found = []
    try:
        for task in os.listdir(f'/proc/{pid}/task'):
            with open(f'/proc/{pid}/task/{task}/children') as f:
                found += [int(p) for p in f.read().split()]
    except OSError:
        pass
    return found


def descendants(pid):
    found = children(pid)
    for child in list(found):
        found += descendants(child)
    return found
