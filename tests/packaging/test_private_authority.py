"""The commands in docs/install.md make of an authority that Python 3.13 refuses one that it takes."""

import subprocess

import pytest

from tests.packaging.test_docs import ROOT, block

pytestmark = pytest.mark.servers

KEYS = "for each in ca server; do openssl ecparam -name prime256v1 -genkey -noout -out $each.key; done"
AS_BEFORE = 'openssl req -x509 -new -key ca.key -subj "/CN=Example authority" -days 30 -out ca.pem'
VERIFY = "openssl verify -x509_strict -CAfile ca.pem server-new.pem"


def test_both_certificates_can_be_issued_anew(tmp_path):
    section = (ROOT / "docs" / "install.md").read_text().partition("## Private authorities")[2]
    before = sh(f"{KEYS} && {AS_BEFORE}", tmp_path)
    assert before.returncode == 0, before.stderr
    anew = sh(block("sh", section), tmp_path)
    assert anew.returncode == 0, anew.stderr
    assert anew.stdout.splitlines()[-1] == "server-new.pem: OK"
    assert "key usage" in sh(VERIFY, tmp_path).stderr


def sh(commands, folder):
    return subprocess.run(["sh", "-e", "-c", commands], cwd=folder, capture_output=True, text=True, check=False)
