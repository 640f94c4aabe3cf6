"""The doorbell and the shared limits: the only rooms beside the workers that know Redis and arq."""
