"""One look at a domain: its definitions, its NICs, and whose each NIC is."""
