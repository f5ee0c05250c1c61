"""How a NIC comes and goes: the steps that the operations share, and the undo of each."""
