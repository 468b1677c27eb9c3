#!/usr/bin/env python3
"""A terminal's screen, as `tmux capture-pane -e` gives it, as an SVG on standard output. The argument is the window's title."""
import re
import sys
from html import escape

CELL, LINE, PAD, BAR = 8.4, 19, 16, 34
COLOURS = ["#3b4252", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#d8dee9"]
TEXT, DIM, GROUND = "#d8dee9", "#7b8496", "#1e222a"


def style(codes, now):
    colour, bold, dim = now
    codes = [int(code or 0) for code in codes.split(";")]
    at = 0
    while at < len(codes):
        code = codes[at]
        if code == 0:
            colour, bold, dim = TEXT, False, False
        elif code == 1:
            bold = True
        elif code == 2:
            dim = True
        elif code == 22:
            bold = dim = False
        elif 30 <= code <= 37:
            colour = COLOURS[code - 30]
        elif 90 <= code <= 97:
            colour = COLOURS[code - 90]
        elif code == 39:
            colour = TEXT
        elif code == 38 and codes[at + 1:at + 2] == [5]:
            colour = COLOURS[codes[at + 2] % 8] if codes[at + 2] < 16 else TEXT
            at += 2
        at += 1
    return colour, bold, dim


def spans(line):
    now, column, out = (TEXT, False, False), 0, []
    for part in re.split(r"(\x1b\[[0-9;]*m)", line):
        if part.startswith("\x1b["):
            now = style(part[2:-1], now)
        elif part:
            out.append((column, part, now))
            column += len(part)
    return out


lines = sys.stdin.read().rstrip("\n").split("\n")
lines = [re.sub(r"\x1b\[[0-9;]*[A-Za-ln-z]", "", line) for line in lines]
width = max(72, max(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in lines))
w, h = width * CELL + 2 * PAD, len(lines) * LINE + BAR + PAD
print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w:.0f} {h:.0f}" width="{w:.0f}" role="img">')
print(f'<title>{escape(sys.argv[1])}</title><rect width="100%" height="100%" rx="8" fill="{GROUND}"/>')
for at, colour in enumerate(["#e06c75", "#e5c07b", "#98c379"]):
    print(f'<circle cx="{PAD + 4 + at * 18}" cy="17" r="5.5" fill="{colour}"/>')
print(f'<text x="50%" y="21" text-anchor="middle" fill="{DIM}" font-family="monospace" font-size="12">{escape(sys.argv[1])}</text>')
print('<g font-family="ui-monospace,SFMono-Regular,Menlo,DejaVu Sans Mono,monospace" font-size="14" xml:space="preserve">')
for row, line in enumerate(lines):
    for column, text, (colour, bold, dim) in spans(line):
        # Word by word, each at its own column: viewers squeeze runs of spaces.
        for word in re.finditer(r"\S+", text):
            x, y = PAD + (column + word.start()) * CELL, BAR + (row + 0.75) * LINE
            weight = ' font-weight="bold"' if bold else ""
            print(f'<text x="{x:.1f}" y="{y:.1f}" textLength="{len(word.group()) * CELL:.1f}" '
                  f'lengthAdjust="spacingAndGlyphs" fill="{DIM if dim else colour}"{weight}>{escape(word.group())}</text>')
print("</g></svg>")
