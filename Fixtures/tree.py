"""Fills a directory with names, links, attributes and shapes that readers tend to get wrong.

Everything is made by system calls; what the host cannot give (devices without root) is left out.
"""

import os
import socket
import struct
import subprocess
import sys

NAMES = [
    b"plain",
    b"with space",
    b" leading and trailing ",
    b"new\nline",
    b"tab\tand\rreturn",
    b"escape\x1b[2J\x1b]0;title\x07",
    b"not-utf8-\xff\xfe\x80",
    b"overlong-\xc0\xaf",
    b"surrogate-\xed\xa0\x80",
    b"c1-\xc2\x9b31m",
    b"bidi-\xe2\x80\xaetxt.exe",
    "emoji-\U0001f9e4-ü-漢字".encode(),
    "combining-e\u0301".encode(),
    b"back\\slash",
    b"quote\"and'",
    b"-rf",
    b"--help",
    b"colon:name:/x".replace(b"/", b"_"),
    b"...",
    b"*?[a]",
    b"%s%n%d",
    b"n" * 255,
    b"\xff" * 255,
]


def write(path, content, time=None):
    with open(path, "wb") as file:
        file.write(content)
    if time is not None:
        os.utime(path, ns=(time, time))


def maybe(function, *arguments, **options):
    """Some hosts allow less: a container without mknod, a file system without attributes."""
    try:
        function(*arguments, **options)
    except (OSError, subprocess.CalledProcessError, FileNotFoundError):
        pass


def names(root):
    directory = os.path.join(root, b"names")
    os.mkdir(directory)
    for name in NAMES:
        write(os.path.join(directory, name), b"name: " + name)
    os.mkdir(os.path.join(directory, b"dir\xff\nwith\x1b[31m"))
    write(os.path.join(directory, b"dir\xff\nwith\x1b[31m", b"in\xfeside"), b"inside\n")


def links(root):
    directory = os.path.join(root, b"links")
    os.mkdir(directory)
    write(os.path.join(directory, b"first"), b"one file, three names\n")
    os.link(os.path.join(directory, b"first"), os.path.join(directory, b"second"))
    os.link(os.path.join(directory, b"first"), os.path.join(root, b"third"))
    for name, target in {
        b"fast": b"first",
        b"slow": b"./" * 40 + b"first",
        b"59": b"a" * 59,
        b"60": b"b" * 60,
        b"61": b"c" * 61,
        b"longest": b"/" + b"d" * 254 + (b"/" + b"e" * 250) * 15,
        b"absolute": b"/links/first",
        b"to-host": b"/etc/passwd",
        b"upwards": b"../" * 30 + b"etc/passwd",
        b"loop": b"loop",
        b"directory": b"../names",
        b"not-utf8": b"../names/not-utf8-\xff\xfe\x80",
        b"escape": b"\x1b[31m\n",
    }.items():
        # The longest does not fit where blocks are small.
        maybe(os.symlink, target, os.path.join(directory, name))
    # 41 links in a row: one more than Linux follows.
    os.symlink(b"first", os.path.join(directory, b"chain-00"))
    for step in range(1, 41):
        os.symlink(b"chain-%02d" % (step - 1), os.path.join(directory, b"chain-%02d" % step))


def shapes(root):
    directory = os.path.join(root, b"shapes")
    os.mkdir(directory)
    for size in (0, 1, 59, 60, 61, 4095, 4096, 4097, 49152, 49153, 1048576, 4194305):
        content = (b"%07d\n" % size) * (size // 8 + 1)
        write(os.path.join(directory, b"size-%d" % size), content[:size])
    with open(os.path.join(directory, b"sparse"), "wb") as file:
        file.seek(1 << 20)
        file.write(b"middle")
        file.truncate(64 << 20)
    with open(os.path.join(directory, b"only-hole"), "wb") as file:
        file.truncate(1 << 20)
    with open(os.path.join(directory, b"fragments"), "wb") as file:
        for block in range(0, 400, 2):
            file.seek(block * 4096)
            file.write(b"block %06d" % block)


def attributes(root):
    directory = os.path.join(root, b"attributes")
    os.mkdir(directory)
    file = os.path.join(directory, b"file")
    write(file, b"with attributes\n")
    maybe(os.setxattr, file, b"user.note", b"value")
    maybe(os.setxattr, file, b"user.empty", b"")
    maybe(os.setxattr, file, b"user.binary", bytes(range(256)))
    maybe(os.setxattr, file, b"user.large", b"x" * 2000)
    # cap_net_raw+ep, as on ping.
    capability = struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0)
    maybe(os.setxattr, file, b"security.capability", capability)
    acl = os.path.join(directory, b"acl")
    os.mkdir(acl)
    maybe(
        subprocess.run,
        ["setfacl", "-m", "u:1234:rw,g:4321:r,d:u:1234:rwx", os.fsdecode(acl)],
        check=True,
        capture_output=True,
    )
    for mode in (0o4755, 0o2755, 0o1777, 0o000, 0o7777):
        path = os.path.join(directory, b"mode-%04o" % mode)
        write(path, b"mode\n")
        os.chmod(path, mode)


def nodes(root):
    directory = os.path.join(root, b"nodes")
    os.mkdir(directory)
    maybe(os.mkfifo, os.path.join(directory, b"fifo"))
    maybe(os.mknod, os.path.join(directory, b"null"), 0o20666, os.makedev(1, 3))
    maybe(os.mknod, os.path.join(directory, b"disk"), 0o60660, os.makedev(259, 70000))
    listener = socket.socket(socket.AF_UNIX)
    # The name in the call is limited to 108 bytes, hence from inside the directory.
    before = os.getcwd()
    os.chdir(directory)
    listener.bind("socket")
    os.chdir(before)
    listener.close()


def owners(root):
    directory = os.path.join(root, b"owners")
    os.mkdir(directory)
    for identifier in (1, 65534, 65535, 65536, 70000, 4294967294):
        path = os.path.join(directory, b"%d" % identifier)
        write(path, b"owned\n")
        maybe(os.chown, path, identifier, identifier)


def times(root):
    directory = os.path.join(root, b"times")
    os.mkdir(directory)
    for name, nanoseconds in {
        b"1970": 0,
        b"before": -86400 * 365 * 10**9,
        b"2037": 2145916800 * 10**9 + 1,
        b"after-2038": 2208988800 * 10**9 + 999999999,
        b"2400": 13569465600 * 10**9,
    }.items():
        write(os.path.join(directory, name), b"time\n", nanoseconds)


def many(root):
    directory = os.path.join(root, b"many")
    os.mkdir(directory)
    for number in range(3000):
        write(os.path.join(directory, b"entry-with-a-longer-name-%05d" % number), b"")


def settle(root):
    """The same times on every run, but for those that are the point."""
    moment = 1767225600_123456789
    for directory, directories, files in os.walk(root, topdown=False):
        if directory != os.path.join(root, b"times"):
            for name in files + directories:
                os.utime(os.path.join(directory, name), ns=(moment, moment), follow_symlinks=False)
        os.utime(directory, ns=(moment, moment))


def fill(root):
    root = os.fsencode(root)
    os.makedirs(root, exist_ok=True)
    for part in (names, links, shapes, attributes, nodes, owners, times, many):
        part(root)
    settle(root)


if __name__ == "__main__":
    fill(sys.argv[1])
