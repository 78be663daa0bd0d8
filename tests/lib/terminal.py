# SPDX-License-Identifier: GPL-3.0-or-later
"""A program on a terminal of a given size, and what that terminal would show.

As much of ECMA-48 and of xterm's control sequences as our client sends; any other one is an error.
"""
import fcntl
import os
import pty
import re
import select
import struct
import termios
import time

from .waiting import PATIENCE, TooLate

SEQUENCE = re.compile(r'\x1b\[(\??)([0-9;]*)([A-Za-z])')


class Page:
    def __init__(self, columns, rows):
        self.columns, self.rows = columns, rows
        self.lines = [[' '] * columns for _ in range(rows)]
        self.row = self.column = 0

    def put(self, char, wrap):
        if self.column == self.columns:
            if wrap:
                self.column = 0
                self.feed()
            else:
                self.column -= 1
        self.lines[self.row][self.column] = char
        self.column += 1

    def feed(self):
        if self.row + 1 < self.rows:
            self.row += 1
        else:
            self.lines = self.lines[1:] + [[' '] * self.columns]

    def erase(self, row, column):
        self.lines[row][column:] = [' '] * (self.columns - column)

    def resized(self, columns, rows):
        new = Page(columns, rows)
        for old, line in zip(self.lines, new.lines):
            line[:len(old[:columns])] = old[:columns]
        new.row, new.column = min(self.row, rows - 1), min(self.column, columns)
        return new

    @property
    def text(self):
        return [''.join(line).rstrip() for line in self.lines]


class Terminal:
    def __init__(self, argv, env, columns=80, rows=24):
        self.normal, self.other = Page(columns, rows), Page(columns, rows)
        self.on_other, self.cursor, self.wrap = False, True, True
        self.said, self.pending, self.status, self.frames = '', '', None, 0
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))
            os.execve(argv[0], argv, env)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.status is None:
            os.kill(self.pid, 9)
            os.waitpid(self.pid, 0)
        os.close(self.fd)

    def resize(self, columns, rows):
        self.normal = self.normal.resized(columns, rows)
        self.other = self.other.resized(columns, rows)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))

    def type(self, data):
        os.write(self.fd, data)

    @property
    def echoes(self):
        return bool(termios.tcgetattr(self.fd)[3] & termios.ECHO)

    @property
    def page(self):
        return self.other if self.on_other else self.normal

    @property
    def text(self):
        return self.page.text

    def read(self, seconds):
        """Takes in what comes; False at the end."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        self.said += data.decode(errors='replace')
        self._take(data.decode(errors='replace'))
        return bool(data)

    def until(self, condition, what):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline or not self.read(0.2):
                raise TooLate(f'{what}; the terminal shows:\n' + '\n'.join(self.text))

    def until_shown(self, *what):
        self.until(lambda: all(any(w in line for line in self.text) for w in what), what)

    def end(self):
        """To the program's end; its exit status."""
        deadline = time.monotonic() + PATIENCE
        while self.read(0.2):
            if time.monotonic() > deadline:
                raise TooLate('the program goes on')
        self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.status

    def _take(self, data):
        data, self.pending = self.pending + data, ''
        i = 0
        while i < len(data):
            if data[i] != '\x1b':
                self._char(data[i])
                i += 1
                continue
            m = SEQUENCE.match(data, i)
            if not m:
                assert len(data) - i < 16, f'what is this? {data[i:i + 40]!r}'
                self.pending = data[i:]
                return
            self._sequence(*m.groups())
            i = m.end()

    def _char(self, c):
        if c == '\r':
            self.page.column = 0
        elif c == '\n':
            self.page.feed()
        else:
            assert c >= ' ', repr(c)
            self.page.put(c, self.wrap)

    def _sequence(self, private, arguments, final):
        page, numbers = self.page, [int(n or 0) for n in arguments.split(';')]
        if private:
            assert final in 'hl', (arguments, final)
            self._mode(numbers[0], final == 'h')
        elif final == 'H':
            row, column = (numbers + [1])[:2]
            page.row = min(max(row, 1), page.rows) - 1
            page.column = min(max(column, 1), page.columns) - 1
            self.frames += page.row == 0
        elif final == 'K':
            page.erase(page.row, min(page.column, page.columns - 1))
        elif final == 'J':
            for row in range(page.rows):
                if numbers[0] == 2 or row > page.row:
                    page.erase(row, 0)
            if numbers[0] == 0:
                page.erase(page.row, min(page.column, page.columns - 1))
        else:
            assert final == 'm', (arguments, final)

    def _mode(self, number, on):
        if number == 1049:
            if on:
                self.other = Page(self.normal.columns, self.normal.rows)
            self.on_other = on
        elif number == 25:
            self.cursor = on
        else:
            assert number == 7, number
            self.wrap = on
