"""An S3 store small enough to read, over real sockets, that can be told to fail in every way that stores do.

It knows one bucket, keeps objects in memory, checks signatures, and speaks the common core alone: PUT, GET with one
range, HEAD, DELETE, ListObjectsV2, presigned GET, and uploads in parts, but for a list of these.  `faults` is a list of
functions, one for each request to come, that may do something else instead: see the bottom.  It stands for a peer;
nothing of the program is replaced.
"""

from __future__ import annotations

import base64
import calendar
import hashlib
import re
import socket
import ssl
import struct
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from xml.etree import ElementTree

from audiokit.blobs.sigv4 import Keys, Scope, presigned_query, signed_headers

KEYS = Keys("AKIDTINY", "tiny-secret")
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": KEYS.id, "AWS_SECRET_ACCESS_KEY": KEYS.secret}
BUCKET, REGION = "tiny", "us-east-1"


class TinyS3:
    """The store; a context manager.  `requests` notes what came: (method, path, range)."""

    def __init__(self, domain=None, certificate=None):
        self.objects = {}  # name: (bytes, seconds since 1970)
        self.uploads = {}  # (name, id): (seconds since 1970, {number: bytes})
        self.begun = 0  # uploads in parts, so far
        self.faults = []
        self.requests = []
        self.ahead = 0.0  # s, of its clock
        self.domain = domain  # of virtual hosts; None: by path
        self.lock = threading.Lock()
        self.server = _Server(("127.0.0.1", 0), _Handler)
        self.scheme = "http"
        if certificate is not None:  # a file with a key and its certificate for 127.0.0.1
            self.scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.server.context = context
        self.server.tiny = self
        self.port = self.server.server_address[1]
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def url(self, prefix="", host=None, **more):
        host = host or self.domain or "127.0.0.1"
        query = "".join(f"&{key}={value}" for key, value in more.items())
        style = "&style=virtual" if self.domain else ""
        return f"s3://{BUCKET}/{prefix}?endpoint={self.scheme}://{host}:{self.port}&region={REGION}{style}{query}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()

    def names(self):
        return sorted(self.objects)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.sockets = set()
        self.context = None

    def get_request(self):
        sock, peer = super().get_request()
        if self.context is not None:
            sock = self.context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        self.sockets.add(sock)
        return sock, peer

    def shutdown_request(self, request):
        self.sockets.discard(request)
        super().shutdown_request(request)

    def server_close(self):
        super().server_close()
        for sock in list(self.sockets):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def handle_error(self, request, client_address):
        """A client that goes away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16

    def log_message(self, *_):
        """Silence."""

    def date_time_string(self, timestamp=None):
        return formatdate(time.time() + self.server.tiny.ahead, usegmt=True)

    def do(self):
        tiny = self.server.tiny
        parts = urlsplit(self.path)
        self.raw_path = parts.path
        self.query = parse_qsl(parts.query, keep_blank_values=True)
        with tiny.lock:
            tiny.requests.append((self.command, unquote(parts.path), self.headers.get("range")))
            fault = tiny.faults.pop(0) if tiny.faults else None
        if fault is not None and fault(self) is not False:
            return
        self.serve()

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do

    def serve(self):
        tiny = self.server.tiny
        self.data = self.rfile.read(int(self.headers.get("content-length", 0)))
        name = self.name()
        if name is None:
            return self.error(404, "NoSuchBucket")
        if not self.is_signed():
            return None
        if self.command in ("PUT", "POST"):
            if hashlib.sha256(self.data).hexdigest() != self.headers.get("x-amz-content-sha256"):
                return self.error(400, "XAmzContentSHA256Mismatch")
            if self.headers.get("content-md5", _md5_of(self.data)) != _md5_of(self.data):
                return self.error(400, "BadDigest")
        query = dict(self.query)
        if "uploads" in query or "uploadId" in query:
            return self.in_parts(name, query)
        if self.command == "PUT":
            tiny.objects[name] = (self.data, time.time() + tiny.ahead)
            return self.reply(200, b"", [("ETag", f'"{hashlib.md5(self.data).hexdigest()}"')])
        if self.command == "DELETE":
            tiny.objects.pop(name, None)
            return self.reply(204)
        if not name:
            return self.list(dict(self.query))
        if name not in tiny.objects:
            return self.error(404, "NoSuchKey")
        return self.object(tiny.objects[name][0])

    def in_parts(self, name, query):
        """An upload in parts, as AWS has it: the object is as old as the beginning, and an end is forgotten at once."""
        tiny = self.server.tiny
        if "uploads" in query:
            tiny.begun += 1
            id = f"+/{tiny.begun}="
            tiny.uploads[name, id] = (time.time() + tiny.ahead, {})
            return self.reply(200, (f"<InitiateMultipartUploadResult><Bucket>{BUCKET}</Bucket><Key>{name}</Key>"
                                    f"<UploadId>{id}</UploadId></InitiateMultipartUploadResult>").encode())
        if (name, query["uploadId"]) not in tiny.uploads:
            return self.error(404, "NoSuchUpload")
        since, parts = tiny.uploads[name, query["uploadId"]]
        if self.command == "PUT":
            parts[int(query["partNumber"])] = self.data
            return self.reply(200, b"", [("ETag", f'"{hashlib.md5(self.data).hexdigest()}"')])
        del tiny.uploads[name, query["uploadId"]]
        if self.command == "DELETE":
            return self.reply(204)
        wanted = [(int(part[0].text), part[1].text) for part in ElementTree.fromstring(self.data)]
        there = [(number, f'"{hashlib.md5(data).hexdigest()}"') for number, data in parts.items()]
        if [one for one in wanted if one not in there] or wanted != sorted(wanted):
            return self.error(400, "InvalidPart")
        tiny.objects[name] = (b"".join(parts[number] for number, _ in wanted), since)
        return self.reply(200, b"<CompleteMultipartUploadResult><ETag>x-2</ETag></CompleteMultipartUploadResult>")

    def object(self, data, cut=None):
        """The object, or the range of it; `cut`: end the connection after so many bytes."""
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("range", ""))
        fields = {"Content-Type": "binary/octet-stream"}
        query = dict(self.query)
        for key, field in (("response-content-type", "Content-Type"),
                           ("response-content-disposition", "Content-Disposition")):
            if key in query:
                fields[field] = query[key]
        if not found:
            return self.reply(200, data, fields.items(), cut)
        start, stop = int(found.group(1)), min(int(found.group(2)) + 1, len(data))
        if start >= len(data):
            return self.error(416, "InvalidRange")
        fields["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
        return self.reply(206, data[start:stop], fields.items(), cut)

    def list(self, query):
        tiny, most = self.server.tiny, int(query.get("max-keys", 1000))
        names = [n for n in tiny.names() if n.startswith(query["prefix"]) and n > query.get("start-after", "")]
        rows = "".join(
            f"<Contents><Key>{quote(n)}</Key><LastModified>"
            f"{time.strftime('%Y-%m-%dT%H:%M:%S.000Z', time.gmtime(tiny.objects[n][1]))}</LastModified>"
            f"<Size>{len(tiny.objects[n][0])}</Size></Contents>" for n in names[:most]
        )
        body = (
            '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<EncodingType>url</EncodingType>{rows}<IsTruncated>{str(len(names) > most).lower()}</IsTruncated>"
            "</ListBucketResult>"
        )
        self.reply(200, body.encode())

    def name(self):
        """Which object is meant, "" for the bucket; None for another bucket."""
        domain, path = self.server.tiny.domain, unquote(self.raw_path)
        if domain:
            return path[1:] if self.headers["host"] == f"{BUCKET}.{domain}:{self.server.tiny.port}" else None
        bucket, _, name = path[1:].partition("/")
        return name if bucket == BUCKET else None

    def is_signed(self):
        """Whether the signature is ours; else says what is wrong."""
        query = dict(self.query)
        if "X-Amz-Signature" in query:
            rest = [(k, v) for k, v in self.query if not k.startswith("X-Amz-")]
            scope = Scope(REGION, query["X-Amz-Date"])
            wanted = presigned_query(self.command, self.raw_path, rest, self.headers["host"],
                                     int(query["X-Amz-Expires"]), KEYS, scope)
            if not wanted.endswith(query["X-Amz-Signature"]):
                self.error(403, "SignatureDoesNotMatch")
                return False
            return True
        proof = self.headers.get("authorization", "")
        names = re.search(r"SignedHeaders=([^,]*)", proof)
        moment = self.headers.get("x-amz-date", "20000101T000000Z")
        now = time.time() + self.server.tiny.ahead
        then = calendar.timegm(time.strptime(moment, "%Y%m%dT%H%M%SZ"))
        if abs(now - then) > 900:
            self.error(403, "RequestTimeTooSkewed")
            return False
        if f"/{REGION}/s3/" not in proof:
            self.error(400, "AuthorizationHeaderMalformed", f"<Region>{REGION}</Region>")
            return False
        own = ("x-amz-date", "x-amz-content-sha256")
        headers = {n: self.headers[n] for n in (names.group(1).split(";") if names else []) if n not in own}
        wanted = dict(signed_headers(self.command, self.raw_path, self.query, headers,
                                     self.headers["x-amz-content-sha256"], KEYS, Scope(REGION, moment)))
        if wanted["authorization"] != proof:
            self.error(403, "SignatureDoesNotMatch")
            return False
        return True

    def error(self, status, code, more=""):
        body = b"" if self.command == "HEAD" else f"<Error><Code>{code}</Code><Message>.</Message>{more}</Error>".encode()
        self.reply(status, body)

    def reply(self, status, body=b"", headers=(), cut=None):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body if cut is None else body[:cut])
        self.wfile.flush()
        if cut is not None:
            self.close_connection = True
            if not isinstance(self.connection, ssl.SSLSocket):
                self.connection.shutdown(socket.SHUT_WR)


def _md5_of(data):
    """As Content-MD5 has it."""
    return base64.b64encode(hashlib.md5(data).digest()).decode()


# -- faults: each takes the handler, and answers False when the request is to be served after all ------------------


def says(status, code="", more="", headers=()):
    """An answer after the body has been read."""

    def fault(handler):
        handler.rfile.read(int(handler.headers.get("content-length", 0)))
        body = f"<Error><Code>{code}</Code>{more}</Error>".encode()
        handler.reply(status, b"" if handler.command == "HEAD" else body, headers)

    return fault


def says_early(status, code):
    """An answer before the body has been read, and the end of the connection."""

    def fault(handler):
        handler.close_connection = True
        handler.error(status, code)
        handler.connection.shutdown(socket.SHUT_WR)

    return fault


def resets(handler):
    """RST instead of an answer."""
    handler.close_connection = True
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.server.sockets.discard(handler.connection)
    handler.rfile.close()
    handler.wfile.close()
    handler.connection.close()


def cuts_after(count):
    """The object, and the connection's end after so many bytes of it."""

    def fault(handler):
        handler.object(handler.server.tiny.objects[handler.name()][0], cut=count)

    return fault


def keeps_then_resets(handler):
    """It does what it is asked and does not say so."""
    handler.reply = lambda *_: resets(handler)
    handler.serve()
    del handler.reply


def serves(handler):
    """No fault: the request is served."""
    return False
