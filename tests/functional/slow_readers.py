"""Readers that take a download at a fixed pace, for longer than every time-out there is."""
import re
import socket
import time

from functional.harness import side_by_side

RATES = (20_000, 40_000, 100_000)  # Bytes a second.
BUFFERS = (0, 65_536)  # SO_RCVBUF; 0: the kernel's automatic one.


def read_slowly(port, target, host, bytes_a_second, buffer, tls=None):
    """How many bytes were announced, and how many came."""
    connection = socket.socket()
    if buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    connection.settimeout(120)
    connection.connect(("127.0.0.1", port))
    if tls:
        connection = tls.wrap_socket(connection, server_hostname=host)
    with connection:
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        received, begun = b"", time.monotonic()
        while chunk := connection.recv(max(1, bytes_a_second // 4)):
            received += chunk
            ahead = len(received) / bytes_a_second - (time.monotonic() - begun)
            if ahead > 0:
                time.sleep(ahead)  # sleep: the reader's slowness is the subject
    head, _, body = received.partition(b"\r\n\r\n")
    return int(re.search(rb"Content-Length: (\d+)", head).group(1)), len(body)


def slow_readers_get_every_byte(test, port, target, host, tls=None):
    def read(case):
        announced, came = read_slowly(port, target, host, *case, tls=tls)
        test.assertEqual(came, announced, case)
    side_by_side(test, read, [(rate, buffer) for rate in RATES for buffer in BUFFERS])
