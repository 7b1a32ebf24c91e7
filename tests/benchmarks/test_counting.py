from __future__ import annotations

import pytest

from benchmarks.counting import count_requests, write_kubeconfig

LIST = b"GET /apis/apps/v1/deployments?limit=500 HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n\r\n"
PATCH = b"PATCH /apis/apps/v1/namespaces/a/deployments/b HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"


@pytest.mark.parametrize(
    ("block", "requests"),
    [(LIST, 1), (LIST + LIST, 2), (PATCH, 1), (b'{"path": "GET / HTTP/1.1"}', 0), (b"", 0)],
    ids=["one", "two in a row", "with a body", "a body that speaks of one", "nothing"],
)
def test_each_request_line_counts_once(block, requests):
    assert count_requests(block) == requests


def test_the_kubeconfig_leads_to_the_proxy_with_the_same_user(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text(
        "current-context: a\n"
        "clusters: [{name: c, cluster: {server: 'https://10.0.0.1:6443', certificate-authority: /ca}}]\n"
        "users: [{name: u, user: {token: secret}}]\n"
    )
    write_kubeconfig(source, target, server="http://127.0.0.1:1")
    written = target.read_text()
    assert '"cluster": {"server": "http://127.0.0.1:1"}' in written
    assert '"token": "secret"' in written
    assert target.stat().st_mode & 0o077 == 0
