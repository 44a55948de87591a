"""Models that find the cells of a field, one file each."""
