"""What there is: NICs with their states, host devices, the fitness of the host."""
