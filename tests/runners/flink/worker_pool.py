"""Beam's worker pool, but listening on loopback only: ``python worker_pool.py PORT``. One process per worker, as in production.

Beam's own ``worker_pool_main`` listens on all interfaces, without authentication.
"""

import sys
import threading

import grpc
from apache_beam.portability.api import beam_fn_api_pb2_grpc
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer
from apache_beam.utils.thread_pool_executor import shared_unbounded_instance

server = grpc.server(shared_unbounded_instance())
assert server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
pool = BeamFnExternalWorkerPoolServicer(use_process=True, data_buffer_time_limit_ms=-1)
beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(pool, server)
server.start()
threading.Event().wait()
