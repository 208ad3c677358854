"""The tasks that final comparisons are made on, and nothing else.

No search, tuning of ours or meta-training may use them: `search.config` refuses them, and a test
looks for whoever imports this file.
"""

from tasks.base import TaskConfig

V1: tuple[tuple[TaskConfig, int], ...] = ()
"""Version 1: configuration and length of the standard training, in steps."""
