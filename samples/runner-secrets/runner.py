"""A build runner with secrets in its memory, all of them made up. A step of its build is a shell that starts a program, which dumps the
runner's memory through /proc/PID/mem. Then the same program is started as another user, and is denied."""

import ctypes
import subprocess
import sys

PR_SET_NAME = 15

secrets = bytearray(b'{"name":"DEPLOY_TOKEN","value":"made-up-0123456789","isSecret":true}')
ctypes.CDLL(None).prctl(PR_SET_NAME, b"Runner.Worker")
for user in ("", " nobody"):
    subprocess.run(["sh", "-c", f"python3 dump.py $PPID{user}; true"], check=True)
sys.exit(0 if secrets else 1)
