"""Python imports this before anything else where its folder is in ``PYTHONPATH``: so every process knows the toys."""

import toy

toy.register()
