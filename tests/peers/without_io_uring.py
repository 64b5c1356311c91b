"""Runs a command as a container would whose seccomp profile forbids io_uring: `without_io_uring.py COMMAND ARG...`"""
import ctypes
import errno
import os
import struct
import sys

IO_URING_SETUP = 425  # The same on every architecture.
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD_SYSCALL = struct.pack("HBBI", 0x20, 0, 0, 0)
SKIP_UNLESS_SETUP = struct.pack("HBBI", 0x15, 0, 1, IO_URING_SETUP)
REFUSE = struct.pack("HBBI", 0x06, 0, 0, 0x00050000 | errno.EPERM)
ALLOW = struct.pack("HBBI", 0x06, 0, 0, 0x7FFF0000)


class Program(ctypes.Structure):
    _fields_ = [("n", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


libc = ctypes.CDLL(None, use_errno=True)
filter = LOAD_SYSCALL + SKIP_UNLESS_SETUP + REFUSE + ALLOW
program = Program(4, filter)
for call in (
    lambda: libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
    lambda: libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0),
):
    if call() != 0:
        sys.exit(os.strerror(ctypes.get_errno()))
os.execvp(sys.argv[1], sys.argv[1:])
