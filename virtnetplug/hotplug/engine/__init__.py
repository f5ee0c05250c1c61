"""Operations as such: their contract, their transaction with journal and undos, their owners and kinds."""
