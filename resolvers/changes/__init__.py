"""Changes: whatever happens, told in one stream to whoever integrates."""
