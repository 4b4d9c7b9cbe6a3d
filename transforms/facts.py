"""What a row says, in words that every SIEM format has a place for.

Place in the flow: made by the log types (``transforms.duo.log_types``), written by the formats (``transforms.formats``).

Contract: each fact stands alone; none is several of Duo's put into one text. What is Duo's is as Duo sent it, unescaped and
unbounded, so a format escapes and cuts. None and "" both mean "not there"; formats must not invent. Every group of
``EventFacts`` is there, an empty one where the row has none, so that a format may name any fact by its path (``device.os``).

The fields of most groups bear Duo's names, and the rows of the log types are subclasses of them: a group then is the part of
the row itself that msgspec has decoded, and costs nothing. To read a field more of a row, add it here.
"""

from __future__ import annotations

import msgspec

Truth = bool | str | None
"""Duo's answer to a yes-or-no question: a truth value, in older rows the words ``"true"`` and ``"false"``, or ``"unknown"``."""


class Place(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """Where a device was, as Duo guesses from its address."""

    city: str | None = None
    state: str | None = None
    country: str | None = None


class Party(msgspec.Struct, frozen=True, gc=False):
    """Who did it, or the person or the thing that it was done to.

    Attributes:
      key: Duo's id.
      type: Duo's word: ``user``, ``admin``, ``adminapi``, ``policy``, ``integration`` and many more; log-ins have none.
      details: a JSON text, of a target what it was changed to; words in old rows.
      groups: the groups that a user is in.
    """

    key: str | None = None
    name: str | None = None
    type: str | None = None
    details: str | None = None
    groups: list[str] | None = None


class Application(msgspec.Struct, frozen=True, gc=False):
    """The application that is logged in to, or that it was done through."""

    key: str | None = None
    name: str | None = None
    type: str | None = None
    destination_name: str | None = None


class SecurityAgent(msgspec.Struct, frozen=True, gc=False):
    """A program that guards the access device."""

    security_agent: str | None = None
    version: str | None = None


class Device(msgspec.Struct, frozen=True, gc=False):
    """The device that it was done from. Its address and place are ``EventFacts.src_ip`` and ``src_place``.

    Attributes:
      epkey: Duo's id of the endpoint.
      security_agents: a list, or the word ``"unknown"``.
      user_agent: a whole user agent, where Duo tells it; of most rows there are ``browser`` and ``browser_version``.
    """

    epkey: str | None = None
    hostname: str | None = None
    os: str | None = None
    os_version: str | None = None
    browser: str | None = None
    browser_version: str | None = None
    flash_version: str | None = None
    java_version: str | None = None
    is_encryption_enabled: Truth = None
    is_firewall_enabled: Truth = None
    is_password_set: Truth = None
    security_agents: list[SecurityAgent] | str | None = None
    user_agent: str | None = None


class AuthDevice(msgspec.Struct, frozen=True, gc=False):
    """The device of the second factor. Its address and place are ``EventFacts.auth_ip`` and ``auth_place``.

    Attributes:
      name: a phone number, or the label of a token.
    """

    key: str | None = None
    name: str | None = None


class TrustedSession(msgspec.Struct, frozen=True, gc=False):
    """A session that Duo remembers."""

    trusted_session_uuid: str | None = None


class Passport(msgspec.Struct, frozen=True, gc=False):
    """Whether the session may be passed on to other applications (Duo Passport)."""

    is_supported: Truth = None
    reason: str | None = None


class Assessment(msgspec.Struct, frozen=True, gc=False):
    """How far Duo's risk engine trusts a log-in, and why."""

    trust_level: str | None = None
    reason: str | None = None
    policy_enabled: Truth = None
    preview_mode_enabled: Truth = None
    detected_attack_detectors: list[str] | None = None
    features_version: str | None = None
    model_version: str | None = None


class Attack(msgspec.Struct, frozen=True, gc=False):
    """A pattern of an attack that Duo's risk engine has found."""

    detector: str | None = None
    detected_occurrences: int | float | str | None = None
    threshold_occurrences: int | float | str | None = None
    threshold_time_frame: int | float | str | None = None
    country_code_access: str | None = None
    country_code_auth: str | None = None
    unrealistic_travel_velocity: int | float | str | None = None
    shadow_mode: Truth = None
    suppressed: Truth = None


class LogIn(msgspec.Struct, frozen=True, gc=False):
    """What only a log-in or an enrolment says; in Trust Monitor that of the log-in which was surfaced.

    Attributes:
      result: Duo's own word; what it comes to is ``EventFacts.outcome``.
      factor: how the user answered; ``remembered_factor`` how he did when the session began that was remembered.
      alias: the name that the user typed, where it is not the user's own.
      ood_software: what was out of date on the device.
      adaptive_trust_assessments: by Duo's name of the decision: ``more_secure_auth``, ``remember_me``; others may come.
    """

    event_type: str | None = None
    result: str | None = None
    reason: str | None = None
    factor: str | None = None
    remembered_factor: str | None = None
    email: str | None = None
    alias: str | None = None
    ood_software: str | None = None
    trusted_endpoint_status: str | None = None
    trusted_session_info: TrustedSession | None = None
    passport_assessment: Passport | None = None
    adaptive_trust_assessments: dict[str, Assessment] | None = None
    rbfs_triggered_attacks: list[Attack] | None = None


class Telephony(msgspec.Struct, frozen=True, gc=False):
    """A text message or a phone call. ``txid`` is the ``event_id`` of the log-in that it was for."""

    context: str | None = None
    type: str | None = None
    phone: str | None = None
    credits: int | None = None
    txid: str | None = None


class Explanation(msgspec.Struct, frozen=True, gc=False):
    """Why Duo finds something suspicious."""

    type: str | None = None
    summary: str | None = None


class PriorityReason(msgspec.Struct, frozen=True, gc=False):
    """Why a finding matters more than others."""

    type: str | None = None
    label: str | None = None


class Finding(msgspec.Struct, frozen=True, gc=False):
    """What Trust Monitor says of an event that it has surfaced.

    Attributes:
      state_updated_ms, bypass_enabled_ms: milliseconds since the epoch.
      log_in_ms: when the surfaced log-in was, likewise.
      log_in_id: the ``event_id`` that the surfaced log-in has in the authentication log.
    """

    state: str | None = None
    state_updated_ms: int | None = None
    priority_event: Truth = None
    priority_reasons: list[PriorityReason] | None = None
    explanations: list[Explanation] | None = None
    triaged_as_interesting: Truth = None
    from_common_netblock: Truth = None
    from_new_user: Truth = None
    low_risk_ip: Truth = None
    bypass_enabled_ms: int | None = None
    log_in_id: str | None = None
    log_in_ms: int | None = None


def is_true(value: Truth) -> bool:
    """Whether Duo says yes."""
    return value is True or (isinstance(value, str) and value.lower() == "true")


def truth_word(value: Truth) -> str | None:
    """Duo's answer as a word: ``true``, ``false``, or Duo's own, such as ``unknown``."""
    return _TRUTH_WORDS[value] if isinstance(value, bool) else value


_TRUTH_WORDS = {True: "true", False: "false"}

NOWHERE = Place()
NO_PARTY = Party()
NO_APPLICATION = Application()
NO_DEVICE = Device()
NO_AUTH_DEVICE = AuthDevice()
NO_LOG_IN = LogIn()
NO_TELEPHONY = Telephony()
NO_FINDING = Finding()


class EventFacts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a row says.

    Attributes:
      event_class: stable id per kind of event, ``auth.authentication.denied``; only ``[A-Za-z0-9_.-]``.
      title: a constant human-readable name of that kind of event, without data in it.
      severity: 1 (lowest) to 10, after ``transforms.duo.log_types.severities``.
      category: ``authentication``, or the name of the log type.
      time_ms: when it happened, milliseconds since the epoch; None where the row has no readable time.
      event_id: what a SIEM can know a repeat by: Duo's own id, or of a log without ids the row's ``content_id``.
      action, outcome, reason: what was tried, ``success`` or ``failure`` (or Duo's own word in lower case), and why.
      message: free words of Duo's about the event. url: where Duo shows it.
      tenant: Duo's id of the account.
      actor: who did it.
      target_user, target_thing: to whom or what it was done; at most one of them says something. In a log-in the user is both
        actor and target: SIEM rules look in either place.
      old_target: what the target was before, where it was changed.
      application: what it was done through or logged in to.
      src_ip, src_port, src_place, device: the device that it was done from. An address is always a valid IPv4 or IPv6 address,
        never ``0.0.0.0`` or ``::``; the port is there where Duo wrote one behind it, which it rarely does.
      auth_ip, auth_port, auth_place, auth_device: the device of the second factor, likewise.
      log_in, telephony, finding: what only one kind of event says.
      texts: further labelled texts ``(label, value)`` of a log type for which there is no group here. It always gives the same
        labels in the same order, with None or "" for what a row does not have: a place means the same in every event.
      numbers: further labelled whole numbers, likewise.
      times_ms: further labelled times, likewise.
    """

    event_class: str
    title: str
    severity: int
    category: str
    time_ms: int | None = None
    event_id: str | None = None
    action: str | None = None
    outcome: str | None = None
    reason: str | None = None
    message: str | None = None
    url: str | None = None
    tenant: str | None = None
    actor: Party = NO_PARTY
    target_user: Party = NO_PARTY
    target_thing: Party = NO_PARTY
    old_target: Party = NO_PARTY
    application: Application = NO_APPLICATION
    src_ip: str | None = None
    src_port: int | None = None
    src_place: Place = NOWHERE
    device: Device = NO_DEVICE
    auth_ip: str | None = None
    auth_port: int | None = None
    auth_place: Place = NOWHERE
    auth_device: AuthDevice = NO_AUTH_DEVICE
    log_in: LogIn = NO_LOG_IN
    telephony: Telephony = NO_TELEPHONY
    finding: Finding = NO_FINDING
    texts: tuple[tuple[str, str | None], ...] = ()
    numbers: tuple[tuple[str, int | None], ...] = ()
    times_ms: tuple[tuple[str, int | None], ...] = ()

    @property
    def further(self) -> tuple[tuple[str, str | int | None], ...]:
        """All that has a label of its log type's own."""
        return (*self.texts, *self.numbers, *self.times_ms)

    @property
    def target(self) -> Party:
        """The person or the thing that it was done to."""
        return self.target_user if self.target_thing is NO_PARTY else self.target_thing
