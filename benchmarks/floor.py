"""The floor: what an experienced engineer writes in an hour to move Duo's authentication log to a SIEM.

Place: ``benchmarks.drain`` runs it beside the product. It uses duo_client as it is: one call per page, rows as dicts, an
encoded text per event, one ``sendall`` per page. It has what makes it fast and nothing that makes it safe: no retries, no
checkpoints, no certainty that anything arrived.
"""

import argparse
import contextlib
import json
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import duo_client

DAY_MS = 86_400_000


# Made once: json.dumps with separators makes an encoder for each call.
as_json = json.JSONEncoder(separators=(",", ":")).encode


def as_cef(row: dict[str, Any]) -> str:
    """What most scripts write: a dozen fields, escaped."""
    device, user = row.get("access_device") or {}, row.get("user") or {}
    fields = {
        "rt": row["timestamp"] * 1000, "act": row.get("event_type"), "outcome": row.get("result"), "reason": row.get("reason"),
        "externalId": row["txid"], "suser": user.get("name"), "duser": user.get("name"), "src": device.get("ip"),
        "shost": device.get("hostname"), "destinationServiceName": (row.get("application") or {}).get("name"),
        "cs1Label": "factor", "cs1": row.get("factor"), "cs2Label": "email", "cs2": row.get("email"),
    }  # fmt: skip
    values = ((key, str(value).replace("\\", "\\\\").replace("=", "\\=").replace("\n", "\\n")) for key, value in fields.items())
    extension = " ".join(f"{key}={value}" for key, value in values)
    return f"CEF:0|Cisco|Duo|1.0|auth|Duo authentication|3|cat=authentication {extension}"


def main() -> None:
    """Forwards what there is, and ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--duo-port", type=int, required=True)
    parser.add_argument("--siem-port", type=int, required=True)
    parser.add_argument("--ikey", required=True)
    parser.add_argument("--skey-file", type=Path, required=True)
    parser.add_argument("--ca-file", required=True)
    parser.add_argument("--format", choices=("json", "cef"), default="json")
    parser.add_argument("--tls", action="store_true")
    options = parser.parse_args()

    write = as_cef if options.format == "cef" else as_json
    skey = options.skey_file.read_text().strip()
    duo = duo_client.Admin(options.ikey, skey, "localhost", ca_certs=options.ca_file, port=options.duo_port)
    siem = socket.create_connection(("localhost", options.siem_port))
    if options.tls:
        siem = ssl.create_default_context(cafile=options.ca_file).wrap_socket(siem, server_hostname="localhost")
    now_ms = int(time.time() * 1000)
    params = {"mintime": str(now_ms - 8 * DAY_MS), "maxtime": str(now_ms), "limit": "1000", "sort": "ts:asc"}
    while True:
        page = duo.json_api_call("GET", "/admin/v2/logs/authentication", params)
        if page["authlogs"]:
            siem.sendall("".join(write(row) + "\n" for row in page["authlogs"]).encode())
        if not page["metadata"].get("next_offset"):
            break
        params["next_offset"] = ",".join(page["metadata"]["next_offset"])
    with contextlib.suppress(OSError):
        # A TLS socket that is closed with a session ticket unread is reset, and what the SIEM had not read is lost.
        siem.unwrap() if isinstance(siem, ssl.SSLSocket) else siem.shutdown(socket.SHUT_WR)
    siem.close()


if __name__ == "__main__":
    main()
