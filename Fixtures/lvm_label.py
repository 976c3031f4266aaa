"""Writes the label of an LVM2 physical volume, as LVM2's own lib/label/label.h lays it out.

pvcreate wants a block device; a recipe has only files.
"""

import struct
import sys
import zlib

SECTOR = 512
SIZE = 32 << 20
UUID = b"AbCdEf0123456789abcdefABCDEF0123"


def label():
    # pv_header: uuid, device size, data areas up to a zero pair, metadata areas up to a zero pair.
    header = UUID + struct.pack("<Q", SIZE)
    header += struct.pack("<QQQQ", 1 << 20, 0, 0, 0)
    header += struct.pack("<QQQQ", 4096, (1 << 20) - 4096, 0, 0)
    body = struct.pack("<I8s", 32, b"LVM2 001") + header
    body = body.ljust(SECTOR - 20, b"\0")
    # LVM2's crc is the usual polynomial with another start and no final complement.
    crc = zlib.crc32(body, 0xF597A6CF ^ 0xFFFFFFFF) ^ 0xFFFFFFFF
    return b"LABELONE" + struct.pack("<QI", 1, crc) + body


with open(sys.argv[1], "r+b") as image:
    image.seek(SECTOR)
    image.write(label())
