"""Files for running on Flink: compose.yml, submit.sh, and ``savepoint``, which ends a job so that it can be continued."""
