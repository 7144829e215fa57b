"""Many studies, one job each: the ledger, the executors, what tells how it goes."""
