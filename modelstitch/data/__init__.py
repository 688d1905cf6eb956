"""Images: data sets, where they come from, and batches on a device."""
