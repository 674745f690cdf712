#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""vmlinux.py VMLINUZ VMLINUX: takes the kernel's ELF file out of a bzImage.

The boot protocol's header says where the compressed payload is, so nothing
has to be searched for (Documentation/arch/x86/boot.rst: payload_offset).
"""
import lzma
import struct
import subprocess
import sys
import zlib

SETUP_SECTS = 0x1F1
MAGIC = 0x202
PAYLOAD_OFFSET = 0x248
PAYLOAD_LENGTH = 0x24C


def gunzip(data):
    return zlib.decompressobj(wbits=31).decompress(data)


def filter_through(*command):
    """A decompressor that is a program."""
    def decompress(data):
        return subprocess.run(command, input=data, check=True,
                              stdout=subprocess.PIPE).stdout
    return decompress


def unxz(data):
    return lzma.LZMADecompressor().decompress(data)


FORMATS = (
    (b"\x1f\x8b", gunzip),
    (b"\xfd7zXZ\0", unxz),
    (b"\x5d\0\0", unxz),
    (b"\x28\xb5\x2f\xfd", filter_through("zstd", "-dcq")),
    (b"\x02\x21\x4c\x18", filter_through("lz4", "-dcq")),
)


def extract(image):
    if image[MAGIC:MAGIC + 4] != b"HdrS":
        raise ValueError("not a bzImage")
    start = (image[SETUP_SECTS] or 4) * 512 + 512
    offset, length = struct.unpack_from("<II", image, PAYLOAD_OFFSET)
    payload = image[start + offset:start + offset + length]
    for magic, decompress in FORMATS:
        if payload.startswith(magic):
            # All but gzip have the size appended, 4 bytes, little endian.
            if decompress is not gunzip:
                payload = payload[:-4]
            kernel = decompress(payload)
            if kernel[:4] != b"\x7fELF":
                raise ValueError("the payload is no ELF file")
            return kernel
    raise ValueError("unknown compression: " + payload[:4].hex())


def main():
    with open(sys.argv[1], "rb") as source:
        kernel = extract(source.read())
    with open(sys.argv[2], "wb") as target:
        target.write(kernel)


if __name__ == "__main__":
    main()
