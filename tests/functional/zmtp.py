"""A peer of the data socket that speaks ZMTP 3 (RFC 23 of ZeroMQ) by hand: it sends what no library would, and reads nothing."""
import socket
import struct

import msgpack

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
MORE, LONG, COMMAND = 1, 2, 4


def frame(body, flags=0):
    if len(body) < 256:
        return bytes([flags, len(body)]) + body
    return bytes([flags | LONG]) + struct.pack(">Q", len(body)) + body


class RawPeer:
    def __init__(self, path, timeout_s=20):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout_s)
        self.socket.connect(str(path))
        self.socket.sendall(GREETING + frame(b"\x05READY\x0bSocket-Type" + struct.pack(">I", 6) + b"DEALER", COMMAND))
        greeted = b""
        while len(greeted) < len(GREETING):
            greeted += self.socket.recv(len(GREETING) - len(greeted))

    def send(self, data):
        """False when the daemon has ended the connection."""
        try:
            self.socket.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def ask(self, method, params, key):
        request = {"v": 1, "method": method, "params": params, "auth": {"authorization": f"Bearer {key}"}}
        return self.send(frame(b"", MORE) + frame(msgpack.packb(request)))

    def is_ended(self):
        """After everything that is there was read."""
        try:
            while self.socket.recv(1 << 16):
                pass
            return True
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    def close(self):
        self.socket.close()
