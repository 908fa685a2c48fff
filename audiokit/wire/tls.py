"""TLS 1.2 and 1.3 beside the plain socket: the same few calls, so that the engine need not know (RFC 8446).

`Certificate` holds what the server proves itself with and wraps accepted sockets; a `TlsSocket` takes `recv`,
`recv_into`, `send`, `shutdown` and `close` as a non-blocking socket does, and raises what that raises:
BlockingIOError when the socket is not ready, other OSErrors when the connection is broken.  Three rules make that
true:

- A receiving call decrypts all that came.  What stays inside is part of a record, whose rest will make the socket
  readable: a poller misses nothing.
- A sending call counts only what the kernel has taken to the last byte of its record.  What it did not count is
  to be given again, as it was; it is not encrypted twice.
- Until the first record of the client is whole there is no TLS object, only those bytes: a handshake that trickles
  in costs a few hundred bytes, and ends at the deadline of heads.

Never waits, never asks for a key's password, never compresses or renegotiates.  Raises `BadCertificate` for files
that cannot be used, and `Refusal` to a client that speaks plain HTTP: its answer then leaves unencrypted.
"""

from __future__ import annotations

import socket
import ssl
from typing import Any, List, Optional, Union

from .problems import Refusal

_RECORD = 1 << 14  # bytes of a record's content, at most (RFC 8446 section 5.1)
_RECORD_MAX = _RECORD + 2048  # and of a record in TLS 1.2 (RFC 5246 section 6.2.3)
_SLICE = 1 << 16  # bytes encrypted ahead of the kernel: all that a slow reader costs beyond its socket
_WIRE = 1 << 16  # bytes taken from the kernel at a time
_HANDSHAKE = 22  # type of a record that carries a handshake (section 5.1)
# Forward secret and authenticated, nothing else (RFC 9325 section 4.2); TLS 1.3 has only such.
_SUITES = "ECDHE+AESGCM:ECDHE+CHACHA20"


class BadCertificate(ValueError):
    """A certificate or key that cannot be used; the text names the files and the reason."""


class Certificate:
    """What the server proves itself with: PEM files of a certificate (with its chain) and of its key."""

    def __init__(self, certificate: str, key: str) -> None:
        self._files = (certificate, key or certificate)
        self._context = self._load()

    def reload(self) -> None:
        """Read the files again, for connections to come; BadCertificate leaves all as it was."""
        self._context = self._load()

    def wrap(self, sock: socket.socket) -> TlsSocket:
        """An accepted, non-blocking socket as one that speaks TLS."""
        return TlsSocket(sock, self)

    def begin(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> ssl.SSLObject:
        """The server's side of a new connection."""
        return self._context.wrap_bio(incoming, outgoing, server_side=True)

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
        context.options |= getattr(ssl, "OP_NO_RENEGOTIATION", 0)
        context.set_ciphers(_SUITES)
        context.set_alpn_protocols(["http/1.1"])
        certificate, key = self._files
        try:
            context.load_cert_chain(certificate, key, password=self._no_password)
        except ssl.SSLError as error:
            reason = error.reason or "this is not PEM of a certificate and its key"
            raise BadCertificate(f"the certificate {certificate} with the key {key}: {reason}") from error
        except OSError as error:
            raise BadCertificate(f"the certificate {certificate} or its key {key}: {error.strerror}") from error
        return context

    def _no_password(self) -> str:
        raise BadCertificate(f"the key {self._files[1]} is encrypted; one without a password is needed")


class TlsSocket:
    """One accepted socket with TLS over it.  One thread at a time."""

    __slots__ = ("_sock", "_certificate", "_tls", "_first", "_in", "_out", "_unsent", "_sealed", "_is_open", "_is_bare",
                 "_said_bye")

    def __init__(self, sock: socket.socket, certificate: Certificate) -> None:
        self._sock = sock
        self._certificate = certificate
        self._tls: Optional[ssl.SSLObject] = None  # once the client's first record is whole
        self._first = b""  # until then
        self._in: Any = None  # encrypted bytes that came
        self._out: Any = None  # encrypted bytes to send, behind `_unsent`
        self._unsent: Union[bytes, memoryview] = b""
        self._sealed = 0  # bytes given to `send` that are encrypted, and not counted yet
        self._is_open = False  # the handshake is done
        self._is_bare = False  # what is received is handed on as it is
        self._said_bye = False

    # -- what the kernel does --------------------------------------------------------------------------

    def fileno(self) -> int:
        """The socket's descriptor, for a poller."""
        return self._sock.fileno()

    def setsockopt(self, *option: Any) -> None:
        """Of the socket below."""
        self._sock.setsockopt(*option)

    def close(self) -> None:
        """End it without a word."""
        self._sock.close()

    # -- receiving -------------------------------------------------------------------------------------

    def recv(self, size: int) -> bytes:
        """What came, about `size` bytes; b"" when the client will send no more."""
        if self._is_bare:
            return self._sock.recv(size)
        if not self._take(size):
            return b""
        pieces: List[bytes] = []
        piece = self._next()
        while piece:
            pieces.append(piece)
            piece = self._next()
        return b"".join(pieces) if self._took(bool(pieces), piece is not None) else b""

    def recv_into(self, view: memoryview) -> int:
        """The same into `view`, which must have room for more than a record; how many bytes came."""
        if self._is_bare:
            return self._sock.recv_into(view)
        if not self._take(min(len(view) - _RECORD_MAX, _WIRE)):
            return 0
        count = 0
        piece = self._next(view)
        while piece:
            count += piece
            piece = self._next(view[count:])
        return count if self._took(bool(count), piece is not None) else 0

    def _take(self, size: int) -> bool:
        """Take encrypted bytes, go on with the handshake; False at the end, BlockingIOError before its time."""
        data = self._sock.recv(size)
        if not data:
            return False
        if self._tls is None:
            self._begin(data)
        else:
            self._in.write(data)
        if not self._is_open:
            self._shake_hands()
        return True

    def _next(self, *into: memoryview) -> Any:
        """Decrypted bytes, or how many came `into`; nothing at the end, None while no whole record is there."""
        if not self._in.pending and not self._tls.pending():
            return None  # as the exception would say, which costs as much as a record
        try:
            return self._tls.read(_RECORD, *into)
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLError:
            self._flush_softly()  # an alert says why
            raise

    def _took(self, is_something: bool, is_over: bool) -> bool:
        """After decrypting: whether there is something, or (False) the end; BlockingIOError when neither."""
        self._flush_softly()  # a key update or a ticket; what does not fit leaves before the next answer
        if self._out.pending > _SLICE:
            raise ConnectionAbortedError("the client asks for new keys and does not read them")
        if is_over:
            # Nothing behind a close_notify counts (section 6.1).  The poller has to see the end as often as it
            # looks, which it does once the kernel knows.
            try:
                self._sock.shutdown(socket.SHUT_RD)
            except OSError:
                pass
        if not is_something and not is_over:
            raise BlockingIOError("no whole record is there")
        return is_something

    # -- the handshake ---------------------------------------------------------------------------------

    def _begin(self, data: bytes) -> None:
        """Begin TLS once the client's first record is there; by its first five bytes what is none is known."""
        first = self._first = self._first + data
        if first[:1].isalpha():
            self._is_bare = True
            raise Refusal("bad-request", "this port speaks TLS: ask for https:// instead of http://", close=True)
        if first[0] != _HANDSHAKE or first[1:2] not in (b"", b"\x03"):
            raise ConnectionAbortedError("no TLS handshake")
        length = int.from_bytes(first[3:5], "big")
        if len(first) >= 5 and not 4 <= length <= _RECORD:  # a message of a handshake has a header of 4
            raise ConnectionAbortedError("no TLS record")
        if len(first) < 5 + length:
            raise BlockingIOError("the client's first record is not whole")
        self._in, self._out, self._first = ssl.MemoryBIO(), ssl.MemoryBIO(), b""
        self._tls = self._certificate.begin(self._in, self._out)
        self._in.write(first)

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush_softly()
            raise BlockingIOError("the handshake is not done") from None
        except ssl.SSLError:
            self._flush_softly()  # an alert says why
            raise
        self._is_open = True

    # -- sending ---------------------------------------------------------------------------------------

    def send(self, data: Union[bytes, memoryview], flags: int = 0) -> int:
        """How many bytes of `data` are with the kernel; give the others again."""
        if self._is_bare:
            return self._sock.send(data, flags)
        if not self._is_open:
            raise ConnectionAbortedError("the handshake is not done")
        size = len(data)
        if not size:
            return 0
        sent, view = 0, memoryview(data)
        while sent < size:
            while self._sealed < _SLICE and sent + self._sealed < size:
                at = sent + self._sealed
                self._sealed += self._tls.write(view[at : at + _RECORD])
            try:
                self._flush(flags)
            except BlockingIOError:
                if sent:
                    return sent
                raise
            sent, self._sealed = sent + self._sealed, 0
        return sent

    def _flush(self, flags: int = 0) -> None:
        while True:
            if not self._unsent:
                self._unsent = self._out.read()
                if not self._unsent:
                    return
            count = self._sock.send(self._unsent, flags)
            self._unsent = memoryview(self._unsent)[count:] if count < len(self._unsent) else b""

    def _flush_softly(self) -> None:
        try:
            self._flush()
        except OSError:  # not now, or never: whoever sends or receives next is told
            pass

    def shutdown(self, how: int) -> None:
        """Say that no more will be sent (close_notify, section 6.1); BlockingIOError: call again when writable.

        What still comes is handed on undecrypted: nobody listens any more.
        """
        if self._is_open and not self._said_bye:
            try:
                self._tls.unwrap()
            except ssl.SSLError:  # it would like to hear the other side's, for which nobody has to wait
                pass
            self._said_bye = True
        if self._is_open:
            self._flush()
        self._is_bare = True
        self._sock.shutdown(how)
