#!/usr/bin/python3
"""A worker of your own: the daemon keeps its job, this program does the work and says where the file lies.

    EXPORT_WORKER_ENDPOINT=ipc:///var/lib/export-worker/run/data.sock EXPORT_WORKER_KEY=mo_... \
        worker.py INPUT.jsonl OUTPUT_DIRECTORY REQUEST_ID

Writes the products of INPUT.jsonl as CSV below OUTPUT_DIRECTORY, reports every hundred lines, one error for each line that is no
product, and prints the job's id. The same REQUEST_ID again continues with the same job instead of making another one; run one
process at a time for each. Needs python3-zmq and python3-msgpack. Exit status: 0 when the job has its file, also from a run
before this one; 1 when it failed or was cancelled.
"""
import csv
import json
import os
import pathlib
import sys
import urllib.parse

import msgpack
import zmq

DONE = {"completed", "completed_with_warnings", "partial_success"}


class Refused(Exception):
    def __init__(self, error):
        super().__init__(f"{error['code']}: {error['message']}")
        self.code = error["code"]


class Daemon:
    def __init__(self, endpoint, key):
        self.endpoint = endpoint
        self.key = key
        self.connect()

    def connect(self):
        self.socket = zmq.Context.instance().socket(zmq.REQ)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.RCVTIMEO, 11_000)  # A little more than a request's deadline.
        self.socket.connect(self.endpoint)

    def call(self, method, **params):
        request = {"v": 1, "method": method, "params": params, "auth": {"authorization": "Bearer " + self.key}}
        for _ in range(5):
            self.socket.send(msgpack.packb(request))
            try:
                reply = msgpack.unpackb(self.socket.recv())
            except zmq.Again:
                # A REQ socket that got no answer is of no more use. Every report here may be sent twice: it has its report_id,
                # and no other one of the job is sent before its answer is here.
                self.socket.close()
                self.connect()
                continue
            if reply["ok"]:
                return reply["result"]
            if not reply["error"]["retryable"]:
                raise Refused(reply["error"])
        raise SystemExit("the daemon does not answer")


def run(daemon, source, directory, request_id):
    lines = source.read_text().splitlines()

    def find_job():
        return daemon.call("jobs.create", job_type="product_export", total_items=len(lines), idempotency_key=request_id,
                           silence_limit_s=120, deadline_s=3600)

    found = find_job()
    print(found["job_id"], flush=True)
    if found["status"] in DONE:
        return found["status"]  # By a run before this one.
    try:
        return write_file(daemon, lines, directory, found)
    except Refused as refused:
        status = find_job()["status"] if refused.code == "conflict" else ""
        if status not in DONE:
            raise
        return status


def write_file(daemon, lines, directory, found):
    job = found["job_id"]
    # The number of the last line whose error is in the job. It is written with the error, so a run that is killed and started
    # again reports each line once: the daemon knows the report_id of a job's last report only.
    error_lines = found["metadata"].get("error_lines", 0)
    path = directory / f"{job}.csv"
    part = path.with_suffix(".csv.part")
    written = 0
    with open(part, "w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["key", "name"])
        daemon.call("jobs.report_progress", job_id=job, report_id="started", mark_started=True, stage="writing")
        for number, line in enumerate(lines, 1):
            try:
                product = json.loads(line)
                out.writerow([product["key"], product.get("properties", {}).get("name", "")])
                written += 1
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                if number > error_lines:
                    daemon.call("jobs.report_progress", job_id=job, report_id=f"error in line {number}",
                                error={"entity_key": f"line {number}", "error_type": "unreadable", "message": str(error)},
                                metadata_patch={"error_lines": number})
            if number % 100 == 0:
                # One call says that we live and how far we are, and brings back whether somebody wants it to stop.
                if daemon.call("jobs.report_progress", job_id=job, report_id=f"up to line {number}",
                               processed_items=written)["status"] == "cancelled":
                    raise Refused({"code": "conflict", "message": "somebody cancelled the job"})
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
    folder = os.open(directory, os.O_DIRECTORY)
    os.fsync(folder)
    os.close(folder)
    # The pointer last: a job never names a file that is not whole.
    done = daemon.call("jobs.report_progress", job_id=job, report_id="completed", mark_completed=True, processed_items=written,
                       metadata_patch={"file_url": "file://" + urllib.parse.quote(str(path)), "filename": "products.csv"})
    return done["status"]


def main():
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    daemon = Daemon(os.environ["EXPORT_WORKER_ENDPOINT"], os.environ["EXPORT_WORKER_KEY"])
    try:
        status = run(daemon, pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3])
    except Refused as refused:
        print(refused, file=sys.stderr)
        return 1
    print(status, file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
