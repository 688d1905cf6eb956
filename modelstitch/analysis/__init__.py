"""What records and tables say: no network is run here."""
