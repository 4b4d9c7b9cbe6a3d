"""Every test leaves no connection open, also of senders that it made itself."""

import pytest

from transforms.destinations.stream.delivery import StreamSender


@pytest.fixture(autouse=True)
def _no_connection_is_left(monkeypatch):
    made = []
    init = StreamSender.__init__

    def remembered(self, *args, **kwargs):
        init(self, *args, **kwargs)
        made.append(self)

    monkeypatch.setattr(StreamSender, "__init__", remembered)
    yield
    for sender in made:
        if sender._connection is not None:
            sender._connection.abandon()
        sender._unread.endings.abandon()
