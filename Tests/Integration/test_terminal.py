"""What reaches a terminal: a stranger chose the names on a disk, and terminals obey sequences."""

import base64
import json
import os
import pty
import subprocess
import time

import pytest

import support
from support import exact, ok, run

QUIET = {"NO_COLOR": "1", "TERM": "dumb"}


def on_a_terminal(*arguments, environment=QUIET, both=True):
    """Runs glovebox with a terminal as output; gives what the terminal received."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [support.GLOVEBOX, *map(os.fspath, arguments)],
        stdin=follower, stdout=follower, stderr=follower if both else subprocess.DEVNULL,
        env={**os.environ, **environment}, start_new_session=True,
    )
    os.close(follower)
    received = b""
    started = time.monotonic()
    while time.monotonic() - started < 60:
        try:
            piece = os.read(leader, 65536)
        except OSError:
            break
        if not piece:
            break
        received += piece
    os.close(leader)
    process.wait(timeout=10)
    return received, process.returncode


def harmful(received):
    """Control characters other than line ends; C1 controls and direction overrides in UTF-8 too."""
    text = received.replace(b"\r\n", b"\n").decode("utf-8", "surrogateescape")
    return {
        character
        for character in text
        if (ord(character) < 0x20 and character not in "\n\r")
        or 0x7F <= ord(character) < 0xA0
        or 0x202A <= ord(character) <= 0x202E
        or 0x2066 <= ord(character) <= 0x2069
        or 0xDC80 <= ord(character) <= 0xDCFF
    }


HOSTILE = "/no\x1b[2Jsuch\x07\u202e\x9b31m"


@pytest.mark.parametrize(
    "arguments",
    [
        ["ls", "{image}", "/names"],
        ["ls", "-l", "{image}", "/names"],
        ["ls", "-l", "{image}", "/links"],
        ["ls", "-R", "{image}", "/names"],
        ["ls", "-l", "-R", "{image}", "/"],
        ["find", "{image}", "/names"],
        ["find", "{image}", "/names", "--name", "*escape*"],
        ["stat", "{image}", "/links/escape"],
        ["stat", "{image}", "/names/escape\x1b[2J\x1b]0;title\x07"],
        ["stat", "{image}", "/attributes/file"],
        ["cat", "{image}", HOSTILE],
        ["ls", "{image}", HOSTILE],
        ["ls", "{image}", "disk\x1b[2J:p1:/"],
        ["disks", "/tmp/no\x1b[2J"],
        ["ls", "--format", "\x1b[2J", "{image}"],
        ["ls", "--json", "{image}", "/names"],
        ["df", "{image}"],
        ["disks", "{image}"],
    ],
    ids=lambda arguments: repr(" ".join(arguments)),
)
def test_control_characters_never_reach_the_terminal(strange, arguments):
    received, _ = on_a_terminal(*[part.format(image=strange) for part in arguments])
    assert received
    assert not harmful(received), received[-1500:]


def test_extraction_shows_no_name_as_it_stands(strange, tmp_path):
    received, _ = on_a_terminal("extract", "--verbose", strange, "/names", "--to-dir", tmp_path)
    # Progress may redraw its line by a carriage return, and clear it.
    assert not harmful(received.replace(b"\x1b[K", b"")), received[-1500:]


def test_labels_from_a_disk_do_not_reach_the_terminal(strange, fixtures, tmp_path):
    image = fixtures.copy("corrupt/sound", tmp_path / "disk.raw")
    support.tool("tune2fs", "-f", "-L", "l\x1b[2J\x07\xff", image)
    for command in (["disks"], ["df"]):
        received, code = on_a_terminal(*command, "--format", "raw", image)
        assert code == 0 and not harmful(received), received
    received, code = on_a_terminal("disks", "--json", "--format", "raw", image)
    assert code == 0 and not harmful(received), received


def test_bytes_survive_in_json(strange):
    records = ok("ls", "--json", strange, "/names").lines
    names = {exact("path", record).removeprefix(b"/names/") for record in records}
    assert b"not-utf8-\xff\xfe\x80" in names
    assert b"surrogate-\xed\xa0\x80" in names
    assert b"escape\x1b[2J\x1b]0;title\x07" in names
    assert b"new\nline" in names
    for record in records:
        if "path_base64" in record:
            with pytest.raises(UnicodeDecodeError):
                base64.b64decode(record["path_base64"]).decode()
            assert "\\x" in record["path"]


def test_json_is_json_by_the_letter(strange):
    for line in ok("ls", "-R", "--json", strange, "/").out.split(b"\n")[:-1]:
        assert not [byte for byte in line if byte < 0x20]
        pairs = json.loads(line, object_pairs_hook=list)
        keys = [key for key, _ in pairs]
        assert len(keys) == len(set(keys)), "a key stands twice"


def test_a_name_that_looks_like_an_escape_is_not_taken_for_one(strange):
    # A backslash of the guest's is shown doubled or escaped, so that no two names look alike.
    lines = ok("ls", strange, "/names").text.splitlines()
    assert len(lines) == len(set(lines)) == len(ok("ls", "--json", strange, "/names").lines)


def test_no_progress_and_no_bar_where_there_is_no_terminal(cloud, tmp_path):
    result = ok("extract", cloud, "/var/log", "--to-dir", tmp_path)
    assert b"\r" not in result.err and b"\x1b" not in result.err + result.out
    assert b"\x1b" not in ok("disks", cloud).out


def test_a_hostile_command_name_is_refused_plainly():
    result = run("\x1b[2J")
    assert result.code == support.USAGE
