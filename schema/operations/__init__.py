"""Jobs, the audit trail, and how the installation is doing, in the schema."""
