"""An image file in, pixels and masks out: reading, resizing, cutting, drawing."""
