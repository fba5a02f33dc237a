"""What runs beside each Envoy: a server that says who it is on every port, and a client that asks as it is told.

Usage: app.py NAME SOCKET ADDRESS,… PORT…   The server listens on these ports of the addresses; the client takes one
request as a line of JSON from each connection to the socket, and answers with a line.
"""

import json
import os
import socket
import ssl
import sys
import threading

import http2

TIMEOUT = 4
# On this port the server speaks first, as databases and mail servers do.
GREETING = 2525
METHODS = tuple(f"{method} ".encode() for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"))


# The server.

def serve(name: str, connection: socket.socket, port: int):
    """Answers in the protocol that the client's first bytes show, after TLS too."""
    try:
        connection.settimeout(TIMEOUT)
        if port == GREETING:
            connection.sendall(f"220 {name}\r\n".encode())
        first = connection.recv(8, socket.MSG_PEEK)
        if first[:1] == b"\x16":
            connection = server_context().wrap_socket(connection, server_side=True)
        stream = connection.makefile("rwb")
        line = stream.readline(1 << 16)
        if line.startswith(b"PRI * HTTP/2.0"):
            http2.serve(name, stream)
        elif line.startswith(METHODS):
            serve_http(name, stream, line)
        elif line:
            stream.write(f"by {name}\n".encode())
            stream.flush()
    except OSError:
        pass
    finally:
        connection.close()


def serve_http(name: str, stream, line: bytes):
    """Answers requests with the name, and with the public keys of the test's tokens as the body where there are some."""
    body = (os.environ.get("KEYS") or name).encode()
    while line:
        length = 0
        while (header := stream.readline(1 << 16)) not in (b"\r\n", b""):
            if header.lower().startswith(b"content-length:"):
                length = int(header.split(b":")[1])
        stream.read(length)
        head = f"HTTP/1.1 200 OK\r\nby: {name}\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        stream.write(head if line.startswith(b"HEAD ") else head + body)
        stream.flush()
        line = stream.readline(1 << 16)


def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.environ["CERTIFICATE"], os.environ["CERTIFICATE_KEY"])
    return context


def listen(name: str, address: str, port: int):
    server = socket.create_server((address, port), backlog=64)
    while True:
        connection, _ = server.accept()
        threading.Thread(target=serve, args=(name, connection, port), daemon=True).start()


# The client.

def ask(request: dict) -> dict:
    """Sends a request: `by` is who answered, or nothing; `what` says more, for people."""
    answer = {"by": None, "what": "", "greeting": None}
    try:
        source = (request["source"], 0) if request.get("source") else None
        address = resolved(request["resolve"]) if "resolve" in request else ""
        connection = socket.create_connection((address or request["address"], request["port"]), TIMEOUT, source)
        if "tls" in request:
            context = ssl._create_unverified_context()
            if request.get("http2"):
                context.set_alpn_protocols(["h2"])
            # An empty name is none.
            connection = context.wrap_socket(connection, server_hostname=request["tls"] or None)
        with connection, connection.makefile("rwb") as stream:
            if request.get("http2"):
                status, body = http2.ask(stream, request, "https" if "tls" in request else "http")
                answer["what"] = f"HTTP/2 {status}" if status else body
                answer["by"] = body if status == "200" else None
            elif "method" in request:
                headers = "".join(f"{key}: {value}\r\n" for key, value in request["headers"].items())
                stream.write(f"{request['method']} {request['path']} HTTP/1.1\r\n{headers}connection: close\r\n\r\n".encode())
                stream.flush()
                lines = iter(lambda: stream.readline(1 << 16).strip().decode(), "")
                answer["what"] = next(lines, "closed")
                fields = dict(line.lower().split(": ", 1) for line in lines if ": " in line)
                answer["by"] = fields.get("by") if answer["what"].startswith("HTTP/1.1 200") else None
            else:
                stream.write(b"hello\n")
                stream.flush()
                for line in iter(lambda: stream.readline(1 << 16).decode().split(), []):
                    if line[0] == "by":
                        answer["by"] = line[1]
                        break
                    answer["greeting"] = line[1]
                answer["what"] = "answered" if answer["by"] else "closed"
    except OSError as error:
        answer["what"] = str(error) or type(error).__name__
    return answer


def resolved(name: str) -> str:
    """Returns the address that the pod's own sidecar answers for a name, or nothing where none answers."""
    question = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    asked = b"\x00\x07\x01\x00\x00\x01" + bytes(6) + question + b"\x00\x00\x01\x00\x01"
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as resolver:
            resolver.settimeout(2)
            resolver.connect(("127.0.0.1", 15053))
            resolver.send(asked)
            answer = resolver.recv(1 << 16)
    except OSError:
        return ""
    # The last of the answers; each ends with an address of four bytes.
    return socket.inet_ntoa(answer[-4:]) if answer[7] and answer[3] & 15 == 0 else ""


def take(connection: socket.socket):
    with connection, connection.makefile("rwb") as stream:
        stream.write(json.dumps(ask(json.loads(stream.readline()))).encode() + b"\n")


def main(name: str, path: str, addresses: str, *ports: str):
    for address in addresses.split(","):
        for port in ports:
            threading.Thread(target=listen, args=(name, address, int(port)), daemon=True).start()
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen(256)
    while True:
        connection, _ = server.accept()
        threading.Thread(target=take, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
