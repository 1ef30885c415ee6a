"""Every error that the client raises, in one file."""

from __future__ import annotations


class ClientError(Exception):
    """Base of all client errors; the message is for a person and names the remedy."""


class Unavailable(ClientError):
    """No daemon answered: not running, socket refused, or timed out."""


class UnsafeSocket(ClientError):
    """The socket or its directory is not ours, so what answers there cannot be trusted."""


class ProtocolError(ClientError):
    """Bytes that are not our protocol, or over its limits."""


class RequestFailed(ClientError):
    """The daemon answered with an error. `code` is one of `messages.ErrorCode`."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(f"{code}: {message}")
