"""Tokens that are signed, and the public key that says so."""

import base64
import json
import subprocess
from pathlib import Path


def encode(data: bytes) -> str:
    """Writes bytes as tokens do."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Signer:
    """A key of the test's own."""

    def __init__(self, folder: Path):
        self.key = folder / "tokens.key"
        subprocess.run(["openssl", "genrsa", "-out", self.key, "2048"], check=True, capture_output=True)

    def keys(self) -> str:
        """Returns the public key as a JSON Web Key Set."""
        command = ["openssl", "rsa", "-in", self.key, "-modulus", "-noout"]
        shown = subprocess.run(command, check=True, capture_output=True)
        modulus = bytes.fromhex(shown.stdout.decode().split("=")[1].strip())
        return json.dumps({"keys": [{"kty": "RSA", "alg": "RS256", "kid": "1", "n": encode(modulus), "e": "AQAB"}]})

    def token(self, claims: dict) -> str:
        """Returns a signed token with these claims."""
        parts = [{"alg": "RS256", "typ": "JWT", "kid": "1"}, {"exp": 4102444800, **claims}]
        text = ".".join(encode(json.dumps(part).encode()) for part in parts)
        signed = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.key], input=text.encode(), check=True,
                                capture_output=True)
        return f"{text}.{encode(signed.stdout)}"
