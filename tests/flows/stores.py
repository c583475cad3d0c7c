"""A real S3 server on loopback for the tests, and ways to look into it that are not the program's own."""

import hashlib
from collections.abc import Iterator
from typing import Any

import boto3
import fsspec
import pytest
from gate import Gate
from moto.server import ThreadedMotoServer

from flows import storage

KEYS = {"AWS_ACCESS_KEY_ID": "testing-key-id", "AWS_SECRET_ACCESS_KEY": "testing-secret-key"}


class Store:
    """A bucket on a server of our own."""

    def __init__(self, endpoint: str, bucket: str) -> None:
        self.endpoint, self.bucket = endpoint, bucket
        self.url = f"s3://{bucket}"
        keys = {name.lower(): key for name, key in KEYS.items()}
        self.client: Any = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **keys)
        self.client.create_bucket(Bucket=bucket)

    def put(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=self.bucket, Key=key, Body=data)

    def get(self, key: str) -> bytes:
        return self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def keys(self, prefix: str = "") -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [found["Key"] for page in pages for found in page.get("Contents", ())]


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """Start moto's server on a free port."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def forget() -> None:
    """Forget every connection, as a new process would."""
    storage._file_system.cache_clear()
    fsspec.get_filesystem_class("s3").clear_instance_cache()


@pytest.fixture
def store(s3_endpoint: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """Yield an empty bucket, with the environment that leads to it."""
    environment = KEYS | {"AWS_ENDPOINT_URL": s3_endpoint, "AWS_DEFAULT_REGION": "us-east-1", "NO_PROXY": "127.0.0.1"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    forget()
    yield Store(s3_endpoint, "b" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:20])
    forget()


@pytest.fixture
def gate(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:  # noqa: ARG001 - its bucket must be there
    """Put a gate between the program and the store, whose bucket must be there first."""
    gate = Gate()
    monkeypatch.setenv("AWS_ENDPOINT_URL", gate.url)
    forget()
    yield gate
    forget()
    gate.close()
