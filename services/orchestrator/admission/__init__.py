"""How jobs are admitted, previewed and resumed."""
