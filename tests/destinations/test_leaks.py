"""Connections that are made again and again, as a SIEM that comes and goes makes them, leave nothing behind."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

# In a process of its own, whose memory nobody else uses. The first connections fill caches, so they do not count.
PROGRAM = """
import contextlib, os, ssl, sys, tempfile, threading
import trustme
from pathlib import Path
from tests.destinations.peers import FAST, destination, deliver, Peer
from transforms.destinations.stream import tls
from transforms.settings import Tls

authority = trustme.CA()
folder = tempfile.mkdtemp()
authority.cert_pem.write_to_path(folder + "/ca.pem")
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
authority.issue_cert("127.0.0.1").configure_cert(context)

def serve(peer, connection):
    wrapped = context.wrap_socket(connection, server_side=True)
    peer.connections.clear()
    while wrapped.recv(65536):
        pass
    wrapped.close()

peer = Peer(serve)
there = destination(peer.port, "tls", tls=Tls(ca_file=folder + "/ca.pem"))

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def connect(times):
    for _ in range(times):
        sender = tls.make(there, FAST)
        deliver(sender, [b"one"])
        sender.close(5)

connect(200)
before = resident()
connect(600)
print((resident() - before) // 600)
"""


def test_a_tls_connection_that_ends_leaves_no_session_behind():
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, timeout=150, check=True)
    assert int(done.stdout) < 3_000, "bytes a connection"
