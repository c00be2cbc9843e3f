"""What every ERP module builds on; imports no ERP module."""
