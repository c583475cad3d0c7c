"""Addresses of files: `file://` for this machine's, `s3://` and kin for a store's; none of ours holds a secret."""

import os
import re
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote_to_bytes, urlencode, urlsplit, urlunsplit

from flows.errors import FlowError

_SECRET = re.compile(
    r"x-amz-|x-goog-|signature|^sig$|^se$|^sp$|^sv$|token|key|secret|passw|auth|credential|policy|expire"
)
"""Parameters of a signed address that let anyone in who has them."""


def is_address(text: str) -> bool:
    """Return whether `text` is an address such as `s3://bucket/photos` rather than a path."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text) is not None


def anywhere(place: str) -> str:
    """Return a path or an address so that it means the same from any folder."""
    return place if is_address(place) else os.path.abspath(Path(place).expanduser())


def scheme_of(address: str) -> str:
    """Return the protocol of `address` in lower case."""
    return address.split("://", 1)[0].lower()


def refuse_secrets(address: str) -> None:
    """Raise FlowError where `address` holds a user name with a password: it would be kept in the run's account."""
    if "@" in urlsplit(address).netloc:
        what = "the address holds a user name or a password, which would be kept with the run's settings"
        mend = "give credentials by the environment (AWS_ACCESS_KEY_ID and kin) or the store's own files"
        raise FlowError(what, public_address(address), mend)


def public_address(address: str) -> str:
    """Return `address` without user name, password and the parameters of a signature: fit to be kept and shown."""
    if not address.startswith(("http://", "https://")):
        return re.sub(r"://[^/@]*@", "://", address)
    parts = urlsplit(address)
    kept = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if not _SECRET.search(pair[0].lower())]
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=urlencode(kept), fragment=""))


def path_uri(path: Path) -> str:
    """Return the `file://` address of `path`, each byte kept."""
    return "file://" + quote(os.fsencode(os.path.abspath(path)))


def uri_path(uri: str) -> Path:
    """Return the path that `path_uri` made an address of."""
    return Path(os.fsdecode(unquote_to_bytes(urlsplit(uri).path)))


def is_local(uri: str) -> bool:
    """Return whether `uri` is a file on this machine."""
    return uri.startswith("file://")


def shown(uri: str) -> str:
    """Return a file's address as a person writes it: a path where it is on this machine."""
    return str(uri_path(uri)) if is_local(uri) else public_address(uri)
