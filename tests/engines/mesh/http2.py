"""As much of HTTP/2 as the test needs: a client of one request, and a server of Envoy's requests to gRPC ports."""

import struct

DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, ACK, END_HEADERS = 1, 1, 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# How HPACK's Huffman code writes digits, and the statuses of its static table.
DIGITS = {"00000": "0", "00001": "1", "00010": "2", "011001": "3", "011010": "4", "011011": "5", "011100": "6",
          "011101": "7", "011110": "8", "011111": "9"}
STATUSES = dict(zip(range(0x88, 0x8f), ("200", "204", "206", "304", "400", "404", "500")))


def write(stream, kind: int, flags: int, number: int, payload: bytes = b""):
    """Sends a frame."""
    stream.write(struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", number) + payload)
    stream.flush()


def read(stream) -> tuple:
    """Returns the next frame as its kind, flags, stream and payload; nothing at the end."""
    head = stream.read(9)
    if len(head) < 9:
        return ()
    return head[3], head[4], int.from_bytes(head[5:9], "big"), stream.read(int.from_bytes(head[:3], "big"))


def answer_frame(stream, kind: int, flags: int):
    """Says yes to settings and pings of the other end."""
    if kind == SETTINGS and not flags & ACK:
        write(stream, SETTINGS, ACK, 0)
    elif kind == PING and not flags & ACK:
        write(stream, PING, ACK, 0, bytes(8))


def text(value: str) -> bytes:
    """Writes a string of HPACK as it is."""
    value = value.encode()
    size, length = len(value), b""
    if size < 127:
        length = bytes([size])
    else:
        length, size = bytes([127]), size - 127
        while size >= 128:
            length, size = length + bytes([size % 128 + 128]), size // 128
        length += bytes([size])
    return length + value


def status(block: bytes) -> str:
    """Returns the status of an answer's headers, with which they begin."""
    if block[0] in STATUSES:
        return STATUSES[block[0]]
    # A literal with the name of an entry of the static table; the length of its value has a bit for Huffman's code.
    at = 2 if block[0] in (0x0f, 0x1f) else 1
    value = block[at + 1:at + 1 + (block[at] & 127)]
    if not block[at] & 128:
        return value.decode()
    bits, digits, code = "".join(f"{byte:08b}" for byte in value), "", ""
    for bit in bits:
        code += bit
        if code in DIGITS:
            digits, code = digits + DIGITS[code], ""
    return digits[:3]


def ask(stream, request: dict, scheme: str) -> tuple:
    """Sends a request; returns the status and the body of the answer, or nothing and what came instead."""
    headers = {key.lower(): value for key, value in request["headers"].items()}
    fields = {":method": request["method"], ":scheme": scheme, ":authority": headers.pop("host"),
              ":path": request["path"], **headers}
    stream.write(PREFACE)
    write(stream, SETTINGS, 0, 0)
    block = b"".join(b"\0" + text(key) + text(value) for key, value in fields.items())
    write(stream, HEADERS, END_STREAM | END_HEADERS, 1, block)
    answered, body = "", b""
    while frame := read(stream):
        kind, flags, number, payload = frame
        answer_frame(stream, kind, flags)
        if kind == GOAWAY or kind == RESET and number == 1:
            return "", f"frame {kind}"
        if kind == HEADERS and number == 1:
            answered = answered or status(payload)
        if kind == DATA and number == 1:
            body += payload
        if kind in (DATA, HEADERS) and number == 1 and flags & END_STREAM:
            return answered, body.decode()
    return "", "closed"


def serve(name: str, stream):
    """Answers each stream with 200 and the name: enough for what Envoy sends to a gRPC port. The first line is read."""
    stream.read(len(b"\r\nSM\r\n\r\n"))
    write(stream, SETTINGS, 0, 0)
    while frame := read(stream):
        kind, flags, number, _ = frame
        answer_frame(stream, kind, flags)
        if kind == HEADERS:
            # 0x88 is `:status: 200`; then a header that is spelled out.
            write(stream, HEADERS, END_HEADERS, number, b"\x88\0" + text("by") + text(name))
            write(stream, DATA, END_STREAM, number, name.encode())
