"""Talks to `glovebox-engine worker` as glovebox does, over exports of qemu-nbd.

The messages are those of Sources/EngineProtocol: a length of four bytes, then fields.
"""

import os
import re
import socket
import struct
import subprocess
import tempfile
import time


class Failure(Exception):
    """What the worker could not do."""

    def __init__(self, kind, message):
        super().__init__(f"{kind}: {message}")
        self.kind = kind


class Reader:
    """Reads fields in order."""

    def __init__(self, data):
        self.data = data
        self.position = 0

    def take(self, form):
        values = struct.unpack_from("<" + form, self.data, self.position)
        self.position += struct.calcsize("<" + form)
        return values[0] if len(values) == 1 else values

    def run(self):
        count = self.take("I")
        start = self.position
        self.position += count
        assert self.position <= len(self.data)
        return self.data[start : self.position]

    def status(self):
        device, number, kind, mode, user, group, links, size, allocated = self.take("QQBHIIIQQ")
        times = [self.take("qI") for _ in range(3)]
        node = self.take("II") if self.take("B") else None
        return {
            "device": device,
            "inode": number,
            "type": ["file", "directory", "symlink", "char", "block", "fifo", "socket"][kind],
            "mode": mode,
            "uid": user,
            "gid": group,
            "links": links,
            "size": size,
            "allocated": allocated,
            "mtime": times[1][0] * 10**9 + times[1][1],
            "node": node,
        }


def run(data):
    """A run of bytes as messages have it."""
    return struct.pack("<I", len(data)) + data


class Worker:
    """A worker with exports of some disks; used as a context."""

    def __init__(self, program, disks, environment=None):
        self.directory = tempfile.mkdtemp(prefix="glovebox-", dir="/tmp")
        self.place = self.directory + "/w"
        self.exports = []
        self.disks = []
        self.progress = []
        for index, (path, form) in enumerate(disks):
            self.export(index, path, form)
        ours, theirs = socket.socketpair()
        self.channel = ours
        self.process = subprocess.Popen(
            ["sh", "-c", 'exec "$0" worker $PPID "$1" 3<&0 </dev/null', program, self.place],
            stdin=theirs,
            stderr=open(f"{self.directory}/worker.log", "wb"),
            env={**os.environ, "TMPDIR": self.place, **(environment or {})},
        )
        theirs.close()

    def calls(self, name):
        """How often libguestfs was asked for this; needs LIBGUESTFS_TRACE=1."""
        with open(f"{self.directory}/worker.log", "rb") as log:
            return len(re.findall(rb"trace: %s[ \n](?!=)" % name.encode(), log.read()))

    def export(self, index, path, form):
        where = f"{self.directory}/disk{index}.sock"
        export = subprocess.Popen(
            ["qemu-nbd", "-r", "-t", "-e", "0", "-A", "-f", form, "-k", where, path]
        )
        self.exports.append(export)
        deadline = time.monotonic() + 30
        while not os.path.exists(where):
            assert time.monotonic() < deadline and export.poll() is None
            time.sleep(0.02)
        if os.geteuid() == 0:
            # The worker is nobody then.
            os.chown(where, 65534, 65534)
        size = int(subprocess.check_output(["nbdinfo", "--size", f"nbd+unix:///?socket={where}"]))
        self.disks.append((os.path.basename(path), where, size))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()
        try:
            self.process.wait(30)
        finally:
            self.process.kill()
            for export in self.exports:
                export.terminate()
                export.wait(10)
            subprocess.run(["rm", "-rf", self.directory], check=True)

    def send(self, message):
        self.channel.sendall(run(message))

    def receive(self):
        """The next answer that is no progress: its code, and the fields."""
        while True:
            reader = Reader(self.exactly(struct.unpack("<I", self.exactly(4))[0]))
            code = reader.take("B")
            if code == 1:
                self.progress.append(reader.run().decode())
                continue
            if code == 0:
                raise Failure(reader.take("B"), reader.run().decode())
            return code, reader

    def exactly(self, count):
        data = b""
        while len(data) < count:
            part = self.channel.recv(count - len(data))
            if not part:
                raise EOFError("the worker is gone")
            data += part
        return data

    def ask(self, message, code):
        self.send(message)
        answer, reader = self.receive()
        assert answer == code
        return reader

    def launch(self, memory=0, kvm=True):
        message = struct.pack("<BI", 1, len(self.disks))
        for name, where, size in self.disks:
            message += run(name.encode()) + run(where.encode()) + struct.pack("<Q", size)
        message += run(self.place.encode()) + struct.pack("<IB", memory, kvm)
        return bool(self.ask(message, 2).take("B"))

    def volumes(self):
        reader = self.ask(b"\x02", 3)
        found = {}
        for _ in range(reader.take("I")):
            disk, name, kind = (reader.run().decode() for _ in range(3))
            label, uuid = reader.run(), reader.run().decode()
            size = reader.take("Q")
            parts = [reader.run().decode() for _ in range(reader.take("I"))]
            found[f"{disk}:{name}"] = (kind, label, uuid, size, parts)
        return found

    def unlock(self, disk, volume, key):
        self.ask(b"\x03" + run(disk.encode()) + run(volume.encode()) + run(key) + b"\0", 9)

    def open(self, disk, volume, replay=True):
        message = b"\x04" + run(disk.encode()) + run(volume.encode()) + bytes([replay])
        reader = self.ask(message, 4)
        mount = {"number": reader.take("I"), "type": reader.run().decode()}
        mount["label"], mount["uuid"] = reader.run(), reader.run().decode()
        mount["block"], mount["size"], mount["free"] = reader.take("IQQ")
        mount["available"], mount["inodes"], mount["inodes_free"] = reader.take("QQQ")
        mount["journal"] = reader.take("B")
        mount["root"] = reader.status()
        mount["attributes"] = bool(reader.take("B"))
        return mount

    def file(self, code, mount, path):
        return struct.pack("<BI", code, mount) + run(path)

    def entries(self, mount, path):
        self.send(self.file(5, mount, path))
        found = {}
        while True:
            code, reader = self.receive()
            assert code == 5
            is_last = reader.take("B")
            for _ in range(reader.take("I")):
                name = reader.run()
                found[name] = reader.status() if reader.take("B") else None
            if is_last:
                return found

    def status(self, mount, path):
        return self.ask(self.file(6, mount, path), 6).status()

    def target(self, mount, path):
        return self.ask(self.file(7, mount, path), 7).run()

    def attributes(self, mount, path):
        reader = self.ask(self.file(8, mount, path), 8)
        return {reader.run(): reader.run() for _ in range(reader.take("I"))}

    def read(self, mount, path, offset, count):
        return self.ask(self.file(9, mount, path) + struct.pack("<QI", offset, count), 7).run()

    def content(self, mount, path, size):
        return b"".join(
            self.read(mount, path, start, min(2 << 20, size - start))
            for start in range(0, size, 2 << 20)
        )
