"""What a study takes (memory, disk, time), and which code its results depend on."""
