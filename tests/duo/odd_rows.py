"""Rows that no strict reader of JSON takes, by what is odd about them."""

_HEAD = b'{"activity_id":"%b","ts":"%b",'

_TAILS = {
    "lone surrogate": b'"actor":{"name":"bob\\ud800"}}',
    "NaN": b'"score":NaN,"least":-Infinity}',
    "control character": b'"actor":{"name":"bo\x01b\x00"}}',
    "line break inside a text": b'"actor":{"name":"bob\r\n<134>forged"}}',
    "deep nesting": b'"actor":{"name":"bob"},"x":' + b"[" * 1_200 + b"]" * 1_200 + b"}",
    "very deep nesting": b'"actor":{"name":"bob"},"x":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}",
    "no UTF-8": b'"actor":{"name":"bob\xff\xfe"}}',
    "a key twice": b'"x":1,"x":2}',
    "huge numbers": b'"x":' + b"9" * 5_000 + b',"y":1e99999}',
    "brackets inside texts": b'"x":"]}],\\"}{[","y":"bob\\udfff\\\\"}',
}


def odd_rows(event_id: str, moment: str) -> dict[str, bytes]:
    """One row of each kind."""
    head = _HEAD % (event_id.encode(), moment.encode())
    return {kind: head + tail for kind, tail in _TAILS.items()}
