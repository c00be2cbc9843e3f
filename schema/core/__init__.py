"""What every module of the schema builds on; imports no ERP module."""
