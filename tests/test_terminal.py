"""Texts of data reach the terminal escaped, and a reader that leaves ends nothing badly."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys

import pytest

from collavo.errors import EXIT_PIPE
from collavo.terminal import Formatter, Stdout, console, one_line, printable, say

ACTING = {
    "clear": "\x1b[2J",
    "title": "\x1b]0;x\x07",
    "c1": "\x9b31m",
    "back": "\b\b",
    "return": "a\rb",
    "right to left": "\u202etxt",
    "isolate": "\u2066x\u2069",
    "zero width": "a\u200bb",
    "half": "\ud800",
    "unassigned": "\U000e0080",
    "null": "\0",
    "line separator": "\u2028",
}


@pytest.mark.parametrize("text", ACTING.values(), ids=ACTING)
def test_what_a_terminal_would_act_on_is_shown(text: str) -> None:
    for shown in (printable(text), one_line(text)):
        assert shown.isprintable() and "\\" in shown
        assert shown.encode("utf-8")
        assert shown.encode("ascii", "backslashreplace").decode("unicode_escape") == text


@pytest.mark.parametrize("text", ["", "plain", "é漢字🙂", "[red]a[/red] :smile:", "a\\x1b"])
def test_other_texts_stay(text: str) -> None:
    assert printable(text) == one_line(text) == text


def test_lines_and_tabs() -> None:
    assert printable("a\n\tb") == "a\n\tb"
    assert one_line("a\n\tb") == "a\\n\\tb"


def test_every_way_out_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    say("say \x1b[2J")
    say("err \x1b[2J", file=sys.stderr)
    console().print("console \x1b[2J [bold]b[/bold] :smile:")
    record = logging.LogRecord("x", 20, "f", 1, "log %s", ("\x1b[2J",), None)
    print(Formatter().format(record))
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert "console \\x1b[2J [bold]b[/bold] :smile:" in out


def test_tables_are_whole_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.table import Table

    table = Table("name")
    table.add_row("x" * 400)
    console().print(table)
    assert "x" * 400 in capsys.readouterr().out


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_reader_that_leaves(goes_on: bool) -> None:
    """Work goes on without a reader; what only prints ends."""
    code = (
        "import sys\n"
        "from collavo.terminal import Stdout\n"
        f"sys.stdout = Stdout(sys.stdout, {goes_on})\n"
        "sys.stdin.readline()\n"
        "try:\n"
        "    for _ in range(20000): print('x' * 80)\n"
        "    sys.stdout.flush()\n"
        "except BrokenPipeError:\n"
        "    print('left', file=sys.stderr)\n"
        "else:\n"
        "    print('done', file=sys.stderr)\n"
    )
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        _, said = process.communicate(b"\n", timeout=60)
    assert said.decode().split() == ["done" if goes_on else "left"]
    assert process.returncode == 0


def test_a_list_into_head_ends_in_silence() -> None:
    code = "import sys; from collavo.cli.main import main; sys.exit(main(['list', 'datasets']))"
    command = [sys.executable, "-c", code]
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        command, stdout=write, stderr=subprocess.PIPE, timeout=120, check=False, text=True
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (EXIT_PIPE, "")


def test_the_stream_stays_what_it_was() -> None:
    inner = io.StringIO()
    wrapped = Stdout(inner, goes_on=False)
    print("a", file=wrapped)  # type: ignore[call-overload]
    wrapped.flush()
    assert inner.getvalue() == "a\n" and not wrapped.isatty()
