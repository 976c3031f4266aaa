#!/usr/bin/python3
"""An NBD server that speaks the protocol and breaks one promise.

usage: hostile_server.py SOCKET IMAGE MODE, see the modes at the end. Prints a line when it listens.
Protocol: https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md
"""

import os
import socket
import struct
import sys
import threading
import time

SOCKET, IMAGE, MODE = sys.argv[1:4]
with open(IMAGE, "rb") as file:
    DATA = file.read()

GO, STRUCTURED_REPLY, SET_META_CONTEXT = 7, 8, 10
ACK, INFO, META_CONTEXT, UNSUPPORTED, TLS_REQUIRED = 1, 3, 4, 0x80000001, 0x80000005
NONE, OFFSET_DATA, BLOCK_STATUS, ERROR = 0, 1, 5, 0x8001
READ, DISCONNECT, STATUS = 0, 2, 7
EIO = 5


class Gone(Exception):
    pass


def receive(client, count):
    data = b""
    while len(data) < count:
        piece = client.recv(count - len(data))
        if not piece:
            raise Gone
        data += piece
    return data


def size():
    if MODE == "other-size" and not first_handshake.acquire(blocking=False):
        return len(DATA) - 4096
    return {
        "claims-more": len(DATA) + (1 << 20), "negative-size": 1 << 63, "huge-size": (1 << 63) - 1,
    }.get(MODE, len(DATA))


def handshake(client):
    if MODE == "garbage":
        client.sendall(os.urandom(4096))
        time.sleep(30)
    if MODE == "silent":
        time.sleep(30)
    if MODE == "closes":
        raise Gone
    client.sendall(b"NBDMAGICIHAVEOPT" + struct.pack(">H", 3))
    receive(client, 4)
    structured = False
    contexts = {}
    while True:
        _, option, length = struct.unpack(">QII", receive(client, 16))
        data = receive(client, length)

        if MODE == "demands-tls":
            client.sendall(struct.pack(">QIII", 0x3E889045565A9, option, TLS_REQUIRED, 0))
            continue

        def reply(kind, body=b""):
            client.sendall(struct.pack(">QIII", 0x3E889045565A9, option, kind, len(body)) + body)

        if MODE == "stops-in-handshake":
            time.sleep(30)
        if MODE == "endless-options":
            while True:
                reply(META_CONTEXT, struct.pack(">I", 1) + b"x" * 100)
        if option == STRUCTURED_REPLY and MODE != "simple":
            structured = True
            reply(ACK)
        elif option == SET_META_CONTEXT:
            contexts = {1: b"base:allocation", 2: b"qemu:allocation-depth"}
            for number, name in contexts.items():
                reply(META_CONTEXT, struct.pack(">I", number) + name)
            reply(ACK)
        elif option == GO:
            reply(INFO, struct.pack(">HQH", 0, size(), 1 | 2 | 0x80 | 0x100))
            smallest, most = {
                "odd-blocks": (3, 1 << 20), "no-blocks": (4096, 512), "blocks": (4096, 65536),
            }.get(MODE, (1, 1 << 20))
            reply(INFO, struct.pack(">HIII", 3, smallest, 4096, most))
            reply(ACK)
            return structured
        else:
            reply(UNSUPPORTED)


def chunk(cookie, kind, body, done):
    return struct.pack(">IHHQI", 0x668E33EF, int(done), kind, cookie, len(body)) + body


def data_chunk(cookie, offset, data, done):
    return chunk(cookie, OFFSET_DATA, struct.pack(">Q", offset) + data, done)


def read(client, structured, cookie, offset, count):
    data = DATA[offset:offset + count]
    half = count // 2
    if MODE == "dies":
        os._exit(0)
    if MODE == "hangs":
        time.sleep(60)
    if MODE == "slow":
        time.sleep(0.3)
    if MODE == "late" and first_read.acquire(blocking=False):
        time.sleep(4)
    if MODE == "wrong-cookie":
        cookie ^= 0xFF
    if MODE == "nonsense":
        client.sendall(b"\xff" * 64)
    if not structured:
        client.sendall(struct.pack(">IIQ", 0x67446698, 0, cookie) + data)
    elif MODE == "error" or len(data) < count:
        client.sendall(chunk(cookie, ERROR, struct.pack(">IH", EIO, 0), True))
    elif MODE == "half-then-error":
        client.sendall(data_chunk(cookie, offset, data[:half], False))
        client.sendall(chunk(cookie, ERROR, struct.pack(">IH", EIO, 0), True))
    elif MODE == "half":
        client.sendall(data_chunk(cookie, offset, data[:half], True))
    elif MODE == "nothing":
        client.sendall(chunk(cookie, NONE, b"", True))
    elif MODE == "half-twice":
        for done in (False, True):
            client.sendall(data_chunk(cookie, offset, data[:half], done))
    elif MODE == "elsewhere":
        client.sendall(data_chunk(cookie, offset + count, data, True))
    elif MODE == "too-much":
        client.sendall(data_chunk(cookie, offset, data + b"more", True))
    elif MODE == "half-then-gone":
        client.sendall(data_chunk(cookie, offset, data, True)[:20 + half])
        raise Gone
    elif MODE == "drips":
        for byte in data_chunk(cookie, offset, data, True):
            client.sendall(bytes([byte]))
            time.sleep(0.1)
    elif MODE == "endless-chunks":
        while True:
            client.sendall(chunk(cookie, OFFSET_DATA, struct.pack(">Q", offset) + data[:1], False))
    else:
        client.sendall(data_chunk(cookie, offset, data, True))


def status(client, cookie, offset, count):
    extents = {
        "no-extent": None, "empty-extent": (0, 0), "long-extent": (0xFFFFFFFF, 0),
        "deep-extent": (count, 0xFFFFFFFF),
    }.get(MODE, (count, 0))
    for number in (1, 2):
        done = number == 2
        if extents is None:
            client.sendall(chunk(cookie, NONE, b"", done))
            return
        body = struct.pack(">III", number, *extents)
        client.sendall(chunk(cookie, BLOCK_STATUS, body, done))


def serve(client):
    try:
        structured = handshake(client)
        while True:
            _, _, kind, cookie, offset, count = struct.unpack(">IHHQQI", receive(client, 28))
            if kind == DISCONNECT:
                return
            if kind == READ:
                read(client, structured, cookie, offset, count)
            elif kind == STATUS:
                status(client, cookie, offset, count)
    except (Gone, OSError):
        pass
    finally:
        client.close()


first_read = threading.Lock()
first_handshake = threading.Lock()
server = socket.socket(socket.AF_UNIX)
server.bind(SOCKET)
server.listen()
print("listening", flush=True)
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
