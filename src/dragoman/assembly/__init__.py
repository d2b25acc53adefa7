"""What follows from the configuration alone, before anything is opened or swapped in."""
