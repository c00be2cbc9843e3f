"""Many rows at once: upserts in a request, in a job, or from a file."""
