"""The DEALER socket: the only importer of zmq in the client. Framing and state live in `session`."""

from __future__ import annotations

import zmq

from cupcake.client import messages as m
from cupcake.client.discovery import check_socket
from cupcake.client.errors import Unavailable
from cupcake.client.session import Frames

# Plain ints: pyzmq's enums cost more than the calls that they go into.
_DONTWAIT = int(zmq.DONTWAIT)
_MORE = int(zmq.DONTWAIT) | int(zmq.SNDMORE)
_EVENTS = int(zmq.EVENTS)
_POLLIN = int(zmq.POLLIN)
_RCVMORE = int(zmq.RCVMORE)


class Transport:
    """One connection to a daemon at a Unix socket path or a `tcp://` endpoint. Not thread-safe."""

    def __init__(self, endpoint: str) -> None:
        """Raises Unavailable when there is no socket, UnsafeSocket when it is not ours."""
        if "://" not in endpoint:
            try:
                check_socket(endpoint)
            except FileNotFoundError:
                raise Unavailable(
                    f"no daemon at {endpoint}. Start one with: cupcake daemon start"
                ) from None
            endpoint = f"ipc://{endpoint}"
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.SNDHWM, 10_000)
        self._socket.setsockopt(zmq.RCVHWM, 10_000)
        self._socket.setsockopt(zmq.MAXMSGSIZE, m.MAX_MESSAGE_BYTES + 1024)
        self._socket.setsockopt(zmq.RECONNECT_IVL, 20)
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, 500)
        self._socket.connect(endpoint)

    def fileno(self) -> int:
        """The edge-triggered descriptor that becomes readable when the socket's state changes."""
        return int(self._socket.getsockopt(zmq.FD))

    def send(self, frames: Frames) -> None:
        send = self._socket.send
        try:
            send(frames[0], _MORE)
        except zmq.Again:
            raise Unavailable("the daemon does not take more requests (queue full)") from None
        # Once the first part is taken, the others are: ZeroMQ's high-water mark counts messages.
        send(frames[1], _MORE)
        send(frames[2], _DONTWAIT)

    def receive(self, timeout: float) -> list[bytes] | None:
        """The next message, or None when none came within `timeout` seconds (0 = do not wait)."""
        if timeout > 0 and not self._socket.poll(max(int(timeout * 1000), 1), zmq.POLLIN):
            return None
        # Asking first is cheaper than an exception for every time that there is nothing.
        if not int(self._socket.get(_EVENTS)) & _POLLIN:
            return None
        recv = self._socket.recv
        frames = [recv(_DONTWAIT)]
        while self._socket.get(_RCVMORE):
            frames.append(recv(_DONTWAIT))
        return frames

    def close(self) -> None:
        self._socket.close(0)

    def __del__(self) -> None:
        # A thread that used a client has ended: nobody is left to close its connection.
        if hasattr(self, "_socket"):
            self.close()
