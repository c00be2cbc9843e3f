"""The GraphQL schema: what clients see, one folder per ERP module. Knows no HTTP and no SQL."""
