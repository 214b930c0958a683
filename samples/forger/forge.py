"""A caller whose iovec array says something else when the call returns: the call's own bytes land on the array. Once by
process_vm_readv and once by preadv of /proc/PID/mem."""

import ctypes
import os
import time

libc = ctypes.CDLL(None, use_errno=True)
NOWHERE = 0x1000


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


libc.preadv.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_long]

# In the victim: an array that points nowhere, and a secret.
forged = ctypes.create_string_buffer(bytes(Iovec(NOWHERE, 16)) + b"the real secret.", 32)
secret = ctypes.create_string_buffer(16)
array = (Iovec * 2)()


def honest():
    """The first segment takes the forged entry to where the first entry stands; the second takes the secret."""
    array[0] = Iovec(ctypes.addressof(array), 16)
    array[1] = Iovec(ctypes.addressof(secret), 16)


victim = os.fork()
if victim == 0:
    with open("/proc/self/comm", "w") as comm:
        comm.write("victim")
    time.sleep(60)
    os._exit(0)
time.sleep(0.2)

honest()
remote = Iovec(ctypes.addressof(forged), 32)
assert libc.process_vm_readv(victim, array, 2, ctypes.byref(remote), 1, 0) == 32
assert array[0].base == NOWHERE and secret.raw == b"the real secret."

honest()
memory = os.open(f"/proc/{victim}/mem", os.O_RDONLY)
assert libc.preadv(memory, array, 2, ctypes.addressof(forged)) == 32
assert array[0].base == NOWHERE and secret.raw == b"the real secret."

os.kill(victim, 9)
os.waitpid(victim, 0)
