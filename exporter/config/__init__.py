"""What YAML files share: their lines and keys, the values in them, tokens, and the text of every fault."""
