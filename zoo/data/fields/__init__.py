"""Fields of view and the cells in them: readers, packing and folds."""
