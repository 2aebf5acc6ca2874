"""Learning to decompose from requests with known answers: sparse linear models below boosted trees."""
