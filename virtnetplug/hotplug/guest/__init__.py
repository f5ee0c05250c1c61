"""The guest and its definition: what they are asked, what they have, and what an interrupted call left in them."""
