"""What is looked at beside the configuration: certificates, keys, secret files, directories. Nothing is created by looking."""

import datetime as dt
import os
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pipelines.config import ConfigProblems, check_files, extras, load
from tests.config.conftest import DLS, OWN, marked_line, replaced
from tests.private_authority import LACKS, OF_THE_AUTHORITY, make_chain

NOW = dt.datetime.now(dt.timezone.utc)
DAY = dt.timedelta(days=1)
NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "siem.example.com")])


def make_key():
    return ec.generate_private_key(ec.SECP256R1())


def cert_pem(key, begins=-DAY, ends=DAY):
    builder = x509.CertificateBuilder(NAME, NAME, key.public_key(), x509.random_serial_number(), NOW + begins, NOW + ends)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def key_pem(key, password=None):
    locked = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Certificates and keys of all kinds, made once."""
    made = tmp_path_factory.mktemp("pki")
    key, other = make_key(), make_key()
    password = "p4ss" * 5
    good = cert_pem(key)
    contents = {
        "good.pem": good,
        "expired.pem": cert_pem(key, -3 * DAY, -2 * DAY),
        "early.pem": cert_pem(key, 2 * DAY, 3 * DAY),
        "bundle.pem": cert_pem(key, -3 * DAY, -2 * DAY) + good,
        "both.pem": good + key_pem(key),
        "key.pem": key_pem(key),
        "other-key.pem": key_pem(other),
        "locked-key.pem": key_pem(key, password),
        "binary.der": x509.load_pem_x509_certificate(good).public_bytes(serialization.Encoding.DER),
        "text.pem": b"no certificate\n",
        "broken.pem": good.replace(b"M", b"-"),
        "broken-key.pem": key_pem(key)[:60] + b"\n-----END PRIVATE KEY-----\n",
        "password": password.encode() + b"\n",
        "wrong-password": b"another",
    }
    for name, content in contents.items():
        (made / name).write_bytes(content)
        (made / name).chmod(0o600)
    (made / "directory").mkdir()
    return made


def own_with_tls(files, options):
    return replaced(OWN, "kind: tcp", f"kind: tls\n    tls: {{{options}}} #!").replace("@", f"{files}/")


CA = {
    "expired.pem": ("has expired on ", "Get a new one."),
    "early.pem": ("is not valid before ", "clock"),
    "text.pem": ("no PEM certificate", "BEGIN CERTIFICATE"),
    "key.pem": ("a key and no certificate", "certificate's file"),
    "binary.der": ("binary form (DER)", "openssl x509 -inform der"),
    "broken.pem": ("cannot be read", "Copy the certificate again."),
    "directory": ("is a directory", "PEM file"),
    "nothing.pem": ("does not exist", "Check the path."),
}


@pytest.mark.parametrize("name", CA)
def test_ca_file_that_cannot_be_used(name, files, problems_of):
    text = own_with_tls(files, f"ca_file: @{name}")
    (problem,) = problems_of(text)
    assert (problem.key, problem.line) == ("destinations.0.tls.ca_file", marked_line(text))
    assert CA[name][0] in problem.what
    assert CA[name][1] in problem.fix


@pytest.mark.parametrize("name", ["good.pem", "bundle.pem", "both.pem"])
def test_ca_file_that_can_be_used(name, files, write):
    assert load(write(own_with_tls(files, f"ca_file: @{name}"))).notices == ()


@pytest.mark.parametrize("lacking", OF_THE_AUTHORITY)
def test_ca_that_python_3_13_does_not_trust_is_noticed(lacking, write, tmp_path):
    chain = make_chain(tmp_path, lacking=lacking)
    (notice,) = load(write(own_with_tls(tmp_path, "ca_file: @private-ca.pem"))).notices
    assert notice.key == "destinations.0.tls.ca_file"
    assert f"of CN=Example authority in {chain.ca_file} lacks {LACKS[lacking]}: Python 3.13" in notice.what
    assert "docs/install.md" in notice.fix


@pytest.mark.parametrize("lacking", ["", "authorityKeyIdentifier"])
def test_ca_that_python_3_13_trusts_is_not_worth_a_notice(lacking, write, tmp_path):
    make_chain(tmp_path, lacking=lacking)
    assert load(write(own_with_tls(tmp_path, "ca_file: @private-ca.pem"))).notices == ()


def test_old_cas_in_a_bundle_of_many_are_not_worth_a_notice(write, tmp_path):
    chain = make_chain(tmp_path, lacking="keyUsage")
    Path(chain.ca_file).write_bytes(Path(chain.ca_file).read_bytes() * 11)
    assert load(write(own_with_tls(tmp_path, "ca_file: @private-ca.pem"))).notices == ()


def test_ca_of_an_account_that_python_3_13_does_not_trust_is_noticed(write, tmp_path):
    chain = make_chain(tmp_path, lacking="keyUsage")
    text = replaced(OWN, "skey: env:DUO_SKEY", f"skey: env:DUO_SKEY\n    ca_file: {chain.ca_file}")
    (notice,) = load(write(text)).notices
    assert notice.key == "accounts.0.ca_file"


def test_ca_file_of_the_incumbent_is_told_at_its_own_key(files, problems_of):
    text = replaced(DLS, "'TCP'", "'TCPSSL'").replace("cert_filepath: ''", f"cert_filepath: '{files}/expired.pem' #!")
    (problem,) = problems_of(text)
    assert (problem.key, problem.line) == ("servers.0.cert_filepath", marked_line(text))


def test_ca_file_of_an_account(files, problems_of):
    text = replaced(OWN, "skey: env:DUO_SKEY", f"skey: env:DUO_SKEY\n    ca_file: {files}/text.pem")
    (problem,) = problems_of(text)
    assert problem.key == "accounts.0.ca_file"
    text = replaced(DLS, "timeout: 120", f"ca_file: {files}/text.pem")
    (problem,) = problems_of(text)
    assert problem.key == "dls_settings.api.ca_file"


CLIENT = {
    "another key": (
        "client_cert_file: @good.pem, client_key_file: @other-key.pem",
        "client_key_file",
        "does not belong to",
        "made for",
    ),
    "no key": ("client_cert_file: @good.pem", "client_cert_file", "no PEM private key", "client_key_file"),
    "key is a certificate": (
        "client_cert_file: @good.pem, client_key_file: @good.pem",
        "client_key_file",
        "no PEM private key",
        "key",
    ),
    "locked key": ("client_cert_file: @good.pem, client_key_file: @locked-key.pem", "client_key_file", "protected", "password"),
    "wrong password": (
        "client_cert_file: @good.pem, client_key_file: @locked-key.pem, client_key_password: file:@wrong-password",
        "client_key_file",
        "cannot be read with this password",
        "Check client_key_password.",
    ),
    "password of no lock": (
        "client_cert_file: @good.pem, client_key_file: @key.pem, client_key_password: file:@password",
        "client_key_file",
        "has none",
        "Remove",
    ),
    "broken key": (
        "client_cert_file: @good.pem, client_key_file: @broken-key.pem",
        "client_key_file",
        "cannot be read",
        "Copy",
    ),
    "missing key": ("client_cert_file: @good.pem, client_key_file: @nothing", "client_key_file", "does not exist", "path"),
    "expired": ("client_cert_file: @expired.pem, client_key_file: @key.pem", "client_cert_file", "has expired", "new one"),
    "broken": ("client_cert_file: @broken.pem, client_key_file: @key.pem", "client_cert_file", "cannot be read", "Copy"),
    "text": ("client_cert_file: @text.pem, client_key_file: @key.pem", "client_cert_file", "no PEM certificate", "BEGIN"),
    "missing password": (
        "client_cert_file: @good.pem, client_key_file: @locked-key.pem, client_key_password: file:@nothing",
        "client_key_password",
        "cannot be read: No such file",
        "Check the path",
    ),
}


@pytest.mark.parametrize("case", CLIENT, ids=lambda name: name.replace(" ", "-"))
def test_client_certificate_that_cannot_be_used(case, files, problems_of):
    options, key, what, fix = CLIENT[case]
    text = own_with_tls(files, options)
    (problem,) = problems_of(text)
    assert (problem.key, problem.line) == (f"destinations.0.tls.{key}", marked_line(text))
    assert what in problem.what
    assert fix in problem.fix
    assert "p4ss" not in str(problem)


@pytest.mark.parametrize(
    "options",
    [
        "client_cert_file: @both.pem",
        "client_cert_file: @good.pem, client_key_file: @key.pem",
        "client_cert_file: @good.pem, client_key_file: @locked-key.pem, client_key_password: file:@password",
    ],
)
def test_client_certificate_that_can_be_used(options, files, write):
    assert load(write(own_with_tls(files, options))).notices == ()


def test_several_files_are_told_at_once(files, problems_of):
    found = problems_of(
        own_with_tls(files, "ca_file: @text.pem, client_cert_file: @expired.pem, client_key_file: @other-key.pem")
    )
    assert len(found) == 3


def test_directory_that_cannot_be_created(problems_of, tmp_path):
    (tmp_path / "state").write_text("a file")
    (problem,) = problems_of(replaced(OWN, "checkpoint_dir: state", "checkpoint_dir: state/deep #!"))
    assert (problem.key, problem.line) == ("storage.checkpoint_dir", 17)
    assert problem.what == f"{tmp_path}/state/deep cannot be created: {tmp_path}/state is not a directory"


def test_directory_that_cannot_be_written_to(problems_of, tmp_path, monkeypatch):
    (tmp_path / "state").mkdir()
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path) != tmp_path / "state")
    (problem,) = problems_of(OWN)
    assert problem.what == f"{tmp_path}/state cannot be written to"
    assert problem.fix == "Let the user that runs duologsync write to it, or name another."


def test_directory_that_everyone_can_write_to_is_noticed(write, tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o777)
    (notice,) = load(write(OWN)).notices
    assert (notice.key, notice.line) == ("storage.checkpoint_dir", 17)
    assert "every user of this machine can write to" in notice.what


def test_other_file_systems_are_not_looked_at(write, monkeypatch):
    monkeypatch.setattr(extras, "find_spec", lambda name: name)
    text = replaced(OWN, "checkpoint_dir: state", "checkpoint_dir: gs://bucket/a\n  dead_letter_dir: s3://bucket/b")
    assert load(write(text)).notices == ()


@pytest.mark.parametrize(
    ("log_file", "what"),
    [("state", "is a directory"), ("config.yml/x", "is not a directory"), ("old.log", "cannot be written")],
)
def test_log_file_that_cannot_be_written(log_file, what, problems_of, tmp_path, monkeypatch):
    (tmp_path / "state").mkdir()
    (tmp_path / "old.log").write_text("")
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path).name != "old.log")
    (problem,) = problems_of(f"{OWN}log_file: {log_file} #!\n")
    assert (problem.key, problem.line) == ("log_file", 18)
    assert what in problem.what


def test_nothing_is_created(write, tmp_path):
    path = write(f"{OWN}log_file: logs/program.log\n")
    load(path)
    assert list(tmp_path.iterdir()) == [path]


def test_skey_file(write, problems_of, tmp_path, secret):
    text = replaced(OWN, "skey: env:DUO_SKEY", "skey: file:skey #!")
    (problem,) = problems_of(text)
    assert (problem.key, problem.line, problem.fix) == ("accounts.0.skey", 6, "Check the path and its permissions.")
    assert "cannot be read: No such file" in problem.what
    file = tmp_path / "skey"
    file.write_text("")
    (problem,) = problems_of(text)
    assert "is empty" in problem.what
    assert problem.fix == "Put the secret there."
    file.write_text("short")
    (problem,) = problems_of(text)
    assert problem.what == f"the key has 5 characters in file:{file}"
    file.write_text(f"{secret}\n")
    file.chmod(0o644)
    (notice,) = load(write(text)).notices
    assert notice.what == f"every user of this machine can read the secret in {file}"
    assert notice.fix == f"Run: chmod o-rwx {file}"


def test_skey_in_the_environment(write, problems_of, monkeypatch):
    monkeypatch.setenv("DUO_SKEY", "short")
    (problem,) = problems_of(OWN)
    assert problem.what == "the key has 5 characters in env:DUO_SKEY"
    monkeypatch.delenv("DUO_SKEY")
    (notice,) = load(write(OWN)).notices
    assert notice.what == "the environment variable DUO_SKEY has no value here"


def test_configuration_with_a_secret_that_everyone_can_read_is_noticed(write):
    path = write(DLS)
    path.chmod(0o644)
    (notice,) = load(path).notices
    assert (notice.key, notice.what) == ("account.skey", f"every user of this machine can read the secret in {path}")


def test_check_files_works_without_a_file(files, write):
    path = write(own_with_tls(files, "ca_file: @expired.pem"))
    job = load(path, look_at_files=False).job
    (problem,) = check_files(job)
    assert str(problem).startswith("destinations.0.tls.ca_file: the certificate in ")
    with pytest.raises(ConfigProblems):
        load(path)
