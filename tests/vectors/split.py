#!/usr/bin/env python3
"""Checks tests/vectors/split.json with an implementation that shares nothing with tidegate's.

Needs the `xxhash` package: python3 -m venv v && v/bin/pip install xxhash && v/bin/python split.py
"""

import ipaddress
import json
import math
import pathlib
import struct
from decimal import Decimal, getcontext

import xxhash


def bits_to_float(text):
    return struct.unpack(">d", bytes.fromhex(text))[0]


def client_key(address):
    address = ipaddress.ip_address(address)
    if address.version == 6 and address.ipv4_mapped:
        address = address.ipv4_mapped
    if address.version == 6:
        address = ipaddress.ip_network((address, 64), strict=False).network_address
    return str(address)


def check_ln(rows):
    getcontext().prec = 50
    worst = 0
    for u_bits, ln_bits in rows:
        u, ln = bits_to_float(u_bits), bits_to_float(ln_bits)
        exact = Decimal(u).ln()
        error = abs((Decimal(ln) - exact) / Decimal(math.ulp(float(exact))))
        worst = max(worst, error)
    assert worst < 1, worst
    return f"{len(rows)} logarithms, worst error {worst:.3f} units in the last place"


def mix(z):
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
    return z ^ z >> 31


def check_split(split):
    seed = xxhash.xxh3_64_intdigest(split["salt"].encode())
    assert f"{seed:016x}" == split["seed"], split["salt"]
    for row in split["keys"]:
        best = None
        key_hash = xxhash.xxh3_64_intdigest(row["key"].encode(), seed=seed)
        for (name, weight), expected in zip(split["weights"].items(), row["hashes"], strict=True):
            digest = mix(key_hash ^ xxhash.xxh3_64_intdigest(name.encode()))
            assert f"{digest:016x}" == expected, (split["salt"], name, row["key"])
            u = ((digest >> 11) + 0.5) / 2**53
            if weight:
                score = weight / -math.log(u)
                if best is None or (score, best[1]) > (best[0], name):
                    best = (score, name)
        assert best[1] == row["chosen"], (split["salt"], row["key"])
    return len(split["keys"])


def main():
    path = pathlib.Path(__file__).with_name("split.json")
    vectors = json.loads(path.read_text(encoding="utf-8"))
    for row in vectors["client_keys"]:
        assert client_key(row["address"]) == row["key"], row
    print(len(vectors["client_keys"]), "client keys agree")
    print(check_ln(vectors["ln"]))
    n_keys = sum(check_split(split) for split in vectors["splits"])
    print(len(vectors["splits"]), "splits with", n_keys, "keys agree")


if __name__ == "__main__":
    main()
