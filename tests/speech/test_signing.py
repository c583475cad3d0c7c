import datetime as dt
import io
import json
from pathlib import Path

import mutagen
import numpy as np
import pytest
import soundfile
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from speech.encoding import SYNTHETIC, Delivery
from speech.errors import SpeechError
from speech.records import Spoken, Waveform
from speech.signing import Signature
from speech.speaking import Speaker

c2pa = pytest.importorskip("c2pa")

Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
TEXT = "A dog runs over the green grass."
SOUND = Spoken(Waveform((0.1 * np.random.default_rng(0).standard_normal(44100)).astype(np.float32), 22050))


def certificate(name: str, key: Key, issuer: x509.Certificate | None, issuer_key: Key) -> x509.Certificate:
    """Return a certificate of the kind that C2PA asks for; one without an issuer is a root that signs itself."""
    names = [x509.NameAttribute(NameOID.COMMON_NAME, name), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "A museum")]
    subject, now, root = x509.Name(names), dt.datetime.now(dt.UTC), issuer is None
    unused = (
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "encipher_only",
        "decipher_only",
    )
    usage = dict.fromkeys(unused, False) | {"digital_signature": True, "key_cert_sign": root, "crl_sign": root}
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=root, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .add_extension(x509.KeyUsage(**usage), critical=True)
    )
    if not root:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def write_pair(folder: Path, key: Key) -> tuple[Path, Path]:
    """Write a signer's chain and its key as PEM and return both paths."""
    root_key = ec.generate_private_key(ec.SECP256R1())
    root = certificate("Root of a test", root_key, None, root_key)
    signer = certificate("Signer of a test", key, root, root_key)
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (folder / "chain.pem").write_bytes(signer.public_bytes(pem) + root.public_bytes(pem))
    (folder / "key.pem").write_bytes(key.private_bytes(pem, pkcs8, serialization.NoEncryption()))
    return folder / "chain.pem", folder / "key.pem"


KEYS = {
    "es256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "es384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ps256": lambda: rsa.generate_private_key(65537, 2048),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}


@pytest.fixture
def signature(tmp_path: Path) -> Signature:
    return Signature(*write_pair(tmp_path, KEYS["es256"]()))


@pytest.mark.parametrize(("codec", "mime"), [("wav", "audio/wav"), ("mp3", "audio/mpeg")])
@pytest.mark.parametrize("kind", KEYS)
def test_a_signed_clip_says_who_signed_and_that_it_is_synthetic(
    speaker: Speaker, tmp_path: Path, kind: str, codec: str, mime: str
):
    signature = Signature(*write_pair(tmp_path, KEYS[kind]()))
    clip = speaker.finish(SOUND, tmp_path / f"clip.{codec}", TEXT, Delivery(codec, signature=signature))
    reader = c2pa.Reader(mime, io.BytesIO(clip.path.read_bytes()))
    manifest = reader.get_active_manifest()
    action = manifest["assertions"][0]["data"]["actions"][0]
    assert reader.get_validation_state() == "Valid"
    assert (action["action"], action["digitalSourceType"]) == ("c2pa.created", SYNTHETIC)
    assert manifest["signature_info"]["common_name"] == "Signer of a test"
    assert manifest["title"] == TEXT


@pytest.mark.parametrize("codec", ["wav", "mp3"])
def test_signing_keeps_the_sound_and_the_tags(speaker: Speaker, tmp_path: Path, signature: Signature, codec: str):
    plain = speaker.finish(SOUND, tmp_path / f"plain.{codec}", TEXT, Delivery(codec))
    signed = speaker.finish(SOUND, tmp_path / f"signed.{codec}", TEXT, Delivery(codec, signature=signature))
    assert np.array_equal(soundfile.read(plain.path)[0], soundfile.read(signed.path)[0])
    assert mutagen.File(signed.path).tags["COMM::eng"].text[0] == TEXT
    assert mutagen.File(signed.path).tags["TXXX:DIGITALSOURCETYPE"].text[0] == SYNTHETIC


def test_a_changed_sound_is_no_longer_valid(speaker: Speaker, tmp_path: Path, signature: Signature):
    clip = speaker.finish(SOUND, tmp_path / "clip.wav", TEXT, Delivery("wav", signature=signature))
    data = bytearray(clip.path.read_bytes())
    data[2000] ^= 1
    reader = c2pa.Reader("audio/wav", io.BytesIO(bytes(data)))
    assert reader.get_validation_state() == "Invalid"
    assert "assertion.dataHash.mismatch" in json.dumps(reader.get_validation_results())


@pytest.mark.parametrize("codec", ["flac", "ogg", "opus"])
def test_formats_without_signatures_are_refused_before_work(signature: Signature, codec: str):
    with pytest.raises(SpeechError, match="wav or mp3"):
        Delivery(codec, signature=signature).check()


def test_files_that_cannot_sign_are_refused_with_their_path(tmp_path: Path):
    chain, key = write_pair(tmp_path, KEYS["es256"]())
    with pytest.raises(SpeechError, match=r"missing\.pem"):
        Signature(tmp_path / "missing.pem", key)
    with pytest.raises(SpeechError, match="not a private key"):
        Signature(chain, chain)
    (tmp_path / "empty.pem").write_text("")
    with pytest.raises(SpeechError, match="could not be signed"):
        Signature(tmp_path / "empty.pem", key).sign(b"", "wav", "", "", SYNTHETIC)
