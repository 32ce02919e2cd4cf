"""What every law stands on."""
