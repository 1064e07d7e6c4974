"""An identity provider for tests: keys, a JWKS, tokens, signed by openssl; and one that is asked over HTTP."""
import base64
import http.server
import json
import ssl
import subprocess
import threading
import time

ISSUER = "stytch.com/project-test"
AUDIENCE = "project-test"


def base64url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class SigningKey:
    def __init__(self, directory, kid):
        self.kid = kid
        self.file = directory / f"{kid}.pem"
        subprocess.run(["openssl", "genrsa", "-out", str(self.file), "2048"], check=True, capture_output=True)
        modulus = subprocess.run(["openssl", "rsa", "-in", str(self.file), "-noout", "-modulus"], check=True, capture_output=True, text=True).stdout
        self.jwk = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "e": "AQAB",
                    "n": base64url(bytes.fromhex(modulus.strip().split("=")[1]))}

    def sign(self, header, claims):
        text = f"{base64url(json.dumps(header).encode())}.{base64url(json.dumps(claims).encode())}"
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", str(self.file)], input=text.encode(), check=True, capture_output=True).stdout
        return f"{text}.{base64url(signature)}"

    def token(self, subject, roles=(), organization="acme", header=None, **claims):
        now = int(time.time())
        body = {"iss": ISSUER, "aud": [AUDIENCE], "sub": subject, "iat": now, "nbf": now, "exp": now + 600,
                "https://stytch.com/session": {"roles": list(roles)},
                "https://stytch.com/organization": {"organization_id": organization}}
        body.update(claims)
        return self.sign({"alg": "RS256", "typ": "JWT", "kid": self.kid, **(header or {})}, body)


def jwks(*keys):
    return json.dumps({"keys": [key.jwk for key in keys]})


def make_certificate(path):
    """Of a server on 127.0.0.1, signed by itself, with its key in the same file."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1",
                    "-keyout", path, "-out", f"{path}.crt"], check=True, capture_output=True)
    with open(path, "a") as file, open(f"{path}.crt") as certificate:
        file.write(certificate.read())
    return path


class Provider:
    """Answers as sessions/authenticate and as a JWKS URL do; `mood` makes it slow, broken or silent."""

    def __init__(self, keys=(), certificate=None):
        """`certificate`: a PEM file with its key, to be asked over TLS."""
        self.sessions = {}  # Token to (member, organization, roles).
        self.keys = list(keys)
        self.asked = 0
        self.fetched = 0
        self.may_answer = threading.Event()  # Cleared: sessions are asked about and get no answer yet.
        self.may_answer.set()
        self.status = 200
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self, status, body):
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_GET(self):
                provider.fetched += 1
                self.answer(200, json.loads(jwks(*provider.keys)))

            def do_POST(self):
                provider.asked += 1
                token = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["session_token"]
                provider.may_answer.wait(30)
                if provider.status != 200:
                    return self.answer(provider.status, {})
                if token not in provider.sessions:
                    return self.answer(404, {"error_type": "session_not_found"})
                member, organization, roles = provider.sessions[token]
                self.answer(200, {"member": {"member_id": member, "status": "active"}, "organization": {"organization_id": organization},
                                  "member_session": {"member_id": member, "organization_id": organization, "roles": roles,
                                                     "expires_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 600))}})

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self.server.server_port}"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self):
        self.may_answer.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
