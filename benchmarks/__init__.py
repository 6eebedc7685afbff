"""What this engine costs, side by side with what people use instead: `make bench`."""
