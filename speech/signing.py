"""Content Credentials: a C2PA manifest, signed with the user's certificate, inside a wav or mp3 file.

Needs the extra `c2pa`. A signature holds fresh random values, so a signed file never has the same bytes twice.
"""

import io
from pathlib import Path
from typing import Any

from speech.errors import SpeechError

MIME_TYPES = {"wav": "audio/wav", "mp3": "audio/mpeg"}
"""The formats that C2PA can be written into, of those that clips have."""
CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
"""C2PA's names of the signatures that a key on each curve makes."""


class Signature:
    """A certificate chain and its key, ready to sign clips."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Read both PEM files; raises `SpeechError` where they, or the extra, are missing or no use."""
        try:
            import c2pa
        except ImportError as error:
            raise SpeechError(
                "signing needs the extra c2pa", where=str(certificate), mend="pip install 'image-narrator[c2pa]'"
            ) from error
        self._library: Any = c2pa
        self.certificate, private = _read(certificate), _read(key)
        algorithm = _algorithm(private, key)
        info = c2pa.C2paSignerInfo(algorithm.encode(), self.certificate, private, None)
        try:
            self._signer = c2pa.Signer.from_info(info)
        except c2pa.C2paError as error:
            raise SpeechError(
                f"the certificate cannot sign ({error})",
                where=str(certificate),
                mend="give the signer's certificate first, then its issuers', as one PEM file",
            ) from error

    def check(self, codec: str) -> None:
        """Raise `SpeechError` for a format that holds no signature."""
        if codec not in MIME_TYPES:
            raise SpeechError(
                f"{codec} files cannot hold a C2PA signature", mend=f"choose {' or '.join(MIME_TYPES)}, or do not sign"
            )

    def sign(self, data: bytes, codec: str, title: str, software: str, source_type: str) -> bytes:
        """Return the file `data` with a signed manifest that says how and by what its sound was made."""
        self.check(codec)
        created = {"action": "c2pa.created", "digitalSourceType": source_type, "softwareAgent": {"name": software}}
        manifest = {
            "claim_generator_info": [{"name": software}],
            "title": title,
            "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [created]}}],
        }
        signed = io.BytesIO()
        try:
            with self._library.Builder(manifest) as builder:
                builder.sign(self._signer, MIME_TYPES[codec], io.BytesIO(data), signed)
        except self._library.C2paError as error:
            raise SpeechError(
                f"the clip could not be signed ({error})", mend="check that the certificate is valid and fits its key"
            ) from error
        return signed.getvalue()


def _read(path: Path) -> bytes:
    try:
        return path.expanduser().read_bytes()
    except OSError as error:
        raise SpeechError(f"cannot be read ({error.strerror})", where=str(path), mend="give a PEM file") from error


def _algorithm(private: bytes, path: Path) -> str:
    """Return C2PA's name of the signature that a private key makes."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(private, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SpeechError(
            "not a private key in PEM without a password", where=str(path), mend="give the certificate's own key"
        ) from error
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in CURVES:
        return CURVES[key.curve.name]
    if isinstance(key, rsa.RSAPrivateKey):
        return "ps256"
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    raise SpeechError("a key of a kind that C2PA does not sign with", where=str(path), mend="use ECDSA, RSA or Ed25519")
