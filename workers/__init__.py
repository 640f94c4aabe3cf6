"""The worker: listens to the doorbell, sweeps, and calls one verb for each job."""
