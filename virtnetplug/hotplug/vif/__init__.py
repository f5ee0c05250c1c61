"""The rebind of the driver of Xen vifs under their guests."""
