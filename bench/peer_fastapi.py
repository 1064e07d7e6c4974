"""The peer in Python: what one would write with FastAPI, boto3 and SQLite. Environment: PEER_DATABASE, PEER_KEY_SHA256.
uvicorn bench.peer_fastapi:app"""
import hashlib
import hmac
import os
import sqlite3
import threading
import urllib.parse

import boto3
from botocore.config import Config
from fastapi import FastAPI, Header, HTTPException

app = FastAPI()
local = threading.local()
KEY_SHA256 = os.environ["PEER_KEY_SHA256"]
s3 = boto3.client("s3", region_name="eu-central-1", aws_access_key_id="AKIAEXAMPLE", aws_secret_access_key="secret",
                  config=Config(signature_version="s3v4", s3={"addressing_style": "virtual"}))


def database():
    if not hasattr(local, "database"):
        local.database = sqlite3.connect(f"file:{os.environ['PEER_DATABASE']}?mode=ro", uri=True)
    return local.database


@app.get("/api/products/export/{job_id}/download-url")
def download_url(job_id: str, authorization: str | None = Header(default=None)):
    if authorization is None:
        raise HTTPException(401, "Not authenticated")
    token = authorization.removeprefix("Bearer ")
    if not hmac.compare_digest(hashlib.sha256(token.encode()).hexdigest(), KEY_SHA256):
        raise HTTPException(401, "Invalid credentials")
    row = database().execute("SELECT status, file_url, filename FROM job WHERE job_id = ? AND organization_id = ?", (job_id, "acme")).fetchone()
    if row is None:
        raise HTTPException(404, "Export job not found")
    if row[0] != "completed":
        raise HTTPException(409, f"Export job is {row[0]}")
    place = urllib.parse.urlsplit(row[1])
    url = s3.generate_presigned_url("get_object", Params={"Bucket": place.netloc, "Key": place.path[1:],
                                                          "ResponseContentDisposition": f'attachment; filename="{row[2]}"'}, ExpiresIn=900)
    return {"download_url": url, "filename": row[2], "expires_in_seconds": 900}
