"""The peer: what one would write in Python. The same REP loop, job lookup, key check and local link, with pyzmq, msgpack and
sqlite3: peer.py ENDPOINT DATABASE KEY_SHA256 SECRET_HEX"""
import base64
import hashlib
import hmac
import sqlite3
import sys
import time
import urllib.parse

import msgpack
import zmq

endpoint, database_path, key_sha256, secret = sys.argv[1], sys.argv[2], sys.argv[3], bytes.fromhex(sys.argv[4])
database = sqlite3.connect(f"file:{database_path}?mode=ro", uri=True)
socket = zmq.Context().socket(zmq.ROUTER)
socket.bind(endpoint)
print("ready", flush=True)
while True:
    *envelope, body = socket.recv_multipart()
    request = msgpack.unpackb(body)
    token = request["auth"]["authorization"].removeprefix("Bearer ")
    assert hmac.compare_digest(hashlib.sha256(token.encode()).hexdigest(), key_sha256)
    row = database.execute("SELECT status, file_url, filename FROM job WHERE job_id = ? AND organization_id = ?",
                           (request["params"]["job_id"], "acme")).fetchone()
    assert row[0] == "completed"
    path = urllib.parse.quote("/".join(row[1].split("/")[-2:]))
    expires = int(time.time()) + 900
    text = f"export-worker-link-v1\nGET\n{path}\n{expires}\nk1\n{urllib.parse.quote(row[2])}"
    signature = base64.urlsafe_b64encode(hmac.new(secret, text.encode(), hashlib.sha256).digest()).rstrip(b"=").decode()
    url = f"http://127.0.0.1/exports/{path}?expires={expires}&filename={urllib.parse.quote(row[2])}&key=k1&sig={signature}"
    socket.send_multipart(envelope + [msgpack.packb({"v": 1, "id": request["id"], "ok": True, "result": {
        "download_url": url, "filename": row[2], "expires_in_seconds": 900}})])
