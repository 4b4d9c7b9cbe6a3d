"""What data passes through, in the order of the flow: ``duo`` → ``events`` → ``formats`` → ``destinations``.

Nothing here imports ``pipelines``.
"""
