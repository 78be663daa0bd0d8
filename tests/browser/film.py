# SPDX-License-Identifier: GPL-3.0-or-later
"""A film to jump about in: VP8 in WebM, in which one sees which second it is.

Each second shows its number in black figures, every twenty of them have a colour of their
own; grain makes the file too large to be fetched as a whole for a look at it.
"""
import os
import shutil
import subprocess

WIDTH, HEIGHT, RATE, SECONDS = 640, 360, 3, 120
# Y, U, V (BT.601), and what a browser shows of it: red, green, blue.
COLOURS = [((82, 90, 240), (255, 0, 0)), ((145, 54, 34), (0, 255, 0)),
           ((41, 240, 110), (0, 0, 255)), ((170, 166, 16), (0, 255, 255)),
           ((107, 202, 222), (255, 0, 255)), ((210, 16, 146), (255, 255, 0))]
# Rows of three dots each, from the top.
DOTS = {
    '0': (7, 5, 5, 5, 7), '1': (2, 6, 2, 2, 7), '2': (7, 1, 7, 4, 7), '3': (7, 1, 7, 1, 7),
    '4': (5, 5, 7, 1, 1), '5': (7, 4, 7, 1, 7), '6': (7, 4, 7, 5, 7), '7': (7, 1, 1, 1, 1),
    '8': (7, 5, 7, 5, 7), '9': (7, 5, 7, 1, 7)}
DOT = 32


def installed():
    return shutil.which('vpxenc') is not None


def colour_at(second):
    """Red, green and blue, as seen."""
    return COLOURS[second // 20][1]


def draw_number(luma, number):
    for place, figure in enumerate(str(number)):
        for row, dots in enumerate(DOTS[figure]):
            for column in range(3):
                if dots & 4 >> column:
                    x = 24 + (place * 4 + column) * DOT
                    for y in range(24 + row * DOT, 24 + (row + 1) * DOT):
                        luma[y * WIDTH + x:y * WIDTH + x + DOT] = b'\x10' * DOT


def frame(second):
    (y, u, v), _ = COLOURS[second // 20]
    grain = os.urandom(WIDTH * HEIGHT).translate(bytes(max(16, min(235, y + i % 33 - 16))
                                                       for i in range(256)))
    luma = bytearray(grain)
    draw_number(luma, second)
    quarter = WIDTH * HEIGHT // 4
    return bytes(luma) + bytes([u]) * quarter + bytes([v]) * quarter


def make(path):
    """Writes the film to path."""
    encoder = subprocess.Popen(
        ['vpxenc', '--quiet', '--codec=vp8', '--rt', '--cpu-used=16', '--threads=2',
         '--target-bitrate=4000', '--kf-max-dist=10', '-o', path, '-'], stdin=subprocess.PIPE)
    with encoder.stdin as out:
        out.write(b'YUV4MPEG2 W%d H%d F%d:1 Ip A1:1 C420jpeg\n' % (WIDTH, HEIGHT, RATE))
        for i in range(SECONDS * RATE):
            out.write(b'FRAME\n' + frame(i // RATE))
    assert encoder.wait(120) == 0
