"""Secrets in Google Secret Manager, behind a stand-in for Google's client: what is asked, and what becomes of each answer."""

import pickle
import sys
import types
from http import HTTPStatus

import pytest

from pipelines.config import ConfigProblems, extras, load
from transforms.errors import RetryLater
from transforms.secrets import GCP_SECRET_VERSION, SecretRef, SecretUnavailable

NAME = "projects/acme-prod/secrets/duo_skey/versions/3"
REF = SecretRef("gcp", NAME)


class Call(Exception):
    code = None


class ClientError(Call): ...


class NotFound(ClientError):
    code = HTTPStatus.NOT_FOUND


class TooManyRequests(ClientError):
    code = HTTPStatus.TOO_MANY_REQUESTS


class ServiceUnavailable(Call):
    code = HTTPStatus.SERVICE_UNAVAILABLE


class GoogleAuthError(Exception):
    retryable = False


@pytest.fixture
def google(monkeypatch):
    """Google's client library, of which only what is used is there; ``answer`` is bytes or an error."""
    state = types.SimpleNamespace(answer=b"", asked=[])

    class Client:
        def __init__(self, **made_with):
            state.made_with = made_with

        def access_secret_version(self, *, name, timeout):
            assert timeout
            state.asked.append(name)
            if isinstance(state.answer, Exception):
                raise state.answer
            return types.SimpleNamespace(payload=types.SimpleNamespace(data=state.answer))

    exceptions = types.SimpleNamespace(
        ClientError=ClientError, TooManyRequests=TooManyRequests, GoogleAPICallError=Call, RetryError=TimeoutError
    )
    modules = {
        "google.api_core": types.SimpleNamespace(exceptions=exceptions),
        "google.auth.exceptions": types.SimpleNamespace(GoogleAuthError=GoogleAuthError),
        "google.cloud": types.SimpleNamespace(secretmanager=types.SimpleNamespace(SecretManagerServiceClient=Client)),
    }
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(extras, "find_spec", lambda name: name)
    return state


def test_the_secret_is_what_secret_manager_gives_without_blanks_around_it(google):
    google.answer = b"s3cret\n"
    assert REF.resolve() == "s3cret"
    assert google.asked == [NAME]


def test_only_the_reference_travels(google):
    google.answer = b"s3cret"
    REF.resolve()
    assert b"s3cret" not in pickle.dumps(REF)
    assert str(REF) == f"gcp:{NAME}"


@pytest.mark.parametrize("error", [NotFound("secret text"), GoogleAuthError("secret text")])
def test_a_refusal_names_the_secret_and_the_role_that_is_needed_and_no_more(google, error):
    google.answer = error
    with pytest.raises(SecretUnavailable, match=r"duo_skey/versions/3.*secretmanager\.secretAccessor") as caught:
        REF.resolve()
    assert "secret text" not in str(caught.value)


@pytest.mark.parametrize("error", [ServiceUnavailable(), TooManyRequests(), TimeoutError(), ConnectionResetError()])
def test_what_passes_is_to_be_tried_again(google, error):
    google.answer = error
    with pytest.raises(RetryLater):
        REF.resolve()


@pytest.mark.parametrize("content", [b"", b" \n"])
def test_an_empty_secret_is_no_secret(google, content):
    google.answer = content
    with pytest.raises(SecretUnavailable, match="empty"):
        REF.resolve()


def test_a_secret_that_is_no_text_is_refused_without_being_shown(google):
    google.answer = b"\xff\xfeabc"
    with pytest.raises(SecretUnavailable) as caught:
        REF.resolve()
    assert "abc" not in str(caught.value)


def test_without_the_extra_the_message_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "google.cloud", None)
    monkeypatch.setitem(sys.modules, "google.api_core", None)
    with pytest.raises(SecretUnavailable, match=r"Install the extra \[gcp\]"):
        REF.resolve()


@pytest.mark.parametrize("version", ["1", "latest"])
def test_a_reference_in_the_configuration_is_taken_without_asking_for_the_secret(google, tmp_path, version):
    google.answer = AssertionError("the secret was asked for")
    name = f"projects/acme-prod/secrets/duo_skey/versions/{version}"
    assert load(config(tmp_path, f"gcp:{name}")).job.accounts[0].skey == SecretRef("gcp", name)


@pytest.mark.parametrize(
    "wrong", ["", "duo_skey", "projects/p/secrets/s", "projects/p/secrets/s/versions/", "projects/p/secrets/s x/versions/1"]
)
def test_a_name_that_secret_manager_cannot_have_is_a_problem(tmp_path, wrong):
    assert not GCP_SECRET_VERSION.fullmatch(wrong)
    with pytest.raises(ConfigProblems, match="gcp:projects/PROJECT/secrets/NAME/versions/NUMBER"):
        load(config(tmp_path, f"gcp:{wrong}"))


def config(folder, skey):
    path = folder / "config.yml"
    path.write_text(
        f"""version: 2
accounts: [{{api_host: api-1.duosecurity.com, ikey: DIXXXXXXXXXXXXXXXXXX, skey: "{skey}"}}]
destinations: [{{name: siem, kind: tcp, host: 127.0.0.1, port: 6514, format: json}}]
storage: {{checkpoint_dir: {folder}/checkpoints}}
"""
    )
    return path
