"""The parts of Google Cloud that submitting a job needs, on loopback: tokens, Cloud Storage, Dataflow, Secret Manager.

It answers Google's own client libraries, keeps what it was given, and takes no call without a token of its own. What it does
not know it answers with 501 and remembers, so that a test can tell an unexpected call from a refused one.
"""

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

PROJECT, REGION, BUCKET = "acme-prod", "europe-west1", "acme-dataflow"
ACCOUNT = f"launcher@{PROJECT}.iam.gserviceaccount.com"
_TOKEN = "a-token-of-the-stand-in"


@dataclass
class FakeGoogle:
    """A running stand-in; use it as a context manager.

    Attributes:
      objects: what lies in the bucket, by name.
      jobs: every job request, in order.
      secrets: what Secret Manager holds, by the name of the version.
      asked_for: the secrets that were asked for.
      unknown: calls that it could not answer.
    """

    objects: dict[str, bytes] = field(default_factory=dict)
    jobs: list[dict[str, Any]] = field(default_factory=list)
    secrets: dict[str, bytes] = field(default_factory=dict)
    asked_for: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    uploads: dict[str, tuple[str, bytearray]] = field(default_factory=dict)

    def __enter__(self) -> "FakeGoogle":  # noqa: PYI034 - nobody inherits from it
        owner = self

        class Handler(_Handler):
            google = owner

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        # With this name Beam's Dataflow client speaks REST instead of gRPC.
        return f"http://localhost:{self._server.server_address[1]}"

    def write_credentials(self, folder: Path) -> Path:
        """A service account's key file that leads here; the key is made for it."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
        path = folder / "credentials.json"
        path.touch(mode=0o600)
        content = {
            "type": "service_account", "project_id": PROJECT, "private_key_id": "1", "private_key": pem, "client_id": "1",
            "client_email": ACCOUNT, "token_uri": f"{self.url}/token",
        }  # fmt: skip
        path.write_text(json.dumps(content))
        return path

    def environment(self, folder: Path) -> dict[str, str]:
        """What makes Google's libraries of another process come here."""
        return {
            "GOOGLE_APPLICATION_CREDENTIALS": str(self.write_credentials(folder)),
            "STORAGE_EMULATOR_HOST": self.url,
            "GOOGLE_CLOUD_PROJECT": PROJECT,
            # Otherwise the libraries look for a metadata server.
            "NO_GCE_CHECK": "true",
        }


class _Handler(BaseHTTPRequestHandler):
    google: FakeGoogle
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, status: int, body: object = None, headers: dict[str, str] | None = None) -> None:
        content = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/octet-stream" if isinstance(body, bytes) else "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "") == "chunked":
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _serve(self) -> None:
        body = self._body()
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        call = f"{self.command} {parts.path}"
        self.google.calls.append(call)
        if call == "POST /token":
            return self._answer(200, {"access_token": _TOKEN, "token_type": "Bearer", "expires_in": 3600})
        if not self.headers.get("Authorization", "").startswith("Bearer "):
            return self._answer(401, {"error": {"code": 401, "message": "no token"}})
        for pattern, method in _ROUTES:
            if match := re.fullmatch(pattern, call):
                return method(self, *map(unquote, match.groups()), query=query, body=body)
        self.google.unknown.append(call)
        return self._answer(501, {"error": {"code": 501, "message": f"the stand-in does not know {call}"}})

    do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - http.server's names

    # --- Cloud Storage -----------------------------------------------------------------------------------------------

    def _described(self, name: str) -> dict[str, Any]:
        content = self.google.objects[name]
        return {
            "kind": "storage#object", "bucket": BUCKET, "name": name, "size": str(len(content)), "crc32c": _crc32c(content),
            "md5Hash": base64.b64encode(hashlib.md5(content).digest()).decode(), "generation": "1", "metageneration": "1",
            "updated": "2026-11-24T00:00:00.000Z", "timeCreated": "2026-11-24T00:00:00.000Z",
        }  # fmt: skip

    def _missing(self) -> None:
        self._answer(404, {"error": {"code": 404, "message": "not found"}})

    def bucket(self, bucket: str, **_: object) -> None:
        known = {"kind": "storage#bucket", "name": BUCKET, "projectNumber": "1", "softDeletePolicy": {}}
        self._answer(200, known) if bucket == BUCKET else self._missing()

    def listing(self, _bucket: str, *, query: dict[str, str], **_: object) -> None:
        names = sorted(name for name in self.google.objects if name.startswith(query.get("prefix", "")))
        self._answer(200, {"kind": "storage#objects", "items": [self._described(name) for name in names]})

    def look(self, _bucket: str, name: str, *, query: dict[str, str], **_: object) -> None:
        if name not in self.google.objects:
            return self._missing()
        return self._answer(200, self.google.objects[name] if query.get("alt") == "media" else self._described(name))

    def media(self, _bucket: str, name: str, **_: object) -> None:
        content = self.google.objects.get(name)
        if content is None:
            return self._missing()
        span = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "bytes=0-")
        first, last = int(span[1]), int(span[2] or len(content) - 1)
        part = content[first : last + 1]
        there = {"Content-Range": f"bytes {first}-{first + len(part) - 1}/{len(content)}"}
        return self._answer(206, part, there) if content else self._answer(200, b"")

    def remove(self, _bucket: str, name: str, **_: object) -> None:
        self._answer(204) if self.google.objects.pop(name, None) is not None else self._missing()

    def copy(self, _bucket: str, name: str, _to_bucket: str, to: str, **_: object) -> None:
        if name not in self.google.objects:
            return self._missing()
        self.google.objects[to] = self.google.objects[name]
        size = str(len(self.google.objects[to]))
        answer = {"done": True, "resource": self._described(to), "totalBytesRewritten": size, "objectSize": size}
        return self._answer(200, answer)

    def begin_upload(self, _bucket: str, *, query: dict[str, str], body: bytes) -> None:
        if query["uploadType"] == "multipart":
            boundary = self.headers["Content-Type"].partition("boundary=")[2].strip("'\"").encode()
            _, described, content, _ = body.split(b"--" + boundary)
            name = json.loads(described.partition(b"\r\n\r\n")[2])["name"]
            self.google.objects[name] = content.partition(b"\r\n\r\n")[2][:-2]
            return self._answer(200, self._described(name))
        name = query.get("name") or json.loads(body)["name"]
        session = str(len(self.google.uploads))
        self.google.uploads[session] = (name, bytearray())
        return self._answer(200, headers={"Location": f"{self.google.url}/session/{session}?name={quote(name)}"})

    def continue_upload(self, session: str, *, body: bytes, **_: object) -> None:
        name, so_far = self.google.uploads[session]
        so_far += body
        if self.headers["Content-Range"].endswith("/*"):
            return self._answer(308, headers={"Range": f"bytes=0-{len(so_far) - 1}"})
        self.google.objects[name] = bytes(so_far)
        return self._answer(200, self._described(name))

    # --- Dataflow and Secret Manager -------------------------------------------------------------------------------------

    def create_job(self, project: str, region: str, *, body: bytes, **_: object) -> None:
        job = json.loads(body)
        self.google.jobs.append(
            {"project": project, "region": region, "raw": body, "token": self.headers["Authorization"], **job}
        )
        number = f"2026-11-24_00_00_00-{len(self.google.jobs)}"
        kept = {"id": number, "name": job["name"], "projectId": project, "location": region}
        self._answer(200, {**kept, "clientRequestId": job["clientRequestId"], "currentState": "JOB_STATE_PENDING"})

    def list_jobs(self, *_: str, **__: object) -> None:
        jobs = [
            {"id": f"2026-11-24_00_00_00-{n}", "name": job["name"], "currentState": "JOB_STATE_RUNNING"}
            for n, job in enumerate(self.google.jobs, start=1)
        ]
        self._answer(200, {"jobs": jobs})

    def secret(self, name: str, **_: object) -> None:
        self.google.asked_for.append(name)
        if name not in self.google.secrets:
            return self._answer(404, {"error": {"code": 404, "message": "no such secret", "status": "NOT_FOUND"}})
        data = base64.b64encode(self.google.secrets[name]).decode()
        return self._answer(200, {"name": name, "payload": {"data": data}})


def _crc32c(content: bytes) -> str:
    """The checksum that clients of Cloud Storage hold an upload against: CRC-32C, big-endian, base64."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = _CRC32C[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return base64.b64encode((crc ^ 0xFFFFFFFF).to_bytes(4, "big")).decode()


def _crc32c_row(value: int) -> int:
    for _ in range(8):
        value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
    return value


_CRC32C = [_crc32c_row(value) for value in range(256)]

_ROUTES = [
    (r"GET /storage/v1/b/([^/]+)", _Handler.bucket),
    (r"GET /storage/v1/b/([^/]+)/o", _Handler.listing),
    (r"GET /storage/v1/b/([^/]+)/o/([^/]+)", _Handler.look),
    (r"GET /download/storage/v1/b/([^/]+)/o/([^/]+)", _Handler.media),
    (r"DELETE /storage/v1/b/([^/]+)/o/([^/]+)", _Handler.remove),
    (r"POST /storage/v1/b/([^/]+)/o/([^/]+)/rewriteTo/b/([^/]+)/o/([^/]+)", _Handler.copy),
    (r"POST /upload/storage/v1/b/([^/]+)/o", _Handler.begin_upload),
    (r"PUT /session/(\d+)", _Handler.continue_upload),
    (r"POST /v1b3/projects/([^/]+)/locations/([^/]+)/jobs", _Handler.create_job),
    (r"GET /v1b3/projects/([^/]+)/(?:locations/([^/]+)/)?jobs(?::aggregated)?", _Handler.list_jobs),
    (r"GET /v1/(projects/[^/]+/secrets/[^/]+/versions/[^/]+):access", _Handler.secret),
]
