# SPDX-License-Identifier: GPL-3.0-or-later
"""The project's own rules, as functions from a file's text to complaints.

A complaint is a string "PATH:LINE: what is wrong". Nothing here reads a disk:
test_own.py feeds each rule a sample that breaks it.
"""
import posixpath
import re

SPDX = 'SPDX-License-Identifier: GPL-3.0-or-later'

# Function: why not, or what instead.
BANNED = {
    'strcpy': 'memcpy with a checked length',
    'stpcpy': 'memcpy with a checked length',
    'strcat': 'struct buf',
    'strncpy': 'memcpy with a checked length',
    'strncat': 'struct buf',
    'sprintf': 'snprintf or struct buf',
    'vsprintf': 'vsnprintf or struct buf',
    'atoi': 'span_u64',
    'atol': 'span_u64',
    'atoll': 'span_u64',
    'sscanf': 'a parser',
    'strtok': 'span_cut',
    'strtok_r': 'span_cut',
    'alloca': 'the arena',
    'gets': 'anything',
    'tmpnam': 'nothing is written to /tmp',
    'mktemp': 'nothing is written to /tmp',
    'getaddrinfo': 'no name is ever looked up: a leak past Tor',
    'gethostbyname': 'no name is ever looked up: a leak past Tor',
    'gethostbyname_r': 'no name is ever looked up: a leak past Tor',
    'uv_getaddrinfo': 'no name is ever looked up: a leak past Tor',
}
BANNED_CALL = re.compile(r'(?<![\w.>])(%s)\s*\(' % '|'.join(BANNED))
UNFINISHED = re.compile(r'\b(TODO|FIXME|XXX|HACK)\b')
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
COMMENT = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def without_comments_and_strings(text):
    """The same lines and columns, with blanks where comments and strings were."""
    return COMMENT.sub(lambda m: re.sub(r'[^\n]', ' ', m.group()), text)


def banned_functions(path, text):
    for number, line in enumerate(without_comments_and_strings(text).split('\n'), 1):
        for match in BANNED_CALL.finditer(line):
            yield f'{path}:{number}: {match[1]} is banned; use {BANNED[match[1]]}'


def spdx_line(path, text):
    # After a #! line or a docbook-like first comment character, but at the very top.
    if SPDX not in '\n'.join(text.split('\n')[:3]):
        yield f'{path}:1: no "{SPDX}" at the top'


def unfinished_work(path, text):
    for number, line in enumerate(text.split('\n'), 1):
        match = UNFINISHED.search(line)
        if match:
            yield f'{path}:{number}: {match[1]}: finish it, or say in plain words how it is'


def whitespace(path, text):
    if text and not text.endswith('\n'):
        yield f'{path}: no newline at the end'
    for number, line in enumerate(text.split('\n'), 1):
        if line != line.rstrip():
            yield f'{path}:{number}: white space at the end of the line'
        if '\r' in line:
            yield f'{path}:{number}: a carriage return'


class IncludeTable:
    """What includes.txt says."""

    def __init__(self, text):
        self.allowed = {}   # folder -> set of folders
        self.generated = set()
        self.restricted = {}  # <header> or <prefix/> -> set of folders
        for number, line in enumerate(text.split('\n'), 1):
            line = line.split('#')[0].strip()
            if not line:
                continue
            name, colon, rest = line.partition(':')
            if not colon:
                raise ValueError(f'includes.txt:{number}: no colon')
            name = name.strip()
            if name.startswith('<'):
                self.restricted[name.strip('<>')] = set(rest.split())
            elif name.startswith('"'):
                self.generated.add(name.strip('"'))
            else:
                self.allowed[name] = set(rest.split())
        self._must_be_acyclic()

    def _must_be_acyclic(self):
        done = set()

        def visit(folder, trail):
            if folder in trail:
                raise ValueError('includes.txt: a circle: ' + ' -> '.join([*trail, folder]))
            if folder not in done:
                for other in self.allowed.get(folder, ()):
                    visit(other, [*trail, folder])
                done.add(folder)

        for folder in self.allowed:
            visit(folder, [])

    def folder_of(self, included, includer, exists):
        """The folder of an #include "…", or None where it names no file of ours."""
        folder = posixpath.dirname(includer)
        for base in (folder, '', 'daemon'):
            candidate = posixpath.normpath(posixpath.join(base, included))
            if exists(candidate):
                return posixpath.dirname(candidate)
        return None

    def check(self, path, text, exists):
        folder = posixpath.dirname(path)
        if folder not in self.allowed:
            yield f'{path}:1: the folder {folder} is not in tests/lint/includes.txt'
            return
        for number, line in enumerate(text.split('\n'), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            quote, name = match[1], match[2]
            if quote == '<':
                for header, folders in self.restricted.items():
                    hit = name.startswith(header) if header.endswith('/') else name == header
                    if hit and folder not in folders:
                        yield (f'{path}:{number}: <{name}> belongs to '
                               f'{", ".join(sorted(folders))} only')
            elif '..' in name.split('/'):
                yield f'{path}:{number}: "{name}" climbs; name it from the top'
            elif name not in self.generated:
                target = self.folder_of(name, path, exists)
                if target is None:
                    yield f'{path}:{number}: there is no "{name}"'
                elif target != folder and target not in self.allowed[folder]:
                    yield f'{path}:{number}: {folder} may not include {target} ("{name}")'
