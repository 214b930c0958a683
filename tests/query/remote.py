#!/usr/bin/env python3
"""Asks the same of captures here and of the same captures on a web server and in an S3 store, and compares the answers.

    remote.py VMTRACE CAPTURE...

VMTRACE is built with feature `remote`. The web server is nginx, the S3 server is moto's (PyPI: moto[server]); both listen on
this machine alone. Prints `N passed, N failed`; exits 1 if anything failed.
"""

import functools
import http.server
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import boto3
import pyarrow.parquet

QUERIES = [
    "SELECT * FROM events ORDER BY capture, seq",
    "SELECT event, comm, bytes FROM events WHERE event = 'tee'",
    "SELECT comm, target_comm, calls, bytes_in, bytes_out FROM edges ORDER BY 1, 2, 3, 4, 5",
    "SELECT capture_id, rows FROM manifest ORDER BY capture_id",
    "SELECT event, entry, count FROM ledger ORDER BY 1, 2, 3",
]
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}


class Checks:
    """Counts what held and says what did not."""

    def __init__(self, vmtrace):
        self.vmtrace = vmtrace
        self.passed = self.failed = 0

    def run(self, files, sql, env):
        args = [self.vmtrace, "query", *files, sql, "-T", "jsonl"]
        return subprocess.run(args, capture_output=True, text=True, timeout=300, env={**os.environ, **env})

    def check(self, holds, what):
        self.passed += bool(holds)
        self.failed += not holds
        print(f"{'ok    ' if holds else 'FAILED'} {what}", flush=True)

    def same(self, here, there, name, env):
        """The answers are those of the files, but for what the captures are called."""
        for sql in QUERIES:
            local, remote = self.run(here, sql, {}), self.run(there, sql, env)
            answer = remote.stdout
            for path, url in zip(here, name):
                answer = answer.replace(f'"{url}"', f'"{path}"')
            rows = local.stdout.count("\n")
            told = remote.stderr.strip()[:300]
            holds = rows > 0 and sorted(local.stdout.splitlines()) == sorted(answer.splitlines()) and not told
            self.check(holds, f"{there[0]} and {len(there) - 1} more: {rows} rows of {sql[:50]} {told}")

    def refused(self, url, words, env=None, sql="SELECT count(*) FROM events"):
        """One sentence on stderr has the URL and `words`, and nothing else comes."""
        ran = self.run([url], sql, env or {})
        one = ran.stderr.count("\n") == 1 and url in ran.stderr and words in ran.stderr
        self.check(ran.returncode == 2 and ran.stdout == "" and one, f"{url}: {ran.stderr.strip()[:200]}")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(port, process):
    for _ in range(600):
        if process.poll() is not None:
            sys.exit(f"the server on port {port} ended with status {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    sys.exit(f"the server on port {port} does not answer")


def nginx(root, port, log):
    config = Path(log, "nginx.conf")
    config.write_text(f"""daemon off; worker_processes 1; pid {log}/pid; error_log {log}/error.log; user root;
events {{}}
http {{ access_log {log}/access.log; server {{ listen 127.0.0.1:{port}; root {root};
  location /secret/ {{ return 403; }} location /broken/ {{ return 500; }} }} }}
""")
    return subprocess.Popen(["nginx", "-c", str(config), "-e", f"{log}/error.log"])


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files whole, and says nothing of it."""

    def log_message(self, *_):
        pass


def column_chunk(path, column):
    """Where the pages of `column` in the first row group of the capture begin and end."""
    group = pyarrow.parquet.read_metadata(path).row_group(0)
    chunks = [group.column(i) for i in range(group.num_columns)]
    chunk = next(chunk for chunk in chunks if chunk.path_in_schema == column)
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    return start, start + chunk.total_compressed_size


def main():
    vmtrace, *captures = sys.argv[1:]
    checks = Checks(vmtrace)
    captures = [str(Path(c)) for c in captures]
    servers = []
    with tempfile.TemporaryDirectory() as log:
        os.chmod(log, 0o755)
        try:
            port = free_port()
            servers.append(nginx(Path.cwd(), port, log))
            wait_for(port, servers[0])
            web = f"http://127.0.0.1:{port}/"
            urls = [web + c for c in captures]
            checks.same(captures, urls, urls, {})
            checks.refused(web + "nothing.parquet", "is not there (404)")
            checks.refused(web + "secret/a.parquet", "refuses access")
            checks.refused(web + "broken/a.parquet", "500 Internal Server Error")
            checks.refused(web + "samples/", "name them one by one")
            checks.refused(web + "Cargo.toml", "is not a Parquet file")
            cut = Path(log, "www")
            cut.mkdir()
            whole = Path(captures[0]).read_bytes()
            (cut / "cut.parquet").write_bytes(whole[:-100])
            (cut / "empty.parquet").write_bytes(b"")
            start, end = column_chunk(captures[0], "comm")
            (cut / "zeroed.parquet").write_bytes(whole[:start] + bytes(end - start) + whole[end:])
            (cut / "flipped.parquet").write_bytes(whole[: end - 1] + bytes([whole[end - 1] ^ 0xFF]) + whole[end:])
            other = free_port()
            servers.append(nginx(cut, other, tempfile.mkdtemp(dir=log)))
            wait_for(other, servers[-1])
            web = f"http://127.0.0.1:{other}/"
            checks.refused(web + "cut.parquet", "has no Parquet footer")
            checks.refused(web + "empty.parquet", "is empty: not a capture")
            # A page header is looked at when it comes, what is in a page when it is decoded.
            damage = "column comm has, in row group 0, a page header that cannot be read"
            checks.refused(web + "zeroed.parquet", damage, sql="SELECT * FROM events")
            damage = "column comm is damaged in row group 0"
            checks.refused(web + "flipped.parquet", damage, sql="SELECT * FROM events")
            # Python's own server has no ranges.
            handler = functools.partial(Quiet, directory=cut)
            plain = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
            threading.Thread(target=plain.serve_forever, daemon=True).start()
            web = f"http://127.0.0.1:{plain.server_port}/"
            checks.refused(web + "cut.parquet", "does not answer requests for parts of a file")
            checks.refused(web + "empty.parquet", "is empty: not a capture")
            plain.shutdown()
            checks.refused(f"http://127.0.0.1:{free_port()}/a.parquet", "no connection: check the server's name")
            secret = f"http://127.0.0.1:{free_port()}/a.parquet"
            ran = checks.run([f"{secret}?signature=hidden"], "SELECT 1 FROM events", {})
            told = secret in ran.stderr and "hidden" not in ran.stderr
            checks.check(ran.returncode == 2 and told, f"a signature is not told: {ran.stderr.strip()[:200]}")

            port = free_port()
            moto = Path(sys.executable).parent / "moto_server"
            output = open(Path(log, "moto"), "w")
            servers.append(subprocess.Popen([moto, "-H", "127.0.0.1", "-p", str(port)], stdout=output, stderr=output))
            wait_for(port, servers[-1])
            endpoint = f"http://127.0.0.1:{port}"
            env = {**KEYS, "AWS_ENDPOINT_URL": endpoint}
            client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1",
                                  aws_access_key_id="test", aws_secret_access_key="test")
            client.create_bucket(Bucket="captures")
            for capture in captures:
                client.upload_file(capture, "captures", f"fleet/{capture}")
            client.put_object(Bucket="captures", Key="fleet/notes.txt", Body=b"no capture")
            client.put_object(Bucket="captures", Key="empty.parquet", Body=b"")
            urls = [f"s3://captures/fleet/{c}" for c in captures]
            checks.same(captures, urls, urls, env)
            checks.same(captures, ["s3://captures/fleet/"], urls, env)
            checks.same(captures[:1], [f"s3://captures/fleet/{Path(captures[0]).parent}/*.parquet"], urls, env)
            checks.refused("s3://captures/nothing.parquet", "is not there (404)", env)
            checks.refused("s3://captures/empty.parquet", "is empty: not a capture", env)
            checks.refused("s3://captures/none/", "holds no captures", env)
            checks.refused("s3://captures/fleet/notes.txt", "is not a Parquet file", env)
        finally:
            for server in servers:
                server.terminate()
                server.wait()
    print(f"{checks.passed} passed, {checks.failed} failed")
    sys.exit(checks.failed > 0)


main()
