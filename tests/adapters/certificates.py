"""Certificates for tests, made with openssl."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def certificate(tmp_path: Path) -> str:
    out = tmp_path / "ca.crt"
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            "/CN=authority",
            "-keyout",
            str(tmp_path / "ca.key"),
            "-out",
            str(out),
        ],
        check=True,
        capture_output=True,
    )
    return out.read_text()


def signed(tmp_path: Path, name: str) -> None:
    """Write NAME.crt and NAME.key, signed by the authority of :func:`certificate`."""
    key, request, extensions = tmp_path / f"{name}.key", tmp_path / f"{name}.csr", tmp_path / "extensions"
    extensions.write_text("subjectAltName = IP:127.0.0.1")
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}"]
    authority = ["-CA", tmp_path / "ca.crt", "-CAkey", tmp_path / "ca.key", "-CAcreateserial"]
    out = ["-extfile", extensions, "-out", tmp_path / f"{name}.crt"]
    for command in (
        ["openssl", "req", *new, "-keyout", key, "-out", request],
        ["openssl", "x509", "-req", "-in", request, *authority, *out],
    ):
        subprocess.run([str(part) for part in command], check=True, capture_output=True)
