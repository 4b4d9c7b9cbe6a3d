"""Every test begins as a new process does: no destination known, nothing asked to end; and it leaves no connection open."""

import pytest

from transforms.destinations import health, pool
from transforms.destinations.stream.delivery import StreamSender
from transforms.process.shutdown import STOP
from transforms.state.receipts import RECEIPTS


@pytest.fixture(autouse=True)
def _new_process(monkeypatch):
    made = []
    init = StreamSender.__init__

    def remembered(self, *args, **kwargs):
        init(self, *args, **kwargs)
        made.append(self)

    monkeypatch.setattr(StreamSender, "__init__", remembered)
    _forget()
    yield
    for sender in made:
        if sender._connection is not None:
            sender._connection.abandon()
        sender._unread.endings.abandon()
    _forget()


def _forget():
    pool.close_all(0.2)
    health.forget_all()
    RECEIPTS.clear()
    STOP.reset()
