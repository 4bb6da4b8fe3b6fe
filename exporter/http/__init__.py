"""The only room that reaches out: requests, answers, connections and what can go wrong with them."""
