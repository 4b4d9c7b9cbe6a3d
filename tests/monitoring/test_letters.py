"""How dead letters are counted for the report: whoever looks is not held up by it."""

import threading
from collections import Counter

from pipelines.monitoring import letters
from pipelines.monitoring.letters import LetterCounts
from transforms.state.dead_letters.counts import Kind
from transforms.state.dead_letters.letter import DeadLetter
from transforms.state.dead_letters.local import DeadLetterFiles

KIND = Kind("main", "auth", "siem", "oversize")


def test_what_is_kept_is_counted(tmp_path):
    files = DeadLetterFiles(str(tmp_path / "dead"))
    files.write([DeadLetter(time_ms=1, **KIND._asdict(), detail="", raw=b"{}")])
    files.close()
    assert LetterCounts(str(tmp_path / "dead")).count() == {KIND: 1}


def test_a_directory_that_hangs_holds_up_neither_the_main_loop_nor_the_watchdog(monkeypatch, eventually):
    """The main loop asks for the report's words: held up for as long as systemd waits, a healthy run would be killed."""
    hangs, looks = threading.Event(), []

    def count(directory):
        looks.append(directory)
        assert hangs.wait(60)
        return Counter({KIND: 3})

    monkeypatch.setattr(letters, "count_letters", count)
    monkeypatch.setattr(letters, "_PATIENCE_SECS", 0.01)
    counts = LetterCounts("/somewhere")
    asked = threading.Thread(target=lambda: [counts.count() for _ in range(3)], daemon=True)
    asked.start()
    try:
        asked.join(30)
        assert not asked.is_alive()
        assert looks == ["/somewhere"]  # and one thread waits for it, however often it is asked
    finally:
        hangs.set()
    eventually(lambda: counts.count() == {KIND: 3}, "what was found is told afterwards")
